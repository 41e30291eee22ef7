package progress

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	clocktesting "k8s.io/utils/clock/testing"
)

func TestLinesAreWrittenForNewsAndNotTooOften(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	var text strings.Builder
	reporter := New(Options{Out: &text, Clock: clock})
	at := func(after time.Duration, tasks ...Task) {
		clock.SetTime(clock.Now().Add(after))
		reporter.Update(tasks)
	}
	machines := func(done int) Task { return Task{Name: "machines", Done: done, Total: 3} }
	at(0, Task{Name: "image os", Percent: true, Done: 4, Total: 100, Note: "ImportInProgress"}, machines(0))
	at(time.Second, machines(1))   // too soon
	at(9*time.Second, machines(2)) // in time
	at(20*time.Second, machines(2))
	at(time.Second, machines(3)) // too soon, but the last
	reporter.Stop()
	reporter.Stop()
	want := "    0s  image os 4% (ImportInProgress), machines 0/3\n" +
		"   10s  machines 2/3\n" +
		"   31s  machines 3/3\n"
	if diff := cmp.Diff(want, text.String()); diff != "" {
		t.Errorf("lines differ (-want +got):\n%s", diff)
	}
}

func TestNothingIsWrittenForNothing(t *testing.T) {
	var text strings.Builder
	reporter := New(Options{Out: &text, Clock: clocktesting.NewFakePassiveClock(time.Now())})
	reporter.Update(nil)
	reporter.Stop()
	if text.String() != "" {
		t.Errorf("found %q", text.String())
	}
}

func TestBarsComeAndGo(t *testing.T) {
	var text strings.Builder
	reporter := New(Options{Out: &text, Clock: clocktesting.NewFakePassiveClock(time.Now()), Terminal: true})
	reporter.Update([]Task{{Name: "image os", Percent: true, Done: 50, Total: 100, Note: "importing"}, {Name: "machines", Total: 2}})
	reporter.Update([]Task{{Name: "machines", Done: 2, Total: 2}})
	reporter.Update([]Task{{Name: "machines", Done: 1, Total: 2, Note: "1 failing"}}) // a bar that was full may go back
	reporter.Stop()
	last := text.String()[strings.LastIndex(text.String(), "machines"):]
	if !strings.Contains(last, "1/2 1 failing") {
		t.Errorf("the last state of machines is not shown:\n%q", text.String())
	}
}
