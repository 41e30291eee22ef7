// Package progress shows how far work is while it goes on: bars on a terminal,
// and plain lines, each only when something has changed, everywhere else.
package progress
