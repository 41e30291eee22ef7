package storage

import (
	"time"

	volumesnapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
)

// LabelBackendStorage marks the claim that holds a machine's persistent TPM and
// EFI state; its value is the machine's name.
const LabelBackendStorage = "persistent-state-for"

const (
	// annotationDefaultClass marks the cluster's default StorageClass.
	annotationDefaultClass = "storageclass.kubernetes.io/is-default-class"
	// annotationDefaultVirtClass marks the default for disks of machines.
	annotationDefaultVirtClass = "storageclass.kubevirt.io/is-default-virt-class"
	// annotationDefaultSnapshotClass marks a driver's default
	// VolumeSnapshotClass.
	annotationDefaultSnapshotClass = "snapshot.storage.kubernetes.io/is-default-class"
)

// Facts answers what is known of the cluster's storage. Every method is a
// look-up in something held in memory; none may block.
type Facts interface {
	// Claim gives a PersistentVolumeClaim.
	Claim(namespace, name string) (Claim, bool)
	// BackendClaims gives the claims labelled LabelBackendStorage with a
	// machine's name.
	BackendClaims(namespace, vm string) []Claim
	// DataVolume gives a DataVolume.
	DataVolume(namespace, name string) (DataVolume, bool)
	// StorageClasses gives every StorageClass.
	StorageClasses() []StorageClass
	// StorageClass gives one StorageClass.
	StorageClass(name string) (StorageClass, bool)
	// SnapshotClasses gives every VolumeSnapshotClass; none where the cluster
	// does not know the kind.
	SnapshotClasses() []SnapshotClass
	// StorageProfile gives the StorageProfile of a StorageClass; none without
	// CDI.
	StorageProfile(class string) (StorageProfile, bool)
}

// Claim is what matters of a PersistentVolumeClaim.
type Claim struct {
	// Name of the claim.
	Name string
	// StorageClass is spec.storageClassName; nil if unset.
	StorageClass *string
	// Bound says whether the claim has its volume.
	Bound bool
	// Deleting says whether the claim is being deleted.
	Deleting bool
	// DataVolume is the name of the DataVolume that controls the claim.
	DataVolume string
	// Created is when the claim was made.
	Created time.Time
}

// ClaimOf takes from a claim what matters.
func ClaimOf(pvc *corev1.PersistentVolumeClaim) Claim {
	claim := Claim{
		Name:         pvc.Name,
		StorageClass: pvc.Spec.StorageClassName,
		Bound:        pvc.Status.Phase == corev1.ClaimBound,
		Deleting:     pvc.DeletionTimestamp != nil,
		Created:      pvc.CreationTimestamp.Time,
	}
	if owner := metav1.GetControllerOfNoCopy(pvc); owner != nil && owner.Kind == "DataVolume" {
		claim.DataVolume = owner.Name
	}
	return claim
}

// ClaimAPI says by which of its two fields a DataVolume asks for its claim.
// They differ in the StorageClass that is taken where none is named.
type ClaimAPI string

// By which field a DataVolume asks for its claim.
const (
	// ByPVC is spec.pvc, which takes the cluster's default class.
	ByPVC ClaimAPI = "pvc"
	// ByStorage is spec.storage, which takes the default class for
	// machines before the cluster's.
	ByStorage ClaimAPI = "storage"
)

// DataVolume is what matters of a DataVolume.
type DataVolume struct {
	// Name of the DataVolume, and of its claim.
	Name string
	// Phase is status.phase.
	Phase string
	// API is the field the claim is asked for by.
	API ClaimAPI
	// StorageClass is what that field names; nil if unset.
	StorageClass *string
}

// Succeeded says whether the DataVolume's claim is filled.
func (d DataVolume) Succeeded() bool {
	return d.Phase == string(cdiv1.Succeeded)
}

// DataVolumeOf takes from a DataVolume what matters.
func DataVolumeOf(dv *cdiv1.DataVolume) DataVolume {
	return dataVolumeOf(dv.Name, string(dv.Status.Phase), &dv.Spec)
}

func dataVolumeOf(name, phase string, spec *cdiv1.DataVolumeSpec) DataVolume {
	volume := DataVolume{Name: name, Phase: phase, API: ByStorage}
	switch {
	case spec.PVC != nil:
		volume.API, volume.StorageClass = ByPVC, spec.PVC.StorageClassName
	case spec.Storage != nil:
		volume.StorageClass = spec.Storage.StorageClassName
	}
	return volume
}

// StorageClass is what matters of a StorageClass.
type StorageClass struct { //nolint:revive // the name of the kind
	// Name of the class.
	Name string
	// Provisioner is the driver that makes its volumes.
	Provisioner string
	// Default says whether it is marked as the cluster's default.
	Default bool
	// VirtDefault says whether it is marked as the default for machines.
	VirtDefault bool
	// Created is when the class was made: the newest of several defaults counts.
	Created time.Time
}

// StorageClassOf takes from a StorageClass what matters.
func StorageClassOf(class *storagev1.StorageClass) StorageClass { //nolint:revive // the name of the kind
	return StorageClass{
		Name:        class.Name,
		Provisioner: class.Provisioner,
		Default:     class.Annotations[annotationDefaultClass] == "true",
		VirtDefault: class.Annotations[annotationDefaultVirtClass] == "true",
		Created:     class.CreationTimestamp.Time,
	}
}

// SnapshotClass is what matters of a VolumeSnapshotClass.
type SnapshotClass struct {
	// Name of the class.
	Name string
	// Driver that takes its snapshots.
	Driver string
	// Default says whether the class carries the default annotation. KubeVirt
	// looks for the key alone, so "false" counts too.
	Default bool
}

// SnapshotClassOf takes from a VolumeSnapshotClass what matters.
func SnapshotClassOf(class *volumesnapshotv1.VolumeSnapshotClass) SnapshotClass {
	_, isDefault := class.Annotations[annotationDefaultSnapshotClass]
	return SnapshotClass{Name: class.Name, Driver: class.Driver, Default: isDefault}
}

// StorageProfile is what matters of CDI's StorageProfile.
type StorageProfile struct { //nolint:revive // the name of the kind
	// SnapshotClass is status.snapshotClass; empty if unset.
	SnapshotClass string
}

// StorageProfileOf takes from a StorageProfile what matters.
func StorageProfileOf(profile *cdiv1.StorageProfile) StorageProfile { //nolint:revive // the name of the kind
	if profile.Status.SnapshotClass == nil {
		return StorageProfile{}
	}
	return StorageProfile{SnapshotClass: *profile.Status.SnapshotClass}
}

// MapFacts is Facts over maps, for tests and for tools that have read
// everything beforehand.
type MapFacts struct {
	// Claims by namespace and name.
	Claims map[types.NamespacedName]Claim
	// Backends are the claims of machines' TPM and EFI state, by machine.
	Backends map[types.NamespacedName][]Claim
	// DataVolumes by namespace and name.
	DataVolumes map[types.NamespacedName]DataVolume
	// Classes are the StorageClasses.
	Classes []StorageClass
	// Snapshotters are the VolumeSnapshotClasses.
	Snapshotters []SnapshotClass
	// Profiles are the StorageProfiles by StorageClass.
	Profiles map[string]StorageProfile
}

var _ Facts = MapFacts{}

// Claim implements Facts.
func (f MapFacts) Claim(namespace, name string) (Claim, bool) {
	claim, ok := f.Claims[types.NamespacedName{Namespace: namespace, Name: name}]
	return claim, ok
}

// BackendClaims implements Facts.
func (f MapFacts) BackendClaims(namespace, vm string) []Claim {
	return f.Backends[types.NamespacedName{Namespace: namespace, Name: vm}]
}

// DataVolume implements Facts.
func (f MapFacts) DataVolume(namespace, name string) (DataVolume, bool) {
	volume, ok := f.DataVolumes[types.NamespacedName{Namespace: namespace, Name: name}]
	return volume, ok
}

// StorageClasses implements Facts.
func (f MapFacts) StorageClasses() []StorageClass {
	return f.Classes
}

// StorageClass implements Facts.
func (f MapFacts) StorageClass(name string) (StorageClass, bool) {
	for _, class := range f.Classes {
		if class.Name == name {
			return class, true
		}
	}
	return StorageClass{}, false
}

// SnapshotClasses implements Facts.
func (f MapFacts) SnapshotClasses() []SnapshotClass {
	return f.Snapshotters
}

// StorageProfile implements Facts.
func (f MapFacts) StorageProfile(class string) (StorageProfile, bool) {
	profile, ok := f.Profiles[class]
	return profile, ok
}
