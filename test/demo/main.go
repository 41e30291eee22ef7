// Command demo starts a real control plane on this machine, installs fleets of every disk source with stock
// helm, and shows what they do: run, scale, survive an upgrade of the chart, and leave their disks behind.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"
)

const (
	// patience bounds the whole demo, once the programs are built.
	patience = 10 * time.Minute
	// stopTimeout bounds how long the programs may take to end.
	stopTimeout = 30 * time.Second
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	cancel()
	if err != nil {
		fmt.Fprintf(os.Stderr, "\ndemo: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	keep := flags.Bool("keep", false, "leave the cluster up when all is shown, until Ctrl-C")
	helm4 := flags.Bool("helm4", false, "use helm 4 in place of helm 3")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ctrl.SetLogger(logr.Discard()) // the stand-ins' own words are for those who work on them
	d := &demo{show: newPresenter(out), helm4: *helm4}
	defer func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		if stopErr := d.stop(stopping, err != nil); err == nil {
			err = stopErr
		}
	}()
	if err := d.start(ctx); err != nil {
		return err
	}
	if err := d.play(ctx); err != nil {
		return err
	}
	d.summary(*keep)
	if *keep {
		return d.cluster.Wait(ctx)
	}
	return nil
}
