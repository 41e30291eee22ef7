// Package defaults fills in what a virtual machine leaves open. It is pure: the
// cluster's facts come in as values.
//
// The defaults are few, and none changes what the user set. Applied twice they
// change nothing, and on an update they keep what the machine has, so applying
// the same manifest again changes nothing either. docs/concepts.md lists them
// with their reasons.
package defaults
