package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"syscall"

	"wukong.io/wukong/test/cluster"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench is what the cases share.
type bench struct {
	runs    int
	log     io.Writer
	helm3   program
	helm4   program
	charts  string
	scratch string
}

// suite is some rows of the table that are measured together.
type suite struct {
	name    string
	measure func(context.Context, *bench) ([]row, error)
}

// suites are all of them, in the order of the table.
func suites() []suite {
	return []suite{
		{name: "engine", measure: measureEngine},
		{name: "growth", measure: measureGrowth},
		{name: "chart", measure: measureChart},
		{name: "release", measure: measureRelease},
		{name: "cluster", measure: measureCluster},
		{name: "admission", measure: measureAdmission},
		{name: "admission-memory", measure: measureAdmissionMemory},
		{name: "admission-handler", measure: measureAdmissionHandler},
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	runs := flags.Int("runs", 5, "how often each thing is measured; the table has the medians")
	only := flags.String("only", "", "measure the suites alone whose name matches this expression: engine, growth, chart, release, cluster, admission, admission-memory, admission-handler")
	machines := flags.Int("child-render", 0, "render a fleet of so many machines and print what it took; the bench runs itself so")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *machines > 0 {
		return renderChild(ctx, *machines, stdout)
	}
	if *runs < 1 {
		return fmt.Errorf("-runs: found %d, must be 1 or more", *runs)
	}
	wanted, err := regexp.Compile(*only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	b, err := newBench(ctx, *runs, stderr)
	if err != nil {
		return err
	}
	rows, err := b.all(ctx, wanted)
	return errors.Join(err, printTable(stdout, b.runs, rows), os.RemoveAll(b.scratch))
}

func newBench(ctx context.Context, runs int, log io.Writer) (*bench, error) {
	binaries, err := cluster.Build(ctx, log, "helm3", "helm4")
	if err != nil {
		return nil, err
	}
	charts, err := chartsDir()
	if err != nil {
		return nil, err
	}
	scratch, err := os.MkdirTemp("", "wukong-bench-")
	if err != nil {
		return nil, fmt.Errorf("making a folder for the charts and values of the bench: %w", err)
	}
	return &bench{
		runs: runs, log: log, charts: charts, scratch: scratch,
		helm3: program{name: "helm template v3", path: binaries.Helm3},
		helm4: program{name: "helm template v4", path: binaries.Helm4},
	}, nil
}

// all measures the wanted suites. What was measured before one fails is kept.
func (b *bench) all(ctx context.Context, wanted *regexp.Regexp) ([]row, error) {
	var rows []row
	for _, s := range suites() {
		if !wanted.MatchString(s.name) {
			continue
		}
		fmt.Fprintf(b.log, "measuring: %s\n", s.name)
		more, err := s.measure(ctx, b)
		rows = append(rows, more...)
		if err != nil {
			return rows, fmt.Errorf("measuring %s: %w", s.name, err)
		}
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("-only: no suite matches %q", wanted)
	}
	return rows, nil
}
