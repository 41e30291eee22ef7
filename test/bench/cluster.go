package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"wukong.io/wukong/test/cluster"
)

const (
	// installFleet is how many machines are created on the control plane.
	installFleet = 50
	// installRuns is how often: a control plane does not get faster by use.
	installRuns = 3
	// stopTimeout bounds the end of the control plane.
	stopTimeout = time.Minute
)

// measureCluster measures on a real control plane, which is started once: how
// long that takes, and how fast machines are created on it.
func measureCluster(ctx context.Context, b *bench) (rows []row, err error) {
	if _, err := cluster.Build(ctx, b.log); err != nil { // building is not starting
		return nil, err
	}
	ctrllog.SetLogger(logr.Discard())
	started := time.Now()
	c, err := cluster.Start(ctx, cluster.Options{})
	if err != nil {
		return nil, err
	}
	rows = append(rows, row{
		name: "control plane, start", unit: "s", value: sample{time.Since(started).Seconds()},
		note: "once, from built programs until every part of it has answered",
	})
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		err = errors.Join(err, c.Stop(ctx))
	}()
	install, err := b.measureInstall(ctx, c)
	return append(rows, install...), err
}

// measureInstall compares helm install with creating the same objects by
// kubectl, in a namespace of its own each time. The machines are halted, so
// that those of earlier turns rest.
func (b *bench) measureInstall(ctx context.Context, c *cluster.Cluster) ([]row, error) {
	file := filepath.Join(b.scratch, "halted.yaml")
	halted := bytes.Replace(fleetFile(installFleet), []byte("    template:\n"), []byte("    template:\n      runStrategy: Halted\n"), 1)
	if err := os.WriteFile(file, halted, 0o600); err != nil {
		return nil, err
	}
	chart := filepath.Join(b.charts, "vm-fleet")
	var installed, created sample
	for turn := range installRuns + 1 {
		install, err := b.install(ctx, c, fmt.Sprintf("install-%d", turn), chart, file)
		if err != nil {
			return nil, err
		}
		create, err := b.create(ctx, c, fmt.Sprintf("create-%d", turn), chart, file)
		if err != nil {
			return nil, err
		}
		if turn > 0 { // the first turn warms the caches up
			installed, created = append(installed, install.seconds), append(created, create.seconds)
		}
	}
	return []row{{
		name: "control plane, helm install, a machine", unit: "ms", value: installed.scaled(1000.0 / installFleet),
		peer: "kubectl create", peerValue: created.scaled(1000.0 / installFleet),
		note: fmt.Sprintf("%d halted machines of four objects each, through KubeVirt's admission, by helm v3", installFleet),
	}}, nil
}

func (b *bench) install(ctx context.Context, c *cluster.Cluster, namespace, chart, file string) (usage, error) {
	if err := createNamespace(ctx, c, namespace); err != nil {
		return usage{}, err
	}
	helm := program{name: "helm install", path: b.helm3.path, args: []string{
		"install", releaseName, chart, "--namespace", namespace, "--kubeconfig", c.Kubeconfig, "-f", file,
	}}
	return helm.run(ctx, b.scratch, io.Discard)
}

func (b *bench) create(ctx context.Context, c *cluster.Cluster, namespace, chart, file string) (usage, error) {
	if err := createNamespace(ctx, c, namespace); err != nil {
		return usage{}, err
	}
	var manifests bytes.Buffer
	template := b.helm3.template(chart, file)
	template.args = append(template.args, "--namespace", namespace)
	if _, err := template.run(ctx, b.scratch, &manifests); err != nil {
		return usage{}, err
	}
	rendered := filepath.Join(b.scratch, namespace+".yaml")
	if err := os.WriteFile(rendered, manifests.Bytes(), 0o600); err != nil {
		return usage{}, err
	}
	kubectl := program{name: "kubectl create", path: c.Binaries.Kubectl, args: []string{
		"create", "--kubeconfig", c.Kubeconfig, "-f", rendered,
	}}
	return kubectl.run(ctx, b.scratch, io.Discard)
}

func createNamespace(ctx context.Context, c *cluster.Cluster, name string) error {
	client, err := kubernetes.NewForConfig(c.Config)
	if err != nil {
		return err
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	_, err = client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{})
	return err
}
