package cluster

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// stopGrace is how long after SIGTERM a program is killed. None has anything to save but etcd, which ends at once.
	stopGrace = time.Second
	// reapTimeout is how long a program may take to end that has been killed.
	reapTimeout = 5 * time.Second
	// tailBytes and tailLines bound what an error shows of the log of a program that ended, fewLines what of one that runs.
	tailBytes = 16 << 10
	tailLines = 20
	fewLines  = 3
)

// command is a program to run.
type command struct {
	name string
	path string
	args []string
	env  []string
	// sys adds namespaces to the process; process group and death signal are always set.
	sys *syscall.SysProcAttr
}

// process is a program that runs.
type process struct {
	name    string
	logFile string
	cmd     *exec.Cmd
	done    chan struct{} // closed when the program has ended
	err     error         // why; valid once done is closed
}

// supervisor starts programs that die with this process, even where it is killed, and reports one that ends unasked.
//
// The kernel sends the death signal when the *thread* that started a program ends, so all are started from one thread that
// is kept until close.
type supervisor struct {
	logDir   string
	requests chan func()
	closed   chan struct{}
	closing  sync.Once
	failed   chan error

	mu       sync.Mutex
	stopping bool
	running  []*process
}

func newSupervisor(logDir string) *supervisor {
	s := &supervisor{
		logDir:   logDir,
		requests: make(chan func()),
		closed:   make(chan struct{}),
		failed:   make(chan error, 1),
	}
	go s.serve()
	return s
}

// serve never unlocks its thread, so the thread ends with it. The first thread of a process never ends: where it is that one,
// it is held until close, and another takes over.
func (s *supervisor) serve() {
	runtime.LockOSThread()
	if syscall.Gettid() == os.Getpid() {
		go s.serve()
		<-s.closed
		runtime.UnlockOSThread()
		return
	}
	for {
		select {
		case request := <-s.requests:
			request()
		case <-s.closed:
			return
		}
	}
}

// start runs a program, its output going to a file of its own.
func (s *supervisor) start(c command) (*process, error) {
	logFile := filepath.Join(s.logDir, c.name+".log")
	output, err := os.OpenFile(logFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening the log of %s: %w", c.name, err)
	}
	defer output.Close()                   // the child has its own descriptor
	cmd := exec.Command(c.path, c.args...) //nolint:noctx // ended by stop, in order
	cmd.Env = append(os.Environ(), c.env...)
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = c.sys
	p := &process{name: c.name, logFile: logFile, cmd: cmd, done: make(chan struct{})}
	if err := s.spawn(cmd); err != nil {
		return nil, fmt.Errorf("starting %s: %w", c.name, err)
	}
	s.mu.Lock()
	s.running = append(s.running, p)
	s.mu.Unlock()
	go s.watch(p)
	return p, nil
}

// spawn starts a command that dies with this process.
func (s *supervisor) spawn(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	started := make(chan error, 1)
	select {
	case s.requests <- func() { started <- cmd.Start() }:
		return <-started
	case <-s.closed:
		return errors.New("the cluster is stopped")
	}
}

// watch waits for the program's end, and reports it unless it was asked for.
func (s *supervisor) watch(p *process) {
	p.err = p.cmd.Wait()
	s.mu.Lock()
	stopping := s.stopping
	s.mu.Unlock()
	if !stopping {
		s.report(p.exitError())
	}
	close(p.done)
}

// report keeps the first failure, which is the cause of the others.
func (s *supervisor) report(err error) {
	select {
	case s.failed <- err:
	default:
	}
}

// stop ends the programs: all but the named ones at once, then those one by one, as servers outlive their clients.
func (s *supervisor) stop(ctx context.Context, servers ...string) error {
	s.mu.Lock()
	s.stopping = true
	running := slices.Clone(s.running)
	s.mu.Unlock()
	isClient := func(p *process) bool { return !slices.Contains(servers, p.name) }
	errs := []error{stopAll(ctx, slices.Collect(filter(running, isClient)))}
	for _, server := range servers {
		isServer := func(p *process) bool { return p.name == server }
		errs = append(errs, stopAll(ctx, slices.Collect(filter(running, isServer))))
	}
	return errors.Join(errs...)
}

// close ends the thread that the programs hang on, which kills any that is left.
func (s *supervisor) close() { s.closing.Do(func() { close(s.closed) }) }

func filter(all []*process, keep func(*process) bool) iter.Seq[*process] {
	return func(yield func(*process) bool) {
		for _, p := range all {
			if keep(p) && !yield(p) {
				return
			}
		}
	}
}

func stopAll(ctx context.Context, processes []*process) error {
	var wg sync.WaitGroup
	errs := make([]error, len(processes))
	for i, p := range processes {
		wg.Go(func() { errs[i] = p.stop(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// stop asks the program's process group to end, and kills it when it does not.
func (p *process) stop(ctx context.Context) error {
	p.signal(syscall.SIGTERM)
	waiting, cancel := context.WithTimeout(ctx, stopGrace)
	defer cancel()
	select {
	case <-p.done:
		return nil
	case <-waiting.Done():
	}
	p.signal(syscall.SIGKILL)
	select {
	case <-p.done:
		return nil
	case <-time.After(reapTimeout):
		return fmt.Errorf("%s (process %d) is still there after SIGKILL", p.name, p.cmd.Process.Pid)
	}
}

func (p *process) signal(signal syscall.Signal) {
	select {
	case <-p.done: // its number may belong to somebody else by now
	default:
		_ = syscall.Kill(-p.cmd.Process.Pid, signal)
	}
}

// exitError says how the program ended and what it said last.
func (p *process) exitError() error {
	reason := "exit status 0"
	if p.err != nil {
		reason = p.err.Error()
	}
	return fmt.Errorf("%s ended: %s\nlast lines of %s:\n%s", p.name, reason, p.logFile, tail(p.logFile, tailLines))
}

// lastWords are the last lines of every program, for when something does not happen and none of them has ended.
func (s *supervisor) lastWords() string {
	s.mu.Lock()
	running := slices.Clone(s.running)
	s.mu.Unlock()
	var words strings.Builder
	for _, p := range running {
		fmt.Fprintf(&words, "last lines of %s:\n%s\n", p.logFile, tail(p.logFile, fewLines))
	}
	return words.String()
}

// tail returns the last lines of a file.
func tail(path string, count int) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return "(" + err.Error() + ")"
	}
	if len(content) > tailBytes {
		content = content[len(content)-tailBytes:]
	}
	lines := strings.Split(strings.TrimRight(string(content), "\n"), "\n")
	if len(lines) > count {
		lines = lines[len(lines)-count:]
	}
	return "  " + strings.Join(lines, "\n  ")
}
