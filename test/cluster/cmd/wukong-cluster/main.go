// Command wukong-cluster runs a real Kubernetes and KubeVirt control plane on this machine until it is interrupted.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"

	"wukong.io/wukong/test/cluster"
)

// stopTimeout bounds how long the programs may take to end.
const stopTimeout = 30 * time.Second

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctrl.SetLogger(logr.Discard()) // what the stand-ins have to say is in the objects
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "wukong-cluster:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	options := cluster.Options{Log: progress}
	flags := flag.NewFlagSet("wukong-cluster", flag.ContinueOnError)
	flags.SetOutput(progress)
	flags.StringVar(&options.Dir, "dir", "", "folder for the cluster's state (default a temporary one, removed at the end)")
	flags.StringVar(&options.LogDir, "log-dir", "", "folder for the programs' logs (default logs in the state's folder)")
	buildOnly := flags.Bool("build-only", false, "compile every program, stock helm included, and end")
	gates := flags.String("feature-gates", strings.Join(cluster.DefaultFeatureGates(), ","), "KubeVirt's feature gates, comma-separated")
	bare := flags.Bool("kubernetes-only", false, "leave out KubeVirt, storage, importer and node")
	if err := flags.Parse(args); err != nil {
		return err
	}
	options.NoKubeVirt, options.NoStorage, options.NoCDI, options.NoNode = *bare, *bare, *bare, *bare
	options.FeatureGates = strings.Split(*gates, ",")
	if *buildOnly {
		_, err := cluster.Build(ctx, progress)
		return err
	}
	return serve(ctx, options, out)
}

// serve runs a cluster until ctx ends or a part of the cluster does.
func serve(ctx context.Context, options cluster.Options, out io.Writer) (err error) {
	c, err := cluster.Start(ctx, options)
	if err != nil {
		return err
	}
	defer func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		fmt.Fprintln(options.Log, "stopping")
		if stopErr := c.Stop(stopping); err == nil {
			err = stopErr
		}
	}()
	describe(out, c)
	return c.Wait(ctx)
}

// describe tells how to use the cluster.
func describe(out io.Writer, c *cluster.Cluster) {
	fmt.Fprintf(out, `
The cluster runs until this program is interrupted.

  export KUBECONFIG=%s
  alias kubectl=%s virtctl=%s

  kubectl get storageclasses,virtualmachineclusterinstancetypes
  kubectl get vms,vmis,pods -A --watch

logs     %s
volumes  %s
`, c.Kubeconfig, c.Binaries.Kubectl, c.Binaries.Virtctl, c.LogDir, c.VolumeRoot)
	if c.Proxy != nil {
		fmt.Fprintf(out, "proxy    %s (to Services such as virt-export-NAME.NAMESPACE.svc)\n", c.Proxy)
	}
}
