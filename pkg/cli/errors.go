package cli

import (
	"context"
	"errors"

	"wukong.io/wukong/pkg/fleet"
)

// Exit codes. For diff they follow kubectl diff: 0 no difference, 1 differences,
// more than 1 an error.
const (
	exitFailure  = 1
	exitInvalid  = 1
	exitDiffers  = 1
	exitUsage    = 2
	exitRefused  = 3
	exitNotReady = 4
	exitTimeout  = 5
	exitSignal   = 130
)

// ExitError is an error with the code the process should end with. Without a
// cause there is nothing to say: the output has said it.
type ExitError struct {
	Code  int
	Cause error
}

// Error implements error.
func (e *ExitError) Error() string {
	if e.Cause == nil {
		return ""
	}
	return e.Cause.Error()
}

// Unwrap gives the cause.
func (e *ExitError) Unwrap() error { return e.Cause }

// ExitCode is the code the process should end with after the error.
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	if exit, ok := errors.AsType[*ExitError](err); ok {
		return exit.Code
	}
	if errors.Is(err, context.Canceled) {
		return exitSignal
	}
	if _, ok := errors.AsType[fleet.ErrorList](err); ok {
		return exitInvalid
	}
	return exitFailure
}

// usage marks an error as a mistake in how the command was called.
func usage(err error) error {
	if err == nil {
		return nil
	}
	return &ExitError{Code: exitUsage, Cause: err}
}
