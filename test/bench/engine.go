package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"wukong.io/wukong/pkg/fleet"
)

const (
	// largeFleet is what the engine must render in seconds; its release would
	// not fit, so stock helm refuses it.
	largeFleet = 10_000
	// helmFleet is near the largest that stock helm can install.
	helmFleet = 4_000
	// smallFleet is a tenth of the large one.
	smallFleet = 1_000
)

// rendered is what a child process says of its one rendering.
type rendered struct {
	Objects int     `json:"objects"`
	Seconds float64 `json:"seconds"`
	PeakMiB float64 `json:"peakMiB"`
}

// renderChild is the child process: it loads the charts, reads a fleet file
// and renders it to typed objects.
func renderChild(ctx context.Context, machines int, stdout io.Writer) error {
	renderer, err := fleet.New()
	if err != nil {
		return err
	}
	input, err := parseFleet(machines)
	if err != nil {
		return err
	}
	started := time.Now()
	objects, err := renderer.Render(ctx, input, fleet.Options{InCluster: true})
	if err != nil {
		return err
	}
	seconds := time.Since(started).Seconds()
	peak, err := peakMiB()
	if err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(rendered{Objects: len(objects), Seconds: seconds, PeakMiB: peak})
}

// peakMiB is the most memory that this process has had.
func peakMiB() (float64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, fmt.Errorf("reading the peak memory: %w", err)
	}
	for line := range strings.Lines(string(status)) {
		if size, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(size), " kB"))
			return float64(kib) / 1024, err
		}
	}
	return 0, errors.New("reading the peak memory: found no VmHWM in /proc/self/status")
}

// engine measures a child process that renders so many machines. The memory is
// what the child says: what the system says of a child counts its parent's.
func (b *bench) engine(machines int, inside *sample) func(context.Context) (usage, error) {
	return func(ctx context.Context) (usage, error) {
		self, err := os.Executable()
		if err != nil {
			return usage{}, err
		}
		p := program{name: "engine", path: self, args: []string{"-child-render", strconv.Itoa(machines)}}
		var stdout bytes.Buffer
		taken, err := p.run(ctx, b.scratch, &stdout)
		if err != nil {
			return usage{}, err
		}
		var result rendered
		if err := json.Unmarshal(stdout.Bytes(), &result); err != nil {
			return usage{}, fmt.Errorf("reading what the engine's process says: %w", err)
		}
		if result.Objects < machines*perMachine {
			return usage{}, fmt.Errorf("found %d objects of %d machines, want %d and the shared ones",
				result.Objects, machines, machines*perMachine)
		}
		taken.peakMiB = result.PeakMiB
		if inside != nil {
			*inside = append(*inside, result.Seconds)
		}
		return taken, nil
	}
}

func measureEngine(ctx context.Context, b *bench) ([]row, error) {
	values, err := b.writeFleet(helmFleet)
	if err != nil {
		return nil, err
	}
	chart := filepath.Join(b.charts, "vm-fleet")
	taken, err := b.takeTurns(ctx,
		b.engine(largeFleet, nil),
		b.engine(helmFleet, nil),
		b.discard(b.helm3.template(chart, values)),
		b.discard(b.helm4.template(chart, values)))
	if err != nil {
		return nil, err
	}
	large, same, helm3, helm4 := taken[0], taken[1], taken[2], taken[3]
	return []row{
		{
			name: "engine, 10,000 machines", unit: "s", value: large.seconds(), most: 3,
			note: "40,000 objects to typed ones, from the start of the process to its exit",
		},
		{name: "engine, 10,000 machines, CPU", unit: "s", value: large.cpu()},
		{name: "engine, 10,000 machines, peak memory", unit: "MiB", value: large.peakMiB(), most: 400},
		{
			name: "engine, 4,000 machines", unit: "s", value: same.seconds(),
			peer: b.helm3.name, peerValue: helm3.seconds(), least: 4,
			note: "same chart and values; stock helm refuses much larger fleets, as their release would not fit",
		},
		{
			name: "engine, 4,000 machines", unit: "s", value: same.seconds(),
			peer: b.helm4.name, peerValue: helm4.seconds(),
		},
		{
			name: "engine, 4,000 machines, CPU", unit: "s", value: same.cpu(),
			peer: b.helm3.name, peerValue: helm3.cpu(),
		},
		{
			name: "engine, 4,000 machines, peak memory", unit: "MiB", value: same.peakMiB(),
			peer: b.helm3.name, peerValue: helm3.peakMiB(),
		},
	}, nil
}

func measureGrowth(ctx context.Context, b *bench) ([]row, error) {
	var small, large sample
	_, err := b.takeTurns(ctx, b.engine(smallFleet, &small), b.engine(largeFleet, &large))
	if err != nil {
		return nil, err
	}
	small, large = small[1:], large[1:] // without the first turn
	growth := make(sample, len(small))
	for i := range growth {
		growth[i] = large[i] / small[i]
	}
	return []row{{
		name: "engine, growth from 1,000 to 10,000", unit: "fold", value: growth, most: 11,
		note: "of the time inside Render alone; starting the process would flatter it",
	}}, nil
}
