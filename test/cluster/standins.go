package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
)

// standIns are the parts of the cluster that run inside this process.
type standIns struct {
	ctx        context.Context //nolint:containedctx // ends with stop, not with the context of Start
	cancel     context.CancelFunc
	supervisor *supervisor
	running    sync.WaitGroup
}

func newStandIns(s *supervisor) *standIns {
	ctx, cancel := context.WithCancel(context.Background())
	return &standIns{ctx: ctx, cancel: cancel, supervisor: s}
}

// newStandInLog opens the log of what the stand-ins' controllers say.
func newStandInLog(dir string) (logr.Logger, error) {
	file, err := os.OpenFile(filepath.Join(dir, "stand-ins.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return logr.Logger{}, fmt.Errorf("opening the log of the stand-ins: %w", err)
	}
	var mu sync.Mutex
	say := func(prefix, line string) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintln(file, prefix, line) // open until the process ends: they may speak even while they are stopped
	}
	return funcr.New(say, funcr.Options{LogTimestamp: true}), nil
}

// start runs a stand-in until stop. One that ends before is reported as a program would be.
func (s *standIns) start(name string, run func(context.Context) error) {
	s.running.Go(func() {
		err := run(s.ctx)
		if s.ctx.Err() != nil {
			return // asked for, and what a stand-in says when it is cut off is no error
		}
		if err == nil {
			err = errors.New("no reason given")
		}
		s.supervisor.report(fmt.Errorf("the stand-in %q ended: %w", name, err))
	})
}

// stop ends all stand-ins and waits for them.
func (s *standIns) stop(ctx context.Context) error {
	s.cancel()
	done := make(chan struct{})
	go func() {
		s.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for the stand-ins to end: %w", ctx.Err())
	}
}
