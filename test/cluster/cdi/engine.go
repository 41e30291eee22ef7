package cdi

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
)

const (
	reasonError   = "Error"
	reasonRunning = "Pod is running"
	reasonDone    = "Completed"

	// reportEvery keeps the writes of many transfers few; CDI itself looks every two seconds.
	reportEvery = time.Second
)

// job is one transfer into one volume.
type job struct {
	// volume is the claim that holds the volume, and target the one to report to.
	volume types.UID
	target client.ObjectKey
	path   string
	// limit is the size of the largest image that fits.
	limit int64
	size  int64
	// origin names the source in messages, and open begins to read it.
	origin   string
	checksum string
	open     opener
}

// state is what an importer Pod would show of a transfer.
type state struct {
	phase    corev1.PodPhase
	progress string
	restarts int
	running  bool
	fatal    bool
	reason   string
	message  string
}

// fatalError ends an import for good.
type fatalError struct{ error }

// notReadyError keeps the importer from starting, as a missing Secret does.
type notReadyError struct{ error }

// engine runs the transfers. Its memory is what importer Pods are to CDI: lost with the process, after
// which every unfinished transfer begins again.
type engine struct {
	ctx     context.Context //nolint:containedctx // a transfer outlives the reconcile that starts it
	slots   chan struct{}
	backoff time.Duration
	faults  *Faults
	clock   clock.WithTicker
	changed chan event.GenericEvent

	mu        sync.Mutex
	transfers map[types.UID]*transfer
}

type transfer struct {
	job
	engine *engine
	cancel context.CancelFunc

	mu         sync.Mutex
	state      state
	annotation Fault
	reported   time.Time
}

func newEngine(ctx context.Context, opts Options) *engine {
	return &engine{
		ctx: ctx, slots: make(chan struct{}, opts.Transfers), backoff: opts.Backoff, faults: opts.Faults, clock: opts.Clock,
		changed: make(chan event.GenericEvent, 4096), transfers: map[types.UID]*transfer{},
	}
}

// ensure starts a job if it does not run and returns how it is. The fault is that of the claim's annotation.
func (e *engine) ensure(j job, fault Fault) state {
	e.mu.Lock()
	defer e.mu.Unlock()
	t := e.transfers[j.volume]
	if t == nil {
		ctx, cancel := context.WithCancel(e.ctx)
		t = &transfer{job: j, engine: e, cancel: cancel, state: state{phase: corev1.PodPending}, annotation: fault}
		e.transfers[j.volume] = t
		go t.run(ctx)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.annotation = fault
	return t.state
}

// stop ends a job and forgets it.
func (e *engine) stop(volume types.UID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if t := e.transfers[volume]; t != nil {
		t.cancel()
		delete(e.transfers, volume)
	}
}

// stopFor ends every job that reports to a claim, which is gone.
func (e *engine) stopFor(target client.ObjectKey) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for volume, t := range e.transfers {
		if t.target == target {
			t.cancel()
			delete(e.transfers, volume)
		}
	}
}

// run attempts the transfer until it succeeds, fails for good or is stopped.
func (t *transfer) run(ctx context.Context) {
	select {
	case t.engine.slots <- struct{}{}:
	case <-ctx.Done():
		return
	}
	defer func() { <-t.engine.slots }()
	backoff := t.engine.backoff
	for {
		err := t.attempt(ctx)
		if ctx.Err() != nil || t.settle(err) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-t.engine.clock.After(backoff):
		}
		backoff = min(2*backoff, 16*t.engine.backoff)
	}
}

// settle turns the end of an attempt into a state, and says whether it was the last.
func (t *transfer) settle(err error) bool {
	_, fatal := errors.AsType[fatalError](err)
	_, notReady := errors.AsType[notReadyError](err)
	switch {
	case err == nil:
		t.update(func(s *state) {
			*s = state{phase: corev1.PodSucceeded, progress: "100.0%", restarts: s.restarts, reason: reasonDone, message: "Import Complete"}
		})
		return true
	case notReady:
		t.update(func(s *state) {
			s.phase, s.running, s.reason, s.message = corev1.PodPending, false, "Pending", err.Error()
		})
		return false
	case fatal:
		t.update(func(s *state) {
			s.phase, s.running, s.fatal, s.reason, s.message = corev1.PodFailed, false, true, reasonError, err.Error()
		})
		return true
	default:
		t.update(func(s *state) {
			s.phase, s.running, s.reason, s.message = corev1.PodRunning, false, reasonError, err.Error()
			s.restarts++
		})
		return false
	}
}

// update changes the state and has the claim looked at again.
func (t *transfer) update(change func(*state)) {
	t.mu.Lock()
	before := t.state
	change(&t.state)
	unchanged := before == t.state
	t.mu.Unlock()
	if unchanged {
		return
	}
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: t.target.Namespace, Name: t.target.Name}}
	select {
	case t.engine.changed <- event.GenericEvent{Object: claim}:
	case <-t.engine.ctx.Done():
	}
}

func (t *transfer) attempt(ctx context.Context) error {
	fault := t.fault()
	if fault.Fatal != "" {
		return fatalError{errors.New(fault.Fatal)}
	}
	in, err := t.open(ctx)
	if err != nil {
		if _, ok := errors.AsType[notReadyError](err); ok {
			return err
		}
		return fmt.Errorf("Unable to connect to %s data source: %w", t.origin, err) //nolint:staticcheck // CDI's words
	}
	t.update(func(s *state) { s.phase, s.running, s.reason, s.message = corev1.PodRunning, true, reasonRunning, "" })
	if err := errors.Join(t.copy(ctx, in), in.Close()); err != nil {
		return fmt.Errorf("Unable to process data: %w", err) //nolint:staticcheck // CDI's words
	}
	return nil
}

// fault is the fault as it is now: it may be set and taken away while the transfer runs.
func (t *transfer) fault() Fault {
	fault := t.engine.faults.of(t.target)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.annotation != (Fault{}) {
		return t.annotation
	}
	return fault
}

func (t *transfer) restarts() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state.restarts
}

// progress reports how far the transfer is, now and then.
func (t *transfer) progress(done, total int64) {
	if total <= 0 {
		return
	}
	now := t.engine.clock.Now()
	t.mu.Lock()
	early := now.Sub(t.reported) < reportEvery
	if !early {
		t.reported = now
	}
	t.mu.Unlock()
	if early {
		return
	}
	text := fmt.Sprintf("%.2f%%", 100*float64(done)/float64(total))
	t.update(func(s *state) { s.progress = text })
}
