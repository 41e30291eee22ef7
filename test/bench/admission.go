package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-logr/logr"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"wukong.io/wukong/test/cluster"
)

const (
	// steadyRate is how many requests a second the API server is sent.
	steadyRate = 50
	// steadyRequests is how many of them are a turn: half of them create
	// machines, half change one.
	steadyRequests = 250
	// quickMachines are created at once in a turn that measures throughput.
	quickMachines = 150
	// quickWorkers create them side by side.
	quickWorkers = 8
	// singleRequests are sent one by one, the API server's sums read after each.
	singleRequests = 40
	// updatedMachines take turns in being changed.
	updatedMachines = 20
	// strangers are machines that have not opted in.
	strangers = 100
)

// turns is what the turns of one setting took, in milliseconds.
type turns struct {
	// creates and updates are the client's times, one sample for each turn.
	createP50, createP99, updateP50, updateP99 sample
	// mean and p99 are the API server's times for our hooks at the steady rate.
	mean, p99 sample
	// single are the API server's times for each request sent by itself.
	single sample
	// each is the time for a machine when many are created at once.
	each sample
	// calls are how many calls of the hook were counted for how many requests.
	calls, requests float64
}

// measureAdmission compares, on one API server and in turns, no webhook, one
// that allows everything, and ours with its policies. KubeVirt's own webhooks
// are there in all three.
func measureAdmission(ctx context.Context, b *bench) (rows []row, err error) {
	manager, err := b.buildManager(ctx)
	if err != nil {
		return nil, err
	}
	ctrllog.SetLogger(logr.Discard())
	c, err := cluster.Start(ctx, cluster.Options{NoNode: true})
	if err != nil {
		return nil, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		err = errors.Join(err, c.Stop(ctx))
	}()
	s, err := newStage(ctx, b, c)
	if err != nil {
		return nil, err
	}
	process, err := s.installOurs(ctx, manager)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, process.stop()) }()
	settings, err := s.settings(ctx)
	if err != nil {
		return nil, err
	}
	defer settings.close()
	taken, err := s.compare(ctx, settings.all)
	if err != nil {
		return nil, err
	}
	none, noop, ours := taken[0], taken[1], taken[2]
	rows = admissionRows(none, noop, ours)
	called, err := s.callsForStrangers(ctx, settings.all[2])
	if err != nil {
		return rows, err
	}
	rows = append(rows, row{
		name: "admission, calls for machines that did not opt in", unit: "calls", value: sample{called}, zero: true,
		note: fmt.Sprintf("by the API server's counters, %d machines created and changed while our hooks are registered", strangers),
	})
	return rows, nil
}

func admissionRows(none, noop, ours *turns) []row {
	const noWebhook, noopWebhook = "no webhook", "no-op webhook"
	client := func(name string, get func(*turns) sample) row {
		return row{name: "admission, client's time, " + name, unit: "ms", value: get(ours), peer: noWebhook, peerValue: get(none)}
	}
	return []row{
		{
			name: "admission, API server's time, one by one, p50", unit: "ms", value: sample{quantile(ours.single, 0.5)}, most: 2,
			peer: noopWebhook, peerValue: sample{quantile(noop.single, 0.5)},
			note: fmt.Sprintf("both our hooks together, by the sums of apiserver_admission_webhook_admission_duration_seconds, which are read after each of %d requests: "+
				"the metric's first bucket is 5 ms, too coarse for a median", len(ours.single)),
		},
		{
			name: "admission, API server's time, one by one, p99", unit: "ms", value: sample{quantile(ours.single, 0.99)}, most: 10,
			peer: noopWebhook, peerValue: sample{quantile(noop.single, 0.99)},
		},
		{
			name: fmt.Sprintf("admission, API server's time at %d/s, mean", steadyRate), unit: "ms", value: ours.mean,
			peer: noopWebhook, peerValue: noop.mean,
			note: fmt.Sprintf("both hooks together, %d requests a turn, half creates, half updates; %.0f calls of the mutating hook for %.0f requests, those of virt-controller included",
				steadyRequests, ours.calls, ours.requests),
		},
		{
			name: fmt.Sprintf("admission, API server's time at %d/s, p99", steadyRate), unit: "ms", value: ours.p99, most: 10,
			peer: noopWebhook, peerValue: noop.p99,
			note: "the slower of the two hooks, from the metric's buckets as histogram_quantile does, which begin at 0 - 5 - 25 ms",
		},
		client("create, p50", func(t *turns) sample { return t.createP50 }),
		client("create, p99", func(t *turns) sample { return t.createP99 }),
		client("update, p50", func(t *turns) sample { return t.updateP50 }),
		client("update, p99", func(t *turns) sample { return t.updateP99 }),
		{
			name: "admission, creating machines, each", unit: "ms", value: ours.each,
			peer: noWebhook, peerValue: none.each, least: 0.9,
			note: fmt.Sprintf("%d machines by %d clients at once; the ratio is that of the throughputs. The no-op webhook takes %s ms",
				quickMachines, quickWorkers, number(noop.each.median())),
		},
	}
}

// compare measures the settings in turns. The first turn warms up.
func (s *stage) compare(ctx context.Context, settings []setting) ([]*turns, error) {
	if err := s.createUpdated(ctx); err != nil {
		return nil, err
	}
	taken := make([]*turns, len(settings))
	for turn := range s.runs + 1 {
		for i, setting := range settings {
			if err := s.enter(ctx, setting); err != nil {
				return nil, fmt.Errorf("setting up %s: %w", setting.name, err)
			}
			if turn <= 1 {
				taken[i] = &turns{}
			}
			if err := s.turn(ctx, setting, taken[i]); err != nil {
				return nil, fmt.Errorf("measuring %s: %w", setting.name, err)
			}
		}
		fmt.Fprintf(s.log, "admission: turn %d of %d, load %s\n", turn, s.runs, load())
	}
	return taken, nil
}

// turn measures one setting once.
func (s *stage) turn(ctx context.Context, setting setting, taken *turns) error {
	before, err := s.counters(ctx)
	if err != nil {
		return err
	}
	creates, updates, err := s.steady(ctx)
	if err != nil {
		return err
	}
	after, err := s.counters(ctx)
	if err != nil {
		return err
	}
	spent := after.minus(before)
	if err := setting.check(spent, steadyRequests); err != nil {
		return err
	}
	taken.createP50 = append(taken.createP50, quantile(creates, 0.5))
	taken.createP99 = append(taken.createP99, quantile(creates, 0.99))
	taken.updateP50 = append(taken.updateP50, quantile(updates, 0.5))
	taken.updateP99 = append(taken.updateP99, quantile(updates, 0.99))
	taken.mean = append(taken.mean, 1000*spent.meanOf(setting.mutating, setting.validating))
	taken.p99 = append(taken.p99, 1000*max(spent.quantileOf(setting.mutating, 0.99), spent.quantileOf(setting.validating, 0.99)))
	taken.calls += spent.count[setting.mutating]
	taken.requests += steadyRequests
	if setting.mutating != "" {
		single, err := s.single(ctx, setting)
		if err != nil {
			return err
		}
		taken.single = append(taken.single, single...)
	}
	if err := s.quiet(ctx); err != nil {
		return err
	}
	took, err := s.quick(ctx)
	if err != nil {
		return err
	}
	taken.each = append(taken.each, float64(took)/float64(time.Millisecond)/quickMachines)
	return s.quiet(ctx)
}

// quantile is the smallest value that so much of a sample does not exceed.
func quantile(s sample, q float64) float64 {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}
