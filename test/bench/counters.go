package main

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	durations = "apiserver_admission_webhook_admission_duration_seconds"
	// policies counts the evaluations of conditions: those of policies that let a
	// request pass are not counted elsewhere.
	policies = "apiserver_admission_match_condition_evaluation_seconds_count{"
)

// counters is what the API server has counted, by the name of a hook. The empty
// name stands for no hook and has nothing.
type counters struct {
	count, sum map[string]float64
	// buckets are how many calls took no longer than so many seconds.
	buckets map[string]map[float64]float64
	// policies is how often a policy was evaluated.
	policies float64
}

func (s *stage) counters(ctx context.Context) (counters, error) {
	raw, err := s.rest.Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return counters{}, fmt.Errorf("reading the API server's metrics: %w", err)
	}
	return parseCounters(string(raw))
}

func parseCounters(text string) (counters, error) {
	c := counters{count: map[string]float64{}, sum: map[string]float64{}, buckets: map[string]map[float64]float64{}}
	hook, bound := regexp.MustCompile(`[{,]name="([^"]*)"`), regexp.MustCompile(`[{,]le="([^"]*)"`)
	for line := range strings.Lines(text) {
		series, ok := strings.CutPrefix(line, durations)
		policy := strings.HasPrefix(line, policies) && strings.Contains(line, `kind="policy"`)
		if !ok && !policy {
			continue
		}
		value, err := strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndexByte(line, ' ')+1:]), 64)
		if err != nil {
			return c, fmt.Errorf("reading the API server's metrics: %w", err)
		}
		if policy {
			c.policies += value
			continue
		}
		name := hook.FindStringSubmatch(series)
		if name == nil {
			return c, fmt.Errorf("reading the API server's metrics: found no hook's name in %q", line)
		}
		switch {
		case strings.HasPrefix(series, "_count{"):
			c.count[name[1]] += value
		case strings.HasPrefix(series, "_sum{"):
			c.sum[name[1]] += value
		case strings.HasPrefix(series, "_bucket{"):
			le, err := strconv.ParseFloat(bound.FindStringSubmatch(series)[1], 64)
			if err != nil {
				return c, fmt.Errorf("reading the API server's metrics: %w", err)
			}
			if c.buckets[name[1]] == nil {
				c.buckets[name[1]] = map[float64]float64{}
			}
			c.buckets[name[1]][le] += value
		}
	}
	return c, nil
}

func (c counters) minus(before counters) counters {
	out := counters{count: map[string]float64{}, sum: map[string]float64{}, buckets: map[string]map[float64]float64{}, policies: c.policies - before.policies}
	for hook := range c.count {
		out.count[hook] = c.count[hook] - before.count[hook]
		out.sum[hook] = c.sum[hook] - before.sum[hook]
		out.buckets[hook] = map[float64]float64{}
		for le, n := range c.buckets[hook] {
			out.buckets[hook][le] = n - before.buckets[hook][le]
		}
	}
	return out
}

// meanOf is the seconds a request waited for some hooks together.
func (c counters) meanOf(hooks ...string) float64 {
	total := 0.0
	for _, hook := range hooks {
		if c.count[hook] > 0 {
			total += c.sum[hook] / c.count[hook]
		}
	}
	return total
}

// quantileOf estimates a quantile from the buckets, as histogram_quantile does.
func (c counters) quantileOf(hook string, q float64) float64 {
	if c.count[hook] == 0 {
		return 0
	}
	bounds := make([]float64, 0, len(c.buckets[hook]))
	for le := range c.buckets[hook] {
		bounds = append(bounds, le)
	}
	slices.Sort(bounds)
	rank, low, below := q*c.count[hook], 0.0, 0.0
	for _, le := range bounds {
		n := c.buckets[hook][le]
		if n >= rank {
			if math.IsInf(le, 1) {
				return low
			}
			return low + (le-low)*(rank-below)/(n-below)
		}
		low, below = le, n
	}
	return low
}
