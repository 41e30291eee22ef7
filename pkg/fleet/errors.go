package fleet

import (
	"fmt"
	"strings"
)

// Error is one mistake in a fleet.
type Error struct {
	// Path of the value, such as pools.web.template.disks.root.size.
	Path string
	// Message says what was found, what is allowed and what to do.
	Message string
}

// Error implements error.
func (e *Error) Error() string {
	if e.Path == "" {
		return e.Message
	}
	return e.Path + ": " + e.Message
}

// ErrorList is every mistake in a fleet, in the order of their paths.
type ErrorList []*Error

// Error implements error: a line a mistake.
func (l ErrorList) Error() string {
	lines := make([]string, 0, len(l)+1)
	lines = append(lines, fmt.Sprintf("%d error(s) in the fleet:", len(l)))
	for _, e := range l {
		lines = append(lines, "- "+e.Error())
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives errors.Is and errors.As the single mistakes.
func (l ErrorList) Unwrap() []error {
	errs := make([]error, len(l))
	for i, e := range l {
		errs[i] = e
	}
	return errs
}

// failureMark stands before the mistakes in a failure of the templates.
const failureMark = "error(s) in the fleet:\n- "

// parseFailure turns a failure of the templates into an ErrorList. Any other
// error of the engine is a mistake of ours, and stays what it is.
func parseFailure(err error) error {
	_, list, ok := strings.Cut(err.Error(), failureMark)
	if !ok {
		return fmt.Errorf("rendering fleet: %w", err)
	}
	var errs ErrorList
	for line := range strings.SplitSeq(strings.TrimSpace(list), "\n- ") {
		path, message, found := strings.Cut(line, ": ")
		if !found {
			path, message = "", line
		}
		errs = append(errs, &Error{Path: path, Message: message})
	}
	return errs
}
