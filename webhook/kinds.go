package webhook

import (
	"context"
	"fmt"
	"reflect"
	"time"

	volumesnapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	kubevirtv1 "kubevirt.io/api/core/v1"
	snapshotv1beta1 "kubevirt.io/api/snapshot/v1beta1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"wukong.io/wukong/pkg/apis/wukong/v1alpha1"
)

const (
	// kindsInterval is how often a missing definition is looked for.
	kindsInterval = 5 * time.Second
	// absentInterval is how often one is looked for that the webhook does
	// without.
	absentInterval = 30 * time.Second
)

// watched is a kind that reviews read.
type watched struct {
	object client.Object
	// list is the kind's list; nil where reviews list none.
	list client.ObjectList
	// from brings the kind's definition.
	from string
	// optional kinds may be missing: what is told by them is not known then.
	optional bool
}

func watchedKinds() []watched {
	const kubeVirt, cdi, snapshots = "KubeVirt", "CDI", "the external snapshotter"
	var named []watched
	for _, kind := range append(instancetypeKinds(), preferenceKinds()...) {
		named = append(named, watched{object: metadataOnly(instancetypeKind(kind)), from: kubeVirt, optional: true})
	}
	return append(named, []watched{
		{object: &corev1.PersistentVolumeClaim{}, list: &corev1.PersistentVolumeClaimList{}, from: "Kubernetes"},
		{object: &storagev1.StorageClass{}, list: &storagev1.StorageClassList{}, from: "Kubernetes"},
		{object: &kubevirtv1.VirtualMachine{}, list: &kubevirtv1.VirtualMachineList{}, from: kubeVirt},
		{object: &kubevirtv1.KubeVirt{}, list: &kubevirtv1.KubeVirtList{}, from: kubeVirt},
		{object: &snapshotv1beta1.VirtualMachineSnapshot{}, list: &snapshotv1beta1.VirtualMachineSnapshotList{}, from: kubeVirt},
		{object: &v1alpha1.SnapshotPolicy{}, list: &v1alpha1.SnapshotPolicyList{}, from: "charts/wukong"},
		{object: &volumesnapshotv1.VolumeSnapshotClass{}, list: &volumesnapshotv1.VolumeSnapshotClassList{}, from: snapshots, optional: true},
		{object: &cdiv1.DataVolume{}, list: &cdiv1.DataVolumeList{}, from: cdi, optional: true},
		{object: &cdiv1.StorageProfile{}, list: &cdiv1.StorageProfileList{}, from: cdi, optional: true},
		{object: metadataOnly(dataSourceKind()), from: cdi, optional: true},
		{object: metadataOnly(networkKind()), from: "Multus", optional: true},
	}...)
}

// kinds finds out which definitions the cluster has.
type kinds struct {
	scheme *runtime.Scheme
	mapper apimeta.RESTMapper
}

// present sorts kinds into those the cluster has and those it does not. It
// waits for those the webhook cannot do without, and says which.
func (k kinds) present(ctx context.Context, all []watched) (present, absent []watched, err error) {
	for _, kind := range all {
		for {
			missing, err := k.missing(kind)
			if err != nil {
				return nil, nil, err
			}
			if !missing {
				present = append(present, kind)
				break
			}
			if kind.optional {
				log.FromContext(ctx).Info("A definition is missing: reviews do without what it would tell", "kind", k.name(kind), "install", kind.from)
				absent = append(absent, kind)
				break
			}
			log.FromContext(ctx).Info("Waiting for a definition", "kind", k.name(kind), "install", kind.from)
			if !sleep(ctx, kindsInterval) {
				return nil, nil, fmt.Errorf("waiting for the definition of %s, which %s brings: %w", k.name(kind), kind.from, ctx.Err())
			}
		}
	}
	return present, absent, nil
}

func (k kinds) missing(kind watched) (bool, error) {
	gvk, err := apiutil.GVKForObject(kind.object, k.scheme)
	if err != nil {
		return false, fmt.Errorf("finding the kind of %T: %w", kind.object, err)
	}
	_, err = k.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if apimeta.IsNoMatchError(err) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking for the definition of %s: %w", gvk.Kind, err)
	}
	return false, nil
}

func (k kinds) name(kind watched) string {
	gvk, err := apiutil.GVKForObject(kind.object, k.scheme)
	if err != nil {
		return fmt.Sprintf("%T", kind.object)
	}
	return gvk.GroupKind().String()
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d): //nolint:forbidigo // waits for the cluster at the start; nothing depends on the time
		return true
	}
}

// arrival ends the process when a definition arrives that was missing when it
// started: started again, it watches the kind.
type arrival struct {
	kinds
	absent []watched
}

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (arrival) NeedLeaderElection() bool { return false }

// Start implements manager.Runnable.
func (a arrival) Start(ctx context.Context) error {
	for sleep(ctx, absentInterval) {
		for _, kind := range a.absent {
			if missing, err := a.missing(kind); err == nil && !missing {
				return fmt.Errorf("the definition of %s has arrived: starting again to watch it", a.name(kind))
			}
		}
	}
	return nil
}

// knownReader reads from a cache the kinds that the cluster has. The cache would
// look for the definition of any other at every read.
type knownReader struct {
	client.Reader
	absent map[string]bool
}

func newKnownReader(cache client.Reader, absent []watched) knownReader {
	names := make(map[string]bool, 2*len(absent))
	for _, kind := range absent {
		names[typeName(kind.object)] = true
		if kind.list != nil {
			names[typeName(kind.list)] = true
		}
	}
	return knownReader{Reader: cache, absent: names}
}

func typeName(object runtime.Object) string {
	if partial, ok := object.(*metav1.PartialObjectMetadata); ok {
		return partial.GroupVersionKind().String()
	}
	return reflect.TypeOf(object).String()
}

// Get implements client.Reader.
func (r knownReader) Get(ctx context.Context, key client.ObjectKey, into client.Object, options ...client.GetOption) error {
	if r.absent[typeName(into)] {
		return &apimeta.NoKindMatchError{}
	}
	return r.Reader.Get(ctx, key, into, options...)
}

// List implements client.Reader.
func (r knownReader) List(ctx context.Context, into client.ObjectList, options ...client.ListOption) error {
	if r.absent[typeName(into)] {
		return &apimeta.NoKindMatchError{}
	}
	return r.Reader.List(ctx, into, options...)
}
