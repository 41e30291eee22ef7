package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
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
