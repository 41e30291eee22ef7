package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// runTimeout ends a program that hangs.
const runTimeout = 5 * time.Minute

// program is a program to measure, with what comes first on its command line.
type program struct {
	name string
	path string
	args []string
}

// usage is what one run of a program took.
type usage struct {
	seconds float64
	cpu     float64
	peakMiB float64
}

// usages is what several runs took.
type usages []usage

func (u usages) seconds() sample {
	return u.sample(func(u usage) float64 { return u.seconds })
}

func (u usages) cpu() sample {
	return u.sample(func(u usage) float64 { return u.cpu })
}

func (u usages) peakMiB() sample {
	return u.sample(func(u usage) float64 { return u.peakMiB })
}

func (u usages) sample(get func(usage) float64) sample {
	out := make(sample, len(u))
	for i := range u {
		out[i] = get(u[i])
	}
	return out
}

// run measures one run from start to exit.
func (p program) run(ctx context.Context, scratch string, stdout io.Writer) (usage, error) {
	ctx, cancel := context.WithTimeout(ctx, runTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.path, p.args...)
	// Nothing of the machine's own helm may take part.
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+scratch, "HELM_CONFIG_HOME="+scratch, "HELM_DATA_HOME="+scratch,
		"KUBECONFIG="+os.DevNull)
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = stdout, &stderr
	started := time.Now()
	err := cmd.Run()
	seconds := time.Since(started).Seconds()
	if err := errors.Join(err, ctx.Err()); err != nil {
		return usage{}, fmt.Errorf("running %s %q: %w\n%s", p.name, p.args, err, stderr.Bytes())
	}
	taken := usage{seconds: seconds, cpu: (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()}
	if rusage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		taken.peakMiB = float64(rusage.Maxrss) / 1024
	}
	return taken, nil
}

// takeTurns runs some programs one after the other, several times over. The
// first turn is not counted: it warms the caches of the machine.
func (b *bench) takeTurns(ctx context.Context, measure ...func(context.Context) (usage, error)) ([]usages, error) {
	taken := make([]usages, len(measure))
	for turn := range b.runs + 1 {
		for i := range measure {
			u, err := measure[i](ctx)
			if err != nil {
				return nil, err
			}
			if turn > 0 {
				taken[i] = append(taken[i], u)
			}
		}
	}
	return taken, nil
}

// template is helm template with a chart and values.
func (p program) template(chart, values string) program {
	p.args = []string{"template", releaseName, chart, "--namespace", namespace, "--kube-version", "1.36.0", "-f", values}
	return p
}

// discard measures a program whose output nobody reads. It is written to a
// file of the system's that drops it, as a pipe would slow the program down.
func (b *bench) discard(p program) func(context.Context) (usage, error) {
	return func(ctx context.Context) (usage, error) {
		null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
		if err != nil {
			return usage{}, err
		}
		defer func() { _ = null.Close() }()
		return p.run(ctx, b.scratch, null)
	}
}

// chartsDir finds the repository's charts in the source tree.
func chartsDir() (string, error) {
	_, file, _, ok := runtime.Caller(0)
	if !ok || !filepath.IsAbs(file) {
		return "", errors.New("the charts were not found: run the bench from the source tree, with go run ./test/bench")
	}
	return filepath.Join(filepath.Dir(file), "..", "..", "charts"), nil
}
