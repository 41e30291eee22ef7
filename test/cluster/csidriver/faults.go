package csidriver

import (
	"context"
	"path"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Faults makes the driver misbehave on command. The zero value does nothing, and every method may be called
// while the driver runs. A call is named as in the CSI specification, for example "CreateSnapshot".
type Faults struct {
	mu      sync.Mutex
	rules   map[string]*rule
	noSpace bool
}

type rule struct {
	delay time.Duration
	fail  int
	code  codes.Code
	lose  int
}

// Delay holds every coming call of that name for d; zero ends it.
func (f *Faults) Delay(call string, d time.Duration) {
	f.change(call, func(r *rule) { r.delay = d })
}

// Fail refuses the next n calls of that name with code, without doing their work.
func (f *Faults) Fail(call string, n int, code codes.Code) {
	f.change(call, func(r *rule) { r.fail, r.code = n, code })
}

// LoseReply does the work of the next n calls of that name and then answers Unavailable, as when the
// connection breaks between the work and the answer.
func (f *Faults) LoseReply(call string, n int) {
	f.change(call, func(r *rule) { r.lose = n })
}

// OutOfSpace makes everything that needs space fail with ResourceExhausted while it is on.
func (f *Faults) OutOfSpace(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.noSpace = on
}

// Reset ends every fault.
func (f *Faults) Reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules, f.noSpace = nil, false
}

func (f *Faults) change(call string, set func(*rule)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.rules == nil {
		f.rules = map[string]*rule{}
	}
	if f.rules[call] == nil {
		f.rules[call] = &rule{}
	}
	set(f.rules[call])
}

func (f *Faults) outOfSpace() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.noSpace
}

// take uses up one call: how long to wait, and whether it loses its answer or fails.
func (f *Faults) take(call string) (delay time.Duration, lose bool, fail error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.rules[call]
	if r == nil {
		return 0, false, nil
	}
	if r.fail > 0 {
		r.fail--
		return r.delay, false, status.Errorf(r.code, "fault injected into %s", call)
	}
	if r.lose > 0 {
		r.lose--
		return r.delay, true, nil
	}
	return r.delay, false, nil
}

// intercept applies the faults around a call.
func (f *Faults) intercept(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	call := path.Base(info.FullMethod)
	delay, lose, fail := f.take(call)
	if err := wait(ctx, delay); err != nil {
		return nil, status.FromContextError(err).Err()
	}
	if fail != nil {
		return nil, fail
	}
	resp, err := next(ctx, req)
	if err == nil && lose {
		return nil, status.Errorf(codes.Unavailable, "fault injected into %s: the answer was lost", call)
	}
	return resp, err
}

func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
