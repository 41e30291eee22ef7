package progress

import (
	"fmt"
	"io"
	"strings"
	"time"

	"k8s.io/utils/clock"
)

const defaultPace = 10 * time.Second

// lines writes a line at most once in a pace, and only for news.
type lines struct {
	out     io.Writer
	clock   clock.PassiveClock
	pace    time.Duration
	started time.Time
	written time.Time
	last    string
	latest  string
}

func newLines(options Options) *lines {
	pace := options.Pace
	if pace == 0 {
		pace = defaultPace
	}
	return &lines{out: options.Out, clock: options.Clock, pace: pace, started: options.Clock.Now()}
}

// Update implements Reporter.
func (l *lines) Update(tasks []Task) {
	l.latest = describe(tasks)
	if l.written.IsZero() || l.clock.Since(l.written) >= l.pace {
		l.write()
	}
}

// Stop implements Reporter.
func (l *lines) Stop() { l.write() }

func (l *lines) write() {
	if l.latest == l.last {
		return
	}
	l.last = l.latest
	l.written = l.clock.Now()
	elapsed := l.written.Sub(l.started).Round(time.Second)
	fmt.Fprintf(l.out, "%6s  %s\n", elapsed, l.latest)
}

func describe(tasks []Task) string {
	parts := make([]string, len(tasks))
	for i, task := range tasks {
		parts[i] = task.String()
	}
	return strings.Join(parts, ", ")
}

// String is the task in one phrase.
func (t Task) String() string {
	text := fmt.Sprintf("%s %d/%d", t.Name, t.Done, t.Total)
	if t.Percent {
		text = fmt.Sprintf("%s %d%%", t.Name, t.Done)
	}
	if t.Note != "" {
		text += " (" + t.Note + ")"
	}
	return text
}
