package progress

import (
	"fmt"
	"io"
	"slices"
	"sync/atomic"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// The widths of a line on a terminal.
const (
	barWidth  = 30
	nameWidth = 24
)

// bars draws a bar for each task.
type bars struct {
	container *mpb.Progress
	shown     map[string]*shownBar
}

// shownBar is a bar and the text beside it, which the drawing reads while the
// update writes.
type shownBar struct {
	bar  *mpb.Bar
	task atomic.Pointer[Task]
}

func newBars(out io.Writer) *bars {
	return &bars{
		container: mpb.New(mpb.WithOutput(out), mpb.WithAutoRefresh(), mpb.WithWidth(barWidth+2*nameWidth)),
		shown:     map[string]*shownBar{},
	}
}

// Update implements Reporter. A task that is no longer named leaves the screen.
func (b *bars) Update(tasks []Task) {
	for _, task := range tasks {
		bar := b.shown[task.Name]
		if bar == nil {
			bar = b.add(task)
			b.shown[task.Name] = bar
		}
		bar.task.Store(&task)
		bar.bar.SetTotal(int64(max(1, task.Total)), false)
		bar.bar.SetCurrent(int64(task.Done))
	}
	for name, bar := range b.shown {
		if !slices.ContainsFunc(tasks, func(task Task) bool { return task.Name == name }) {
			bar.bar.Abort(true)
			delete(b.shown, name)
		}
	}
}

func (b *bars) add(task Task) *shownBar {
	shown := &shownBar{}
	shown.task.Store(&task)
	shown.bar = b.container.New(0, // a bar with a total would end by itself and could not go back
		mpb.BarStyle().Lbound("[").Filler("#").Tip("#").Padding("-").Rbound("]"),
		mpb.BarWidth(barWidth),
		mpb.PrependDecorators(decor.Name(task.Name, decor.WC{W: nameWidth, C: decor.DindentRight})),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return shown.task.Load().beside() })),
	)
	return shown
}

// beside is what stands beside the bar.
func (t *Task) beside() string {
	text := fmt.Sprintf("%d/%d", t.Done, t.Total)
	if t.Percent {
		text = fmt.Sprintf("%d%%", t.Done)
	}
	if t.Note != "" {
		text += " " + t.Note
	}
	return text
}

// Stop implements Reporter. The bars stay as they are, done or not.
func (b *bars) Stop() {
	for _, bar := range b.shown {
		bar.bar.Abort(false)
	}
	b.container.Wait()
}
