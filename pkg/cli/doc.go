// Package cli is the command line, wukong: fleets from a file to the cluster
// and back. It stands on the packages the controllers use, so what it renders
// and refuses offline is what the cluster would get.
//
// A command is an options struct with complete, validate and run. Data goes to
// stdout and everything else to stderr, so that output can be piped; errors
// carry the exit code (see ExitCode) and nothing in here ends the process.
//
// Under the name kubectl-wukong the same program is a kubectl plugin.
package cli
