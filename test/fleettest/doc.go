// Package fleettest makes random, valid fleets for property tests.
//
// A fleet is a pure function of its seed, so a failure is repeated by its seed
// alone. Fleets are small, as properties are tested on thousands of them, and
// wide: over some hundreds of seeds every field of a fleet file is used.
package fleettest
