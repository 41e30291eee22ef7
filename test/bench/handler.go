package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
)

// measureAdmissionHandler runs the benchmark of the webhook's package on one
// core: its handlers are not for others to call.
func measureAdmissionHandler(ctx context.Context, b *bench) ([]row, error) {
	folder := filepath.Join(filepath.Dir(b.charts), "webhook")
	program := filepath.Join(b.scratch, "webhook.test")
	build := exec.CommandContext(ctx, "go", "test", "-c", "-o", program, "wukong.io/wukong/webhook")
	build.Dir, build.Stdout, build.Stderr = folder, b.log, b.log
	if err := build.Run(); err != nil {
		return nil, fmt.Errorf("building the benchmark of the webhook: %w", err)
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, program, "-test.run=^$", "-test.bench=^BenchmarkReviews$", "-test.benchtime=1s", fmt.Sprintf("-test.count=%d", b.runs))
	cmd.Dir, cmd.Env = folder, append(os.Environ(), "GOMAXPROCS=1")
	cmd.Stdout, cmd.Stderr = &out, b.log
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("running the benchmark of the webhook: %w\n%s", err, out.Bytes())
	}
	rates, err := parseRates(out.String())
	if err != nil {
		return nil, err
	}
	return []row{
		{
			name: "admission, handler alone, mutating", unit: "reviews/s", value: rates["mutate/handler"], fewest: 3000,
			note: "one core, decoded reviews of an edit of a fleet's machine",
		},
		{name: "admission, handler alone, validating", unit: "reviews/s", value: rates["validate/handler"], fewest: 3000},
		{name: "admission, whole HTTP request, mutating", unit: "reviews/s", value: rates["mutate/http"]},
		{name: "admission, whole HTTP request, validating", unit: "reviews/s", value: rates["validate/http"]},
	}, nil
}

// parseRates reads what a Go benchmark prints.
func parseRates(text string) (map[string]sample, error) {
	rates := map[string]sample{}
	line := regexp.MustCompile(`(?m)^BenchmarkReviews/(\S+?)(?:-\d+)?\s.*?([0-9.]+) reviews/s`)
	for _, found := range line.FindAllStringSubmatch(text, -1) {
		rate, err := strconv.ParseFloat(found[2], 64)
		if err != nil {
			return nil, err
		}
		rates[found[1]] = append(rates[found[1]], rate)
	}
	for _, name := range []string{"mutate/handler", "validate/handler", "mutate/http", "validate/http"} {
		if len(rates[name]) == 0 {
			return nil, fmt.Errorf("found no rate of %s in what the benchmark prints: %q", name, text)
		}
	}
	return rates, nil
}
