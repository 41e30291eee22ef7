package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"path/filepath"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	kubefake "helm.sh/helm/v3/pkg/kube/fake"
	"helm.sh/helm/v3/pkg/storage"
	"helm.sh/helm/v3/pkg/storage/driver"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"wukong.io/wukong/pkg/fleet"
)

// measureRelease compares the predicted size of the release with that of the
// Secret that Helm stores.
func measureRelease(ctx context.Context, b *bench) ([]row, error) {
	renderer, err := fleet.New()
	if err != nil {
		return nil, err
	}
	var rows []row
	for _, machines := range []int{200, 1_000, 3_000} {
		stored, err := b.storedRelease(ctx, machines)
		if err != nil {
			return nil, err
		}
		input, err := parseFleet(machines)
		if err != nil {
			return nil, err
		}
		predicted, err := renderer.ReleaseBytes(ctx, input)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row{
			name: fmt.Sprintf("release of %d machines, predicted", machines), unit: "KiB", value: sample{float64(predicted) / 1024},
			peer: "Secret of Helm's driver", peerValue: sample{float64(stored) / 1024},
			note: fmt.Sprintf("the prediction is off by %.2f %%", 100*math.Abs(float64(predicted-stored))/float64(stored)),
		})
	}
	return rows, nil
}

// storedRelease installs a fleet by Helm's own action and storage driver, into
// an API server that only remembers, and gives the size of what is stored.
func (b *bench) storedRelease(ctx context.Context, machines int) (int, error) {
	loaded, err := loader.Load(filepath.Join(b.charts, "vm-fleet"))
	if err != nil {
		return 0, err
	}
	file, err := b.writeFleet(machines)
	if err != nil {
		return 0, err
	}
	values, err := chartutil.ReadValuesFile(file)
	if err != nil {
		return 0, err
	}
	secrets := fake.NewClientset().CoreV1().Secrets(namespace)
	install := action.NewInstall(&action.Configuration{
		Releases:     storage.Init(driver.NewSecrets(secrets)),
		KubeClient:   &kubefake.PrintingKubeClient{Out: io.Discard},
		Capabilities: chartutil.DefaultCapabilities,
		Log:          func(string, ...any) {},
	})
	install.ReleaseName, install.Namespace = releaseName, namespace
	if _, err := install.RunWithContext(ctx, loaded, values); err != nil {
		return 0, fmt.Errorf("installing a fleet of %d machines: %w", machines, err)
	}
	list, err := secrets.List(ctx, metav1.ListOptions{})
	if err != nil {
		return 0, err
	}
	if len(list.Items) != 1 {
		return 0, fmt.Errorf("found %d release Secrets, want 1", len(list.Items))
	}
	return len(list.Items[0].Data["release"]), nil
}
