package webhook

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr/funcr"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// lacking is a cluster without the kinds of some groups.
type lacking struct {
	apimeta.RESTMapper
	groups string
}

func (l lacking) RESTMapping(kind schema.GroupKind, versions ...string) (*apimeta.RESTMapping, error) {
	if slices.Contains(strings.Fields(l.groups), kind.Group) {
		return nil, &apimeta.NoKindMatchError{GroupKind: kind, SearchedVersions: versions}
	}
	return &apimeta.RESTMapping{}, nil
}

func lookFor(t *testing.T, groups string) (absent []watched, logged string, err error) {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	ctx, cancel := context.WithCancel(log.IntoContext(t.Context(), funcr.New(func(_, args string) { said.WriteString(args + "\n") }, funcr.Options{})))
	cancel() // a wait ends at once
	_, absent, err = kinds{scheme: scheme, mapper: lacking{groups: groups}}.present(ctx, watchedKinds())
	return absent, said.String(), err
}

func TestMissingDefinitionsOfOthersAreDoneWithout(t *testing.T) {
	absent, logged, err := lookFor(t, "cdi.kubevirt.io k8s.cni.cncf.io snapshot.storage.k8s.io")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"DataVolume.cdi.kubevirt.io", "StorageProfile.cdi.kubevirt.io", `"install"="CDI"`, "VolumeSnapshotClass.snapshot.storage.k8s.io"} {
		if !strings.Contains(logged, want) {
			t.Errorf("the log does not name %s:\n%s", want, logged)
		}
	}
	reader := newKnownReader(nil, absent) // a read of an absent kind never reaches the cache
	if err := reader.Get(t.Context(), client.ObjectKey{Name: "a"}, &cdiv1.DataVolume{}); !apimeta.IsNoMatchError(err) {
		t.Errorf("reading an absent kind: %v", err)
	}
	if err := reader.List(t.Context(), &cdiv1.DataVolumeList{}); !apimeta.IsNoMatchError(err) {
		t.Errorf("listing an absent kind: %v", err)
	}
	if err := reader.Get(t.Context(), client.ObjectKey{Name: "a"}, metadataOnly(networkKind())); !apimeta.IsNoMatchError(err) {
		t.Errorf("reading the metadata of an absent kind: %v", err)
	}
}

func TestKubeVirtIsWaitedFor(t *testing.T) {
	_, logged, err := lookFor(t, "kubevirt.io")
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "VirtualMachine.kubevirt.io, which KubeVirt brings") {
		t.Errorf("found error %v", err)
	}
	if !strings.Contains(logged, "Waiting for a definition") || !strings.Contains(logged, "VirtualMachine.kubevirt.io") {
		t.Errorf("the log does not say what is waited for:\n%s", logged)
	}
}
