package storage_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	volumesnapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"wukong.io/wukong/pkg/storage"
)

func TestFactsOfObjects(t *testing.T) {
	created := metav1.NewTime(time.Unix(100, 0))
	pvc := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{
			Name: "root", CreationTimestamp: created, DeletionTimestamp: &created,
			OwnerReferences: []metav1.OwnerReference{{Kind: "DataVolume", Name: "other"}, {Kind: "DataVolume", Name: "root-dv", Controller: new(true)}},
		},
		Spec:   corev1.PersistentVolumeClaimSpec{StorageClassName: new("ceph")},
		Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound},
	}
	wantClaim := storage.Claim{Name: "root", StorageClass: new("ceph"), Bound: true, Deleting: true, DataVolume: "root-dv", Created: created.Time}
	if diff := cmp.Diff(wantClaim, storage.ClaimOf(pvc)); diff != "" {
		t.Errorf("ClaimOf (-want +got):\n%s", diff)
	}
	class := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "ceph", CreationTimestamp: created, Annotations: map[string]string{
		"storageclass.kubernetes.io/is-default-class": "false", "storageclass.kubevirt.io/is-default-virt-class": "true",
	}}, Provisioner: "rbd"}
	if diff := cmp.Diff(storage.StorageClass{Name: "ceph", Provisioner: "rbd", VirtDefault: true, Created: created.Time}, storage.StorageClassOf(class)); diff != "" {
		t.Errorf("StorageClassOf (-want +got):\n%s", diff)
	}
	snapshotClass := &volumesnapshotv1.VolumeSnapshotClass{ObjectMeta: metav1.ObjectMeta{Name: "s", Annotations: map[string]string{
		"snapshot.storage.kubernetes.io/is-default-class": "false",
	}}, Driver: "rbd"}
	if diff := cmp.Diff(storage.SnapshotClass{Name: "s", Driver: "rbd", Default: true}, storage.SnapshotClassOf(snapshotClass)); diff != "" {
		t.Errorf("SnapshotClassOf (-want +got):\n%s", diff)
	}
	profile := &cdiv1.StorageProfile{Status: cdiv1.StorageProfileStatus{SnapshotClass: new("s")}}
	if diff := cmp.Diff([]storage.StorageProfile{{SnapshotClass: "s"}, {}}, []storage.StorageProfile{storage.StorageProfileOf(profile), storage.StorageProfileOf(&cdiv1.StorageProfile{})}); diff != "" {
		t.Errorf("StorageProfileOf (-want +got):\n%s", diff)
	}
	volumes := map[string]cdiv1.DataVolumeSpec{
		"by storage": {Storage: &cdiv1.StorageSpec{StorageClassName: new("a")}},
		"by pvc":     {PVC: &corev1.PersistentVolumeClaimSpec{StorageClassName: new("b")}},
		"by neither": {},
	}
	want := map[string]storage.DataVolume{
		"by storage": {Name: "dv", Phase: "Succeeded", API: storage.ByStorage, StorageClass: new("a")},
		"by pvc":     {Name: "dv", Phase: "Succeeded", API: storage.ByPVC, StorageClass: new("b")},
		"by neither": {Name: "dv", Phase: "Succeeded", API: storage.ByStorage},
	}
	got := map[string]storage.DataVolume{}
	for name, spec := range volumes {
		got[name] = storage.DataVolumeOf(&cdiv1.DataVolume{ObjectMeta: metav1.ObjectMeta{Name: "dv"}, Spec: spec, Status: cdiv1.DataVolumeStatus{Phase: cdiv1.Succeeded}})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("DataVolumeOf (-want +got):\n%s", diff)
	}
}

// TestDefaultStorageClass follows CDI and Kubernetes: of several defaults the
// newest counts, then the first by name, and the default for machines comes
// first for a DataVolume by storage.
func TestDefaultStorageClass(t *testing.T) {
	at := func(seconds int64) time.Time { return time.Unix(seconds, 0) }
	cases := map[string]struct {
		classes              []storage.StorageClass
		wantStorage, wantPVC string
	}{
		"none": {classes: []storage.StorageClass{{Name: "a"}}},
		"one":  {classes: []storage.StorageClass{{Name: "a"}, {Name: "b", Default: true}}, wantStorage: "b", wantPVC: "b"},
		"the newest": {
			classes:     []storage.StorageClass{{Name: "a", Default: true, Created: at(1)}, {Name: "b", Default: true, Created: at(3)}, {Name: "c", Default: true, Created: at(2)}},
			wantStorage: "b", wantPVC: "b",
		},
		"the first by name": {
			classes:     []storage.StorageClass{{Name: "c", Default: true, Created: at(1)}, {Name: "b", Default: true, Created: at(1)}, {Name: "d", Default: true, Created: at(1)}},
			wantStorage: "b", wantPVC: "b",
		},
		"the one for machines": {
			classes:     []storage.StorageClass{{Name: "a", Default: true, Created: at(9)}, {Name: "b", VirtDefault: true, Created: at(1)}},
			wantStorage: "b", wantPVC: "a",
		},
		"only one for machines": {classes: []storage.StorageClass{{Name: "b", VirtDefault: true}}, wantStorage: "b"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			for api, want := range map[storage.ClaimAPI]string{storage.ByStorage: tc.wantStorage, storage.ByPVC: tc.wantPVC} {
				facts := storage.MapFacts{Classes: tc.classes}
				facts.DataVolumes = map[types.NamespacedName]storage.DataVolume{key("dv"): {Name: "dv", API: api}}
				disks := storage.Disks(machine(dataVolume("dv")), facts)
				if disks[0].StorageClass != want || (disks[0].Verdict == storage.Unknown) != (want == "") {
					t.Errorf("by %s: class %q and verdict %s, want class %q", api, disks[0].StorageClass, disks[0].Verdict, want)
				}
			}
		})
	}
}

func TestPersistentState(t *testing.T) {
	tpm := func(device *kubevirtv1.TPMDevice) *kubevirtv1.VirtualMachine {
		return machine(func(vm *kubevirtv1.VirtualMachine) { vm.Spec.Template.Spec.Domain.Devices.TPM = device })
	}
	cases := map[string]struct {
		vm   *kubevirtv1.VirtualMachine
		want bool
	}{
		"nil":              {vm: nil},
		"no template":      {vm: &kubevirtv1.VirtualMachine{}},
		"none":             {vm: machine()},
		"TPM that forgets": {vm: tpm(&kubevirtv1.TPMDevice{})},
		"TPM that keeps":   {vm: tpm(&kubevirtv1.TPMDevice{Persistent: new(true)}), want: true},
		"TPM that is off":  {vm: tpm(&kubevirtv1.TPMDevice{Enabled: new(false), Persistent: new(true)})},
		"TPM that is on":   {vm: tpm(&kubevirtv1.TPMDevice{Enabled: new(true), Persistent: new(true)}), want: true},
		"persistent EFI":   {vm: machine(persistentEFI), want: true},
		"EFI that forgets": {vm: machine(persistentEFI, func(vm *kubevirtv1.VirtualMachine) {
			vm.Spec.Template.Spec.Domain.Firmware.Bootloader.EFI.Persistent = nil
		})},
		"firmware without EFI":   {vm: machine(persistentEFI, func(vm *kubevirtv1.VirtualMachine) { vm.Spec.Template.Spec.Domain.Firmware.Bootloader.EFI = nil })},
		"firmware without a bit": {vm: machine(persistentEFI, func(vm *kubevirtv1.VirtualMachine) { vm.Spec.Template.Spec.Domain.Firmware.Bootloader = nil })},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := storage.HasPersistentState(tc.vm); got != tc.want {
				t.Errorf("HasPersistentState = %t, want %t", got, tc.want)
			}
		})
	}
}
