package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"wukong.io/wukong/test/cluster"
	"wukong.io/wukong/test/stockhelm"
	"wukong.io/wukong/test/world"
)

// demo is one run.
type demo struct {
	show  *presenter
	helm4 bool

	dir     string
	cluster *cluster.Cluster
	world   *world.World
	helm    stockhelm.Helm

	images        map[string][]byte
	web, registry string
	machines      int
	clones        int
	kept          int
}

// start brings the control plane up.
func (d *demo) start(ctx context.Context) error {
	d.show.line("%s: fleets of virtual machines from one Helm values file.", d.show.style(bold, "Wukong"))
	d.show.line("A real etcd, kube-apiserver, kube-controller-manager, virt-api, virt-controller, CSI sidecars and")
	d.show.line("stock helm, as plain processes. Nodes, guests and CDI's importers are played by small controllers.")
	d.show.heading("A control plane")
	dir, err := os.MkdirTemp("", "wukong-demo-")
	if err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	d.dir, d.images = dir, map[string][]byte{}
	binaries, err := cluster.Build(ctx, d.show, "helm3", "helm4")
	if err != nil {
		return err
	}
	d.cluster, err = cluster.Start(ctx, cluster.Options{Log: d.show, LogDir: filepath.Join(dir, "logs")})
	if err != nil {
		return err
	}
	d.world, err = world.New(d.cluster.Config, d.cluster.VolumeRoot)
	if err != nil {
		return err
	}
	d.helm = stockhelm.Helm{Path: binaries.Helm3, Kubeconfig: d.cluster.Kubeconfig, Home: filepath.Join(dir, "helm")}
	if d.helm4 {
		d.helm.Path = binaries.Helm4
	}
	d.show.done("the cluster is up")
	return d.writeFleets()
}

// play shows one thing after the other. A part of the cluster that dies ends it.
func (d *demo) play(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("this took longer than %s", patience))
	defer cancel()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	go func() {
		if err := d.cluster.Wait(ctx); err != nil {
			fail(err)
		}
	}()
	for _, act := range []struct {
		title string
		play  func(context.Context) error
	}{
		{"What fleets stand on", d.prepareAll},
		{"Fleets of every disk source, by stock helm", d.installFleets},
		{"The bytes", d.compareBytes},
		{"Scale a pool down and up", d.scale},
		{"Upgrade the chart", d.upgrade},
		{"Uninstall", d.uninstall},
	} {
		d.show.heading(act.title)
		if err := act.play(ctx); err != nil {
			return fmt.Errorf("%s: %w", strings.ToLower(act.title[:1])+act.title[1:], err)
		}
	}
	return nil
}

// prepareAll installs the kinds of Wukong, and makes what the fleets need.
func (d *demo) prepareAll(ctx context.Context) error {
	version, err := d.helm.Run(ctx, "version", "--short")
	if err != nil {
		return err
	}
	// The definitions alone: policies want the webhook's stamp on every job, and no webhook runs here.
	definitions := stockhelm.Release{
		Namespace: "default", Name: "wukong", Chart: stockhelm.Chart("wukong"),
		Set: []string{"policies.enabled=false,webhook.enabled=false,controllers.enabled=false"},
	}
	d.show.command("helm install wukong charts/wukong --set", definitions.Set[0])
	if _, err := d.helm.Install(ctx, definitions); err != nil {
		return err
	}
	d.show.done("the custom resource definitions, by stock helm %s", shortVersion(version))
	return d.prepare(ctx)
}

// shortVersion is the version alone, without the commit.
func shortVersion(version string) string {
	short, _, _ := strings.Cut(strings.TrimSpace(version), "+")
	return short
}

// summary says what there was to see.
func (d *demo) summary(keep bool) {
	d.show.line("\n%s", d.show.style(bold, "What you saw"))
	d.show.line("   %d machines of %d fleets, reported Running by KubeVirt; %d copied disks that hold what their sources hold;", d.machines, len(d.fleets()), d.clones)
	d.show.line("   a pool that shrank and got its disks back; an upgrade that restarted nothing; %d disks that outlived their fleet.", d.kept)
	d.show.line("   %s in all.", seconds(time.Since(d.show.started)))
	d.show.line("\n%s", d.show.style(bold, "What to type next"))
	if keep {
		d.show.line("   export KUBECONFIG=%s", d.cluster.Kubeconfig)
		d.show.line("   alias kubectl=%s virtctl=%s helm=%s", d.cluster.Binaries.Kubectl, d.cluster.Binaries.Virtctl, d.helm.Path)
		d.show.line("   kubectl -n %s get vm,vmi,dv,pvc", namespace)
		d.show.line("   helm -n %s upgrade census charts/vm-fleet --reuse-values --set pools.analyst.replicas=10", namespace)
		d.show.line("   The cluster stays up until you press Ctrl-C.")
		return
	}
	d.show.line("   go run ./test/demo -keep             the same, and the cluster stays up for you")
	d.show.line("   go run ./cmd/wukong templates        the catalogue of fleet files")
	d.show.line("   less test/demo/fleets/mixed.yaml     a machine with every disk source")
	d.show.line("   make test                            all tests")
}

// stop ends the cluster. After a failure the logs stay.
func (d *demo) stop(ctx context.Context, failed bool) error {
	var errs []error
	if d.world != nil {
		d.world.Close()
	}
	if d.cluster != nil {
		errs = append(errs, d.cluster.Stop(ctx))
	}
	if failed && d.dir != "" {
		d.show.line("\nThe logs of every program are in %s", filepath.Join(d.dir, "logs"))
		return errors.Join(errs...)
	}
	return errors.Join(append(errs, os.RemoveAll(d.dir))...)
}
