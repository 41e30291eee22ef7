package progress

import (
	"io"
	"time"

	"k8s.io/utils/clock"
)

// Task is one line of progress.
type Task struct {
	// Name says what it is about, and identifies the task between updates.
	Name string
	// Done of Total are done. A percentage has a Total of 100.
	Done, Total int
	// Percent says that Done is a percentage.
	Percent bool
	// Note says in a few words what goes on.
	Note string
}

// Reporter shows progress.
type Reporter interface {
	// Update shows the present state of all tasks.
	Update(tasks []Task)
	// Stop shows the last state and leaves the terminal in order.
	Stop()
}

// Options say where and how progress is shown.
type Options struct {
	Out      io.Writer
	Clock    clock.PassiveClock
	Terminal bool
	// Pace of plain lines; ten seconds if zero.
	Pace time.Duration
}

// New makes the reporter that fits the output.
func New(options Options) Reporter {
	if options.Terminal {
		return newBars(options.Out)
	}
	return newLines(options)
}
