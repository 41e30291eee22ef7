package cli

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"wukong.io/wukong/pkg/cli/output"
	"wukong.io/wukong/pkg/cli/progress"
	"wukong.io/wukong/pkg/cli/wait"
)

// await waits for a fleet and shows how far it is.
func (e *environment) await(ctx context.Context, c *cluster, r *rendered, timeout time.Duration) (wait.Summary, error) {
	reporter := e.progress()
	summary, err := wait.For(ctx, wait.Cluster{Client: c.dynamic, Mapper: c.mapper, Clock: e.clock}, wait.Target{
		Namespace: r.fleet.Namespace,
		Fleet:     r.label,
		Plan:      wait.NewPlan(r.objects, r.fleet.Namespace),
		Timeout:   timeout,
		Report:    func(s wait.Summary) { reporter.Update(tasks(s)) },
	})
	reporter.Stop()
	e.tellProblems(summary, err)
	return summary, waitError(r.fleet.Name, timeout, err)
}

func (e *environment) progress() progress.Reporter {
	return progress.New(progress.Options{Out: e.ErrOut, Clock: e.clock, Terminal: output.Width(e.ErrOut) > 0})
}

// waitError gives the end of a wait its exit code.
func waitError(fleet string, timeout time.Duration, err error) error {
	switch {
	case errors.Is(err, wait.ErrNotReady):
		return &ExitError{Code: exitNotReady, Cause: fmt.Errorf("fleet %q is installed, and not all of it came up: see above; mend the causes, and what waits goes on by itself", fleet)}
	case errors.Is(err, wait.ErrTimeout):
		return &ExitError{Code: exitTimeout, Cause: fmt.Errorf("fleet %q is installed, and was not ready within %s: see above; it goes on by itself", fleet, timeout)}
	default:
		return err
	}
}

// shownProblems bounds how many problems are written to the terminal.
const shownProblems = 20

// tellProblems writes what a wait has found, worst first.
func (e *environment) tellProblems(summary wait.Summary, err error) {
	for i, item := range summary.Warnings() {
		if i == shownProblems {
			e.warn("%d more; see the output with -o yaml", len(summary.Warnings())-shownProblems)
			break
		}
		e.warn("%s %s: %s", item.Key.Kind, item.Key.Name, output.Clean(item.Verdict.Warning))
	}
	if err == nil {
		return
	}
	items := summary.With(wait.Failed, wait.Failing)
	items = append(items, summary.With(wait.Pending, wait.Blocked)...)
	grid := output.NewGrid("STATE", "KIND", "NAME", "REASON", "MESSAGE")
	for _, item := range items[:min(len(items), shownProblems)] {
		grid.Add(item.Verdict.State.String(), item.Key.Kind, item.Key.Name, dash(item.Verdict.Reason), dash(item.Verdict.Message))
	}
	if len(grid.Rows) == 0 {
		return
	}
	if err := grid.Write(e.ErrOut); err != nil {
		return // stderr is gone, and with it the reader
	}
	if more := len(items) - shownProblems; more > 0 {
		e.say("... and %d more", more)
	}
}

// shownImages bounds how many images have a line of their own.
const shownImages = 6

// tasks turns the state of a fleet into lines of progress: the images on their
// way, then disks, snapshots, clones and machines.
func tasks(summary wait.Summary) []progress.Task {
	list := imageTasks(summary)
	for _, kind := range []struct{ kind, name string }{
		{"DataVolume", "disks"}, {"VirtualMachineSnapshot", "snapshots"}, {"CloneJob", "clones"}, {"VirtualMachine", "machines"},
	} {
		if done, total := countTask(summary, kind.kind); total > 0 {
			list = append(list, progress.Task{Name: kind.name, Done: done, Total: total, Note: trouble(summary, kind.kind)})
		}
	}
	for _, item := range summary.Items {
		if item.Key.Kind == "Wukong" {
			list = append(list, percentTask("fleet "+item.Key.Name, item))
		}
	}
	return list
}

func countTask(summary wait.Summary, kind string) (done, total int) {
	for _, item := range summary.Items {
		if item.Key.Kind != kind || item.Image != "" {
			continue
		}
		total++
		if item.Verdict.State == wait.Ready {
			done++
		}
	}
	return done, total
}

// imageTasks has a line for each image that is not ready.
func imageTasks(summary wait.Summary) []progress.Task {
	var list []progress.Task
	seen := map[string]bool{}
	for _, item := range summary.Items {
		if item.Image == "" || item.Verdict.State == wait.Ready || seen[item.Image] || len(list) == shownImages {
			continue
		}
		seen[item.Image] = true
		list = append(list, percentTask("image "+item.Image, item))
	}
	return list
}

func percentTask(name string, item wait.Item) progress.Task {
	task := progress.Task{Name: name, Total: 100, Percent: true, Note: item.Verdict.Reason}
	if percent, err := strconv.ParseFloat(strings.TrimSuffix(item.Verdict.Progress, "%"), 64); err == nil {
		task.Done = int(math.Floor(percent))
	}
	if item.Verdict.State == wait.Ready {
		task.Done = task.Total
	}
	return task
}

// trouble says how many objects of a kind fail.
func trouble(summary wait.Summary, kind string) string {
	failing := 0
	for _, item := range summary.With(wait.Failing, wait.Failed) {
		if item.Key.Kind == kind {
			failing++
		}
	}
	if failing == 0 {
		return ""
	}
	return fmt.Sprintf("%d failing", failing)
}
