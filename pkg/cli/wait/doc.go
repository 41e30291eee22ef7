// Package wait says when a fleet is ready and waits for it.
//
// Readiness is what the fleet asks for, not what runs: a halted machine is
// ready when it is halted, a disk that waits for its first consumer is ready
// while its machine is halted, and a change that waits for a restart is a
// warning. Neither Helm's --wait nor kstatus knows that. The rules are pure
// functions of one object (see Assess); Evaluate puts the objects of a fleet
// together, and For watches them.
package wait
