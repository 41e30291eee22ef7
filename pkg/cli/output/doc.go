// Package output prints what a command has found, in the format the user asks
// for with -o. A result knows how to be a table, data and names; this package
// does the rest, so that every command offers every format.
package output
