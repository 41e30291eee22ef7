package node

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/event"
)

const (
	firstBackoff = 500 * time.Millisecond
	longBackoff  = 30 * time.Second
)

// processes runs the programs behind Pods, each in a goroutine of its own, and restarts one as its Pod's
// restart policy says.
type processes struct {
	ctx     context.Context //nolint:containedctx // a process outlives the reconcile that starts it
	program func(*corev1.Pod) Process
	clock   clock.WithTicker
	changed chan event.GenericEvent

	mu      sync.Mutex
	running map[types.UID]*process
}

type process struct {
	cancel context.CancelFunc
	state  processState
	ended  bool
}

// processState is what the kubelet reports of a process.
type processState struct {
	// result is set once the process has ended for good.
	result *Result
	// last is how the run before this one ended.
	last     *Result
	restarts int32
	// waiting says that the process waits to be restarted.
	waiting bool
}

func newProcesses(ctx context.Context, program func(*corev1.Pod) Process, clock clock.WithTicker) *processes {
	return &processes{
		ctx: ctx, program: program, clock: clock,
		changed: make(chan event.GenericEvent, 1024), running: map[types.UID]*process{},
	}
}

// ensure starts the process of a Pod if it does not run, and returns how it is.
func (p *processes) ensure(pod *corev1.Pod) processState {
	p.mu.Lock()
	defer p.mu.Unlock()
	if running := p.running[pod.UID]; running != nil {
		return running.state
	}
	program := p.program(pod)
	if program == nil {
		if code, ok := exitCode(pod); ok {
			return processState{result: &Result{ExitCode: code}}
		}
		return processState{}
	}
	ctx, cancel := context.WithCancel(p.ctx)
	p.running[pod.UID] = &process{cancel: cancel}
	go p.run(ctx, pod.DeepCopy(), program)
	return processState{}
}

// stop ends the process of a Pod and says whether it has ended.
func (p *processes) stop(uid types.UID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	running := p.running[uid]
	if running == nil {
		return true
	}
	running.cancel()
	if running.ended {
		delete(p.running, uid)
	}
	return running.ended
}

func (p *processes) run(ctx context.Context, pod *corev1.Pod, program Process) {
	defer p.update(pod, func(running *process) { running.ended = true })
	backoff := firstBackoff
	for {
		result := program(ctx)
		again := pod.Spec.RestartPolicy == corev1.RestartPolicyAlways ||
			(pod.Spec.RestartPolicy == corev1.RestartPolicyOnFailure && result.ExitCode != 0)
		if !again || ctx.Err() != nil {
			p.update(pod, func(running *process) { running.state.result, running.state.waiting = &result, false })
			return
		}
		p.update(pod, func(running *process) { running.state.last, running.state.waiting = &result, true })
		select {
		case <-ctx.Done():
			return
		case <-p.clock.After(backoff):
		}
		backoff = min(2*backoff, longBackoff)
		p.update(pod, func(running *process) { running.state.restarts++; running.state.waiting = false })
	}
}

// update changes the state of a process and has its Pod looked at again.
func (p *processes) update(pod *corev1.Pod, change func(*process)) {
	p.mu.Lock()
	if running := p.running[pod.UID]; running != nil {
		change(running)
	}
	p.mu.Unlock()
	select {
	case p.changed <- event.GenericEvent{Object: pod}:
	case <-p.ctx.Done():
	}
}
