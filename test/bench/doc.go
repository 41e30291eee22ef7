// Command bench measures what Wukong promises about speed, memory and size, and
// prints one table: name, value, unit, the peer's value and the ratio.
//
// Every figure of the table is measured in the same run, on the machine the
// command runs on. Where there is a peer, the two take turns (A B A B ...), so
// that what else the machine does hits both alike, and the ratio is that of
// their medians. Whole programs are measured, from start to exit: the engine
// runs in a child process of its own, as stock helm does.
package main
