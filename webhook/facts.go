package webhook

import (
	"context"

	volumesnapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/types"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"wukong.io/wukong/pkg/storage"
)

const (
	// backendLabel marks the claims that hold a machine's TPM or EFI state.
	backendLabel = "persistent-state-for"
	// indexBackend finds such claims by machine.
	indexBackend = "backend"
	// indexMAC finds machines by the MAC address of an interface.
	indexMAC = "mac"
)

// facts are storage facts read from informer caches. A read that fails finds
// nothing: the caches fail only while they start, when no review is answered.
type facts struct {
	ctx   context.Context //nolint:containedctx // lives for one review
	cache client.Reader
}

// Claim implements storage.Facts.
func (f facts) Claim(namespace, name string) (storage.Claim, bool) {
	var claim corev1.PersistentVolumeClaim
	if !f.get(namespace, name, &claim) {
		return storage.Claim{}, false
	}
	return storage.ClaimOf(&claim), true
}

// BackendClaims implements storage.Facts.
func (f facts) BackendClaims(namespace, vm string) []storage.Claim {
	var claims corev1.PersistentVolumeClaimList
	f.list(&claims, client.InNamespace(namespace), client.MatchingFields{indexBackend: vm})
	found := make([]storage.Claim, len(claims.Items))
	for i := range claims.Items {
		found[i] = storage.ClaimOf(&claims.Items[i])
	}
	return found
}

// DataVolume implements storage.Facts.
func (f facts) DataVolume(namespace, name string) (storage.DataVolume, bool) {
	var volume cdiv1.DataVolume
	if !f.get(namespace, name, &volume) {
		return storage.DataVolume{}, false
	}
	return storage.DataVolumeOf(&volume), true
}

// StorageClasses implements storage.Facts.
func (f facts) StorageClasses() []storage.StorageClass {
	var classes storagev1.StorageClassList
	f.list(&classes)
	found := make([]storage.StorageClass, len(classes.Items))
	for i := range classes.Items {
		found[i] = storage.StorageClassOf(&classes.Items[i])
	}
	return found
}

// StorageClass implements storage.Facts.
func (f facts) StorageClass(name string) (storage.StorageClass, bool) {
	var class storagev1.StorageClass
	if !f.get("", name, &class) {
		return storage.StorageClass{}, false
	}
	return storage.StorageClassOf(&class), true
}

// SnapshotClasses implements storage.Facts.
func (f facts) SnapshotClasses() []storage.SnapshotClass {
	var classes volumesnapshotv1.VolumeSnapshotClassList
	f.list(&classes)
	found := make([]storage.SnapshotClass, len(classes.Items))
	for i := range classes.Items {
		found[i] = storage.SnapshotClassOf(&classes.Items[i])
	}
	return found
}

// StorageProfile implements storage.Facts.
func (f facts) StorageProfile(class string) (storage.StorageProfile, bool) {
	var profile cdiv1.StorageProfile
	if !f.get("", class, &profile) {
		return storage.StorageProfile{}, false
	}
	return storage.StorageProfileOf(&profile), true
}

func (f facts) get(namespace, name string, into client.Object) bool {
	return f.cache.Get(f.ctx, types.NamespacedName{Namespace: namespace, Name: name}, into) == nil
}

func (f facts) list(into client.ObjectList, options ...client.ListOption) {
	_ = f.cache.List(f.ctx, into, options...) // an empty list: see facts
}
