package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
)

// row is one line of the table.
type row struct {
	name  string
	unit  string
	value sample
	// most is the target: the value must not exceed it. None if 0.
	most float64
	// fewest is the target the other way round: the value must reach it.
	fewest float64
	// zero says that the target is 0.
	zero bool
	// peer is who the value is compared with; empty if nobody.
	peer      string
	peerValue sample
	// least is the target of the ratio, the peer's value by ours. None if 0.
	least float64
	// note says under the table what the row does not.
	note string
}

// sample is what was measured in several runs.
type sample []float64

func (s sample) median() float64 {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// scaled gives the sample in another unit.
func (s sample) scaled(factor float64) sample {
	out := make(sample, len(s))
	for i, v := range s {
		out[i] = v * factor
	}
	return out
}

// ratio is how many times the peer's median the row's is.
func (r row) ratio() float64 {
	if r.peer == "" || r.value.median() == 0 {
		return 0
	}
	return r.peerValue.median() / r.value.median()
}

// target says what the row must reach, and whether it does.
func (r row) target() string {
	var parts []string
	if r.most > 0 {
		parts = append(parts, fmt.Sprintf("<= %s %s", number(r.most), verdict(r.value.median() <= r.most)))
	}
	if r.fewest > 0 {
		parts = append(parts, fmt.Sprintf(">= %s %s", number(r.fewest), verdict(r.value.median() >= r.fewest)))
	}
	if r.zero {
		parts = append(parts, "= 0 "+verdict(r.value.median() == 0))
	}
	if r.least > 0 {
		parts = append(parts, fmt.Sprintf(">= %s x %s", number(r.least), verdict(r.ratio() >= r.least)))
	}
	return strings.Join(parts, ", ")
}

func verdict(met bool) string {
	if met {
		return "met"
	}
	return "MISSED"
}

func printTable(out io.Writer, runs int, rows []row) error {
	if len(rows) == 0 {
		return nil
	}
	fmt.Fprintf(out, "%s, %d cores, %s, load %s; medians of %d runs, range in brackets;\n"+
		"ratio: the peer's value by ours, above 1 is better than the peer\n\n",
		processor(), runtime.NumCPU(), runtime.Version(), load(), runs)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tVALUE\tUNIT\tRANGE\tTARGET\tPEER\tPEER'S VALUE\tRATIO")
	for _, r := range rows {
		peerValue, ratio := "", ""
		if r.peer != "" {
			peerValue = number(r.peerValue.median()) + " " + span(r.peerValue)
			ratio = number(r.ratio()) + " x"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n",
			r.name, number(r.value.median()), r.unit, span(r.value), r.target(), r.peer, peerValue, ratio)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out)
	for _, r := range rows {
		if r.note != "" {
			fmt.Fprintf(out, "%s: %s.\n", r.name, r.note)
		}
	}
	return nil
}

func span(s sample) string {
	if len(s) < 2 {
		return ""
	}
	return fmt.Sprintf("[%s - %s]", number(slices.Min(s)), number(slices.Max(s)))
}

// number writes a value with three significant digits, large ones whole.
func number(v float64) string {
	switch {
	case v >= 100 || v <= -100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10 || v <= -10:
		return fmt.Sprintf("%.1f", v)
	case v >= 1 || v <= -1:
		return fmt.Sprintf("%.2f", v)
	default:
		return fmt.Sprintf("%.3f", v)
	}
}

// processor and load say what a figure was measured on. They are for the
// reader, so a system without these files is no error.
func processor() string {
	file, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if name, ok := strings.CutPrefix(lines.Text(), "model name"); ok {
			return strings.TrimLeft(name, "\t :")
		}
	}
	return runtime.GOARCH
}

func load() string {
	data, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	one, _, _ := strings.Cut(string(data), " ")
	return one
}
