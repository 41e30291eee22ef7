package storage_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"wukong.io/wukong/pkg/storage"
)

const namespace = "prod"

func key(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: namespace, Name: name}
}

// world is a cluster with one class that takes snapshots, one that does not,
// and one whose snapshots are ambiguous.
func world() storage.MapFacts {
	return storage.MapFacts{
		Claims: map[types.NamespacedName]storage.Claim{
			key("good"):      {Name: "good", StorageClass: new("ceph"), Bound: true},
			key("local"):     {Name: "local", StorageClass: new("local"), Bound: true},
			key("unbound"):   {Name: "unbound", StorageClass: new("ceph")},
			key("deleting"):  {Name: "deleting", StorageClass: new("ceph"), Bound: true, Deleting: true},
			key("localgone"): {Name: "localgone", StorageClass: new("local"), Bound: true, Deleting: true},
			key("static"):    {Name: "static", StorageClass: new(""), Bound: true},
			key("noclass"):   {Name: "noclass", Bound: true},
			key("pending"):   {Name: "pending"},
			key("lost"):      {Name: "lost", StorageClass: new("removed"), Bound: true},
			key("twins"):     {Name: "twins", StorageClass: new("twins"), Bound: true},
			key("profiled"):  {Name: "profiled", StorageClass: new("profiled"), Bound: true},
			key("misnamed"):  {Name: "misnamed", StorageClass: new("misnamed"), Bound: true},
			key("elected"):   {Name: "elected", StorageClass: new("elected"), Bound: true},
			key("filling"):   {Name: "filling", StorageClass: new("ceph"), Bound: true, DataVolume: "filling"},
			key("filled"):    {Name: "filled", StorageClass: new("ceph"), Bound: true, DataVolume: "filled"},
			key("orphan"):    {Name: "orphan", StorageClass: new("ceph"), Bound: true, DataVolume: "gone"},
		},
		DataVolumes: map[types.NamespacedName]storage.DataVolume{
			key("filling"): {Name: "filling", Phase: "ImportInProgress", API: storage.ByStorage, StorageClass: new("ceph")},
			key("filled"):  {Name: "filled", Phase: "Succeeded", API: storage.ByStorage, StorageClass: new("ceph")},
			key("coming"):  {Name: "coming", Phase: "", API: storage.ByStorage, StorageClass: new("ceph")},
			key("badcome"): {Name: "badcome", Phase: "", API: storage.ByStorage, StorageClass: new("local")},
			key("virt"):    {Name: "virt", Phase: "", API: storage.ByStorage},
			key("plain"):   {Name: "plain", Phase: "", API: storage.ByPVC},
		},
		Classes: []storage.StorageClass{
			{Name: "ceph", Provisioner: "rbd.csi.ceph.com", VirtDefault: true},
			{Name: "local", Provisioner: "rancher.io/local-path", Default: true},
			{Name: "twins", Provisioner: "twins.csi"},
			{Name: "profiled", Provisioner: "twins.csi"},
			{Name: "misnamed", Provisioner: "rbd.csi.ceph.com"},
			{Name: "elected", Provisioner: "elected.csi"},
		},
		Snapshotters: []storage.SnapshotClass{
			{Name: "twin-b", Driver: "twins.csi"},
			{Name: "ceph-snap", Driver: "rbd.csi.ceph.com"},
			{Name: "twin-a", Driver: "twins.csi"},
			{Name: "elected-a", Driver: "elected.csi"},
			{Name: "elected-b", Driver: "elected.csi", Default: true},
		},
		Profiles: map[string]storage.StorageProfile{
			"ceph":     {},
			"profiled": {SnapshotClass: "twin-b"},
			"misnamed": {SnapshotClass: "nowhere"},
		},
	}
}

func machine(change ...func(*kubevirtv1.VirtualMachine)) *kubevirtv1.VirtualMachine {
	vm := &kubevirtv1.VirtualMachine{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web-0"},
		Spec:       kubevirtv1.VirtualMachineSpec{Template: &kubevirtv1.VirtualMachineInstanceTemplateSpec{}},
	}
	for _, c := range change {
		c(vm)
	}
	return vm
}

func volume(source kubevirtv1.VolumeSource) func(*kubevirtv1.VirtualMachine) {
	return func(vm *kubevirtv1.VirtualMachine) {
		spec := &vm.Spec.Template.Spec
		spec.Volumes = append(spec.Volumes, kubevirtv1.Volume{Name: "disk", VolumeSource: source})
	}
}

func claim(name string) func(*kubevirtv1.VirtualMachine) {
	return volume(kubevirtv1.VolumeSource{PersistentVolumeClaim: &kubevirtv1.PersistentVolumeClaimVolumeSource{
		PersistentVolumeClaimVolumeSource: corev1.PersistentVolumeClaimVolumeSource{ClaimName: name},
	}})
}

func dataVolume(name string) func(*kubevirtv1.VirtualMachine) {
	return volume(kubevirtv1.VolumeSource{DataVolume: &kubevirtv1.DataVolumeSource{Name: name}})
}

func template(name string, spec cdiv1.DataVolumeSpec) func(*kubevirtv1.VirtualMachine) {
	return func(vm *kubevirtv1.VirtualMachine) {
		vm.Spec.DataVolumeTemplates = append(vm.Spec.DataVolumeTemplates, kubevirtv1.DataVolumeTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec,
		})
		dataVolume(name)(vm)
	}
}

func persistentTPM(vm *kubevirtv1.VirtualMachine) {
	vm.Spec.Template.Spec.Domain.Devices.TPM = &kubevirtv1.TPMDevice{Persistent: new(true)}
}

func persistentEFI(vm *kubevirtv1.VirtualMachine) {
	vm.Spec.Template.Spec.Domain.Firmware = &kubevirtv1.Firmware{
		Bootloader: &kubevirtv1.Bootloader{EFI: &kubevirtv1.EFI{Persistent: new(true)}},
	}
}

type verdictCase struct {
	vm          *kubevirtv1.VirtualMachine
	facts       func(*storage.MapFacts)
	want        storage.Verdict
	wantReason  string
	wantMessage string
}

// TestVerdicts is the truth table of single disks.
func TestVerdicts(t *testing.T) {
	for name, tc := range verdictCases() {
		t.Run(name, func(t *testing.T) {
			facts := world()
			if tc.facts != nil {
				tc.facts(&facts)
			}
			disks := storage.Disks(tc.vm, facts)
			if len(disks) != 1 {
				t.Fatalf("Disks gives %d disks, want 1: %+v", len(disks), disks)
			}
			got := verdictCase{vm: tc.vm, want: disks[0].Verdict, wantReason: disks[0].Reason, wantMessage: disks[0].Message()}
			if diff := cmp.Diff([]string{string(tc.want), tc.wantReason, tc.wantMessage}, []string{string(got.want), got.wantReason, got.wantMessage}); diff != "" {
				t.Errorf("verdict (-want +got):\n%s", diff)
			}
		})
	}
}

func verdictCases() map[string]verdictCase {
	storageSpec := func(class *string) cdiv1.DataVolumeSpec {
		return cdiv1.DataVolumeSpec{Storage: &cdiv1.StorageSpec{StorageClassName: class}}
	}
	pvcSpec := func(class *string) cdiv1.DataVolumeSpec {
		return cdiv1.DataVolumeSpec{PVC: &corev1.PersistentVolumeClaimSpec{StorageClassName: class}}
	}
	noDefault := func(f *storage.MapFacts) {
		for i := range f.Classes {
			f.Classes[i].Default, f.Classes[i].VirtDefault = false, false
		}
	}
	return map[string]verdictCase{
		"takes a bound claim on a class whose driver has one snapshot class": {
			vm: machine(claim("good")), want: storage.Snapshotted, wantReason: "OnlySnapshotClass",
			wantMessage: `disk "disk" is on StorageClass "ceph", whose driver "rbd.csi.ceph.com" has VolumeSnapshotClass "ceph-snap"`,
		},
		"takes a claim by its data volume's name": {
			vm: machine(dataVolume("good")), want: storage.Snapshotted, wantReason: "OnlySnapshotClass",
			wantMessage: `disk "disk" is on StorageClass "ceph", whose driver "rbd.csi.ceph.com" has VolumeSnapshotClass "ceph-snap"`,
		},
		"takes a claim whose data volume has succeeded": {
			vm: machine(dataVolume("filled")), want: storage.Snapshotted, wantReason: "OnlySnapshotClass",
			wantMessage: `disk "disk" is on StorageClass "ceph", whose driver "rbd.csi.ceph.com" has VolumeSnapshotClass "ceph-snap"`,
		},
		"leaves out a class whose driver has no snapshot class": {
			vm: machine(claim("local")), want: storage.LeftOut, wantReason: "NoSnapshotClass",
			wantMessage: `disk "disk" is on StorageClass "local", whose driver "rancher.io/local-path" has no VolumeSnapshotClass, so a snapshot would silently leave it out: ` +
				`create a VolumeSnapshotClass for the driver, or move the disk to a StorageClass whose driver takes snapshots`,
		},
		"leaves out every class where the cluster knows no snapshot classes": {
			vm: machine(claim("good")), facts: func(f *storage.MapFacts) { f.Snapshotters = nil }, want: storage.LeftOut, wantReason: "NoSnapshotClass",
			wantMessage: `disk "disk" is on StorageClass "ceph", whose driver "rbd.csi.ceph.com" has no VolumeSnapshotClass, so a snapshot would silently leave it out: ` +
				`create a VolumeSnapshotClass for the driver, or move the disk to a StorageClass whose driver takes snapshots`,
		},
		"leaves out a claim whose class name is empty": {
			vm: machine(claim("static")), want: storage.LeftOut, wantReason: "NoStorageClass",
			wantMessage: `disk "disk" is on a claim without a StorageClass, so a snapshot would silently leave it out: move it to a StorageClass whose driver takes snapshots`,
		},
		"leaves out a bound claim that names no class": {
			vm: machine(claim("noclass")), want: storage.LeftOut, wantReason: "NoStorageClass",
			wantMessage: `disk "disk" is on a claim without a StorageClass, so a snapshot would silently leave it out: move it to a StorageClass whose driver takes snapshots`,
		},
		"leaves out a claim whose class is gone": {
			vm: machine(claim("lost")), want: storage.LeftOut, wantReason: "StorageClassNotFound",
			wantMessage: `disk "disk" is on StorageClass "removed", which does not exist, so a snapshot would silently leave it out: ` +
				`create that StorageClass, or move the disk to one whose driver takes snapshots`,
		},
		"takes the snapshot class of the storage profile": {
			vm: machine(claim("profiled")), want: storage.Snapshotted, wantReason: "SnapshotClassOfProfile",
			wantMessage: `disk "disk" is on StorageClass "profiled", whose StorageProfile names VolumeSnapshotClass "twin-b"`,
		},
		"leaves out a class whose profile names a missing snapshot class, though the driver has one": {
			vm: machine(claim("misnamed")), want: storage.LeftOut, wantReason: "SnapshotClassNotFound",
			wantMessage: `disk "disk" is on StorageClass "misnamed", whose StorageProfile names VolumeSnapshotClass "nowhere", which does not exist, so a snapshot would silently leave it out: ` +
				`create it, or correct spec.snapshotClass of StorageProfile "misnamed"`,
		},
		"refuses several snapshot classes without a default": {
			vm: machine(claim("twins")), want: storage.Refused, wantReason: "SnapshotClassAmbiguous",
			wantMessage: `disk "disk" is on StorageClass "twins", whose driver "twins.csi" has 2 VolumeSnapshotClasses ("twin-a", "twin-b") and no default among them, ` +
				`so KubeVirt would fail the whole snapshot: annotate one with snapshot.storage.kubernetes.io/is-default-class: "true", ` +
				`or name one in spec.snapshotClass of StorageProfile "twins"`,
		},
		"takes the default of several snapshot classes": {
			vm: machine(claim("elected")), want: storage.Snapshotted, wantReason: "DefaultSnapshotClass",
			wantMessage: `disk "disk" is on StorageClass "elected", whose driver "elected.csi" has 2 VolumeSnapshotClasses, of which "elected-b" is the default`,
		},
		"waits for a claim that is not bound": {
			vm: machine(claim("unbound")), want: storage.Waiting, wantReason: "ClaimNotBound",
			wantMessage: `disk "disk" is on PersistentVolumeClaim "unbound", which is not Bound, so a snapshot would wait for it, and fail at its deadline: ` +
				`ask again when it is; with a StorageClass that waits for the first consumer, start the machine`,
		},
		"refuses a claim that is being deleted": {
			vm: machine(claim("deleting")), want: storage.Refused, wantReason: "ClaimDeleting",
			wantMessage: `disk "disk" is on PersistentVolumeClaim "deleting", which is being deleted, so KubeVirt would fail the whole snapshot: ` +
				`let the deletion end, then take the disk out of the machine or create its claim again`,
		},
		"names the class first where the claim is being deleted too": {
			vm: machine(claim("localgone")), want: storage.LeftOut, wantReason: "NoSnapshotClass",
			wantMessage: `disk "disk" is on StorageClass "local", whose driver "rancher.io/local-path" has no VolumeSnapshotClass, and is on PersistentVolumeClaim "localgone", which is being deleted, ` +
				`so a snapshot would silently leave it out: create a VolumeSnapshotClass for the driver, or move the disk to a StorageClass whose driver takes snapshots`,
		},
		"waits for a claim that is being filled": {
			vm: machine(dataVolume("filling")), want: storage.Waiting, wantReason: "ClaimNotPopulated",
			wantMessage: `disk "disk" is on PersistentVolumeClaim "filling", which DataVolume "filling" is still filling (phase ImportInProgress), so a snapshot would wait for it, and fail at its deadline: ` +
				`ask again when the DataVolume has succeeded`,
		},
		"waits for a claim whose data volume is gone": {
			vm: machine(claim("orphan")), want: storage.Waiting, wantReason: "DataVolumeNotFound",
			wantMessage: `disk "disk" is on PersistentVolumeClaim "orphan", which belongs to DataVolume "gone", which does not exist, so a snapshot would wait for it, and fail at its deadline: ` +
				`wait until the claim is deleted with its owner, or take the owner reference off it`,
		},
		"waits for a claim that nothing makes": {
			vm: machine(claim("nothing")), want: storage.Waiting, wantReason: "ClaimNotFound",
			wantMessage: `disk "disk" is on PersistentVolumeClaim "nothing", which does not exist, so a snapshot would wait for it, and fail at its deadline: ` +
				`create the claim, or take the disk out of the machine`,
		},
		"waits for the claim of a data volume": {
			vm: machine(dataVolume("coming")), want: storage.Waiting, wantReason: "ClaimNotCreated",
			wantMessage: `disk "disk" is on DataVolume "coming", which has not made its claim yet, so a snapshot would wait for it, and fail at its deadline: ` +
				`ask again when the DataVolume has succeeded`,
		},
		"foresees that a data volume's claim will be left out": {
			vm: machine(dataVolume("badcome")), want: storage.LeftOut, wantReason: "NoSnapshotClass",
			wantMessage: `disk "disk" is on StorageClass "local", whose driver "rancher.io/local-path" has no VolumeSnapshotClass, and is on DataVolume "badcome", which has not made its claim yet, ` +
				`so a snapshot would silently leave it out: create a VolumeSnapshotClass for the driver, or move the disk to a StorageClass whose driver takes snapshots`,
		},
		"gives a data volume by storage the default class for machines": {
			vm: machine(dataVolume("virt")), want: storage.Waiting, wantReason: "ClaimNotCreated",
			wantMessage: `disk "disk" is on DataVolume "virt", which has not made its claim yet, so a snapshot would wait for it, and fail at its deadline: ` +
				`ask again when the DataVolume has succeeded`,
		},
		"gives a data volume by pvc the cluster's default class": {
			vm: machine(dataVolume("plain")), want: storage.LeftOut, wantReason: "NoSnapshotClass",
			wantMessage: `disk "disk" is on StorageClass "local", whose driver "rancher.io/local-path" has no VolumeSnapshotClass, and is on DataVolume "plain", which has not made its claim yet, ` +
				`so a snapshot would silently leave it out: create a VolumeSnapshotClass for the driver, or move the disk to a StorageClass whose driver takes snapshots`,
		},
		"cannot tell without a default class": {
			vm: machine(dataVolume("virt")), facts: noDefault, want: storage.Unknown, wantReason: "NoDefaultStorageClass",
			wantMessage: `disk "disk" names no StorageClass, and the cluster has no default one, so it cannot be said whether a snapshot would hold it: ` +
				`name a StorageClass whose driver takes snapshots, or mark one as the default`,
		},
		"cannot tell of an unbound claim without a class where there is no default": {
			vm: machine(claim("pending")), facts: noDefault, want: storage.Unknown, wantReason: "NoDefaultStorageClass",
			wantMessage: `disk "disk" names no StorageClass, and the cluster has no default one, so it cannot be said whether a snapshot would hold it: ` +
				`name a StorageClass whose driver takes snapshots, or mark one as the default`,
		},
		"foresees a template's class": {
			vm: machine(template("web-0-root", storageSpec(new("local")))), want: storage.LeftOut, wantReason: "NoSnapshotClass",
			wantMessage: `disk "disk" is on StorageClass "local", whose driver "rancher.io/local-path" has no VolumeSnapshotClass, and is on DataVolume "web-0-root", which has not made its claim yet, ` +
				`so a snapshot would silently leave it out: create a VolumeSnapshotClass for the driver, or move the disk to a StorageClass whose driver takes snapshots`,
		},
		"foresees a template by pvc": {
			vm: machine(template("web-0-root", pvcSpec(new("ceph")))), want: storage.Waiting, wantReason: "ClaimNotCreated",
			wantMessage: `disk "disk" is on DataVolume "web-0-root", which has not made its claim yet, so a snapshot would wait for it, and fail at its deadline: ` +
				`ask again when the DataVolume has succeeded`,
		},
		"trusts a claim more than its template": {
			vm: machine(template("good", storageSpec(new("local")))), want: storage.Snapshotted, wantReason: "OnlySnapshotClass",
			wantMessage: `disk "disk" is on StorageClass "ceph", whose driver "rbd.csi.ceph.com" has VolumeSnapshotClass "ceph-snap"`,
		},
		"takes a memory dump": {
			vm: machine(volume(kubevirtv1.VolumeSource{MemoryDump: &kubevirtv1.MemoryDumpVolumeSource{
				PersistentVolumeClaimVolumeSource: kubevirtv1.PersistentVolumeClaimVolumeSource{
					PersistentVolumeClaimVolumeSource: corev1.PersistentVolumeClaimVolumeSource{ClaimName: "good"},
				},
			}})), want: storage.Snapshotted, wantReason: "OnlySnapshotClass",
			wantMessage: `disk "disk" is on StorageClass "ceph", whose driver "rbd.csi.ceph.com" has VolumeSnapshotClass "ceph-snap"`,
		},
		"leaves out a host disk": {
			vm: machine(volume(kubevirtv1.VolumeSource{HostDisk: &kubevirtv1.HostDisk{}})), want: storage.LeftOut, wantReason: "HostDisk",
			wantMessage: `disk "disk" is a hostDisk, a file on one node, which no snapshot holds, so a snapshot would silently leave it out: move its data to a PersistentVolumeClaim`,
		},
		"waits for the state of a machine that never ran": {
			vm: machine(persistentTPM), want: storage.Waiting, wantReason: "BackendClaimNotFound",
			wantMessage: `disk "persistent-state-for-web-0" holds the machine's TPM and EFI state, and its claim does not exist, so a snapshot would wait for it, and fail at its deadline: ` +
				`start the machine once, which makes the claim`,
		},
		"takes the newest state that is not being deleted": {
			vm: machine(persistentEFI), facts: func(f *storage.MapFacts) {
				f.Backends = map[types.NamespacedName][]storage.Claim{key("web-0"): {
					{Name: "old", StorageClass: new("local"), Bound: true, Created: time.Unix(1, 0)},
					{Name: "new", StorageClass: new("ceph"), Bound: true, Created: time.Unix(2, 0)},
					{Name: "going", StorageClass: new("local"), Bound: true, Deleting: true, Created: time.Unix(3, 0)},
				}}
			}, want: storage.Snapshotted, wantReason: "OnlySnapshotClass",
			wantMessage: `disk "persistent-state-for-web-0" is on StorageClass "ceph", whose driver "rbd.csi.ceph.com" has VolumeSnapshotClass "ceph-snap"`,
		},
		"leaves out state on a class without snapshots": {
			vm: machine(persistentTPM), facts: func(f *storage.MapFacts) {
				f.Backends = map[types.NamespacedName][]storage.Claim{key("web-0"): {{Name: "only", StorageClass: new("local"), Bound: true}}}
			}, want: storage.LeftOut, wantReason: "NoSnapshotClass",
			wantMessage: `disk "persistent-state-for-web-0" is on StorageClass "local", whose driver "rancher.io/local-path" has no VolumeSnapshotClass, so a snapshot would silently leave it out: ` +
				`create a VolumeSnapshotClass for the driver, or move the disk to a StorageClass whose driver takes snapshots`,
		},
	}
}

// TestVolumesThatAreNoPartOfSnapshots covers every other volume source KubeVirt
// has: none is persistent, and none is spoken of.
func TestVolumesThatAreNoPartOfSnapshots(t *testing.T) {
	sources := map[string]kubevirtv1.VolumeSource{
		"containerDisk":        {ContainerDisk: &kubevirtv1.ContainerDiskSource{}},
		"emptyDisk":            {EmptyDisk: &kubevirtv1.EmptyDiskSource{}},
		"ephemeral":            {Ephemeral: &kubevirtv1.EphemeralVolumeSource{}},
		"cloudInitNoCloud":     {CloudInitNoCloud: &kubevirtv1.CloudInitNoCloudSource{}},
		"cloudInitConfigDrive": {CloudInitConfigDrive: &kubevirtv1.CloudInitConfigDriveSource{}},
		"sysprep":              {Sysprep: &kubevirtv1.SysprepSource{}},
		"configMap":            {ConfigMap: &kubevirtv1.ConfigMapVolumeSource{}},
		"secret":               {Secret: &kubevirtv1.SecretVolumeSource{}},
		"serviceAccount":       {ServiceAccount: &kubevirtv1.ServiceAccountVolumeSource{}},
		"downwardAPI":          {DownwardAPI: &kubevirtv1.DownwardAPIVolumeSource{}},
		"downwardMetrics":      {DownwardMetrics: &kubevirtv1.DownwardMetricsVolumeSource{}},
		"containerPath":        {ContainerPath: &kubevirtv1.ContainerPathVolumeSource{}},
		"none":                 {},
	}
	for name, source := range sources {
		t.Run(name, func(t *testing.T) {
			disks := storage.Disks(machine(volume(source)), world())
			if len(disks) != 1 || disks[0].Verdict != storage.LeftOut || disks[0].Persistent || disks[0].Reason != storage.ReasonNotPartOfSnapshots {
				t.Fatalf("Disks = %+v, want one that is left out and not persistent", disks)
			}
			if !strings.HasPrefix(disks[0].Message(), `disk "disk" is `) {
				t.Errorf("Message = %q, want it to name the disk", disks[0].Message())
			}
			for _, use := range uses() {
				if got := storage.Judge(use, disks); len(got.Refusals)+len(got.Warnings) > 0 {
					t.Errorf("Judge(%s) = %+v, want nothing", use, got)
				}
			}
			if !storage.Complete(disks) {
				t.Error("Complete = false, want true: nothing that lasts is missing")
			}
		})
	}
}

func uses() []storage.Use {
	return []storage.Use{
		storage.UseSnapshot, storage.UseRequiredSnapshot, storage.UseOnlineClone,
		storage.UseOfflineClone, storage.UseExport, storage.UseRollback,
	}
}

// TestJudge is the truth table of uses: R refuses, W warns, - is silent.
func TestJudge(t *testing.T) {
	tpm := func(f *storage.MapFacts) {
		f.Backends = map[types.NamespacedName][]storage.Claim{key("web-0"): {{Name: "only", StorageClass: new("ceph"), Bound: true}}}
	}
	shareable := func(vm *kubevirtv1.VirtualMachine) {
		vm.Spec.Template.Spec.Domain.Devices.Disks = []kubevirtv1.Disk{{Name: "disk", Shareable: new(true)}}
	}
	cases := map[string]struct {
		vm    *kubevirtv1.VirtualMachine
		facts func(*storage.MapFacts)
		want  string // in the order of uses()
	}{
		"snapshotted":      {vm: machine(claim("good")), want: "------"},
		"left out":         {vm: machine(claim("local")), want: "WRRWWR"},
		"host disk":        {vm: machine(volume(kubevirtv1.VolumeSource{HostDisk: &kubevirtv1.HostDisk{}})), want: "WRRWWR"},
		"ambiguous":        {vm: machine(claim("twins")), want: "RRRRRR"},
		"deleting":         {vm: machine(claim("deleting")), want: "RRRRRR"},
		"waiting":          {vm: machine(claim("unbound")), want: "WWWWWW"},
		"unknown":          {vm: machine(claim("pending")), facts: func(f *storage.MapFacts) { f.Classes = nil }, want: "WWWWWW"},
		"shareable":        {vm: machine(claim("good"), shareable), want: "WWWWWW"},
		"persistent state": {vm: machine(persistentTPM), facts: tpm, want: "--RR--"},
		"tracking alone": {vm: machine(func(vm *kubevirtv1.VirtualMachine) {
			vm.Status.ChangedBlockTracking = &kubevirtv1.ChangedBlockTrackingStatus{State: kubevirtv1.ChangedBlockTrackingEnabled}
		}), facts: tpm, want: "------"},
		"no disks": {vm: machine(), want: "------"},
		"no spec":  {vm: &kubevirtv1.VirtualMachine{}, want: "------"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			facts := world()
			if tc.facts != nil {
				tc.facts(&facts)
			}
			var got strings.Builder
			for _, use := range uses() {
				got.WriteString(letter(storage.Judge(use, storage.Disks(tc.vm, facts))))
			}
			if got.String() != tc.want {
				t.Errorf("judgements by use = %s, want %s", got.String(), tc.want)
			}
		})
	}
}

func letter(judgement storage.Judgement) string {
	switch {
	case len(judgement.Refusals) > 0:
		return "R"
	case len(judgement.Warnings) > 0:
		return "W"
	}
	return "-"
}

func TestJudgeSaysWhyItMatters(t *testing.T) {
	disks := storage.Disks(machine(claim("local")), world())
	want := map[storage.Use]string{
		storage.UseSnapshot:         "a snapshot would silently leave it out",
		storage.UseRequiredSnapshot: "a snapshot would silently leave it out, and consistency Required asks for every disk",
		storage.UseOnlineClone:      "the snapshot that is cloned would silently leave it out, and the clones would lack it",
		storage.UseOfflineClone:     "the snapshot that is cloned would silently leave it out, and the clones would lack it",
		storage.UseExport:           "the snapshot that is exported would silently leave it out",
		storage.UseRollback:         "the safety snapshot would silently leave it out, and the rollback could not be taken back",
	}
	for _, use := range uses() {
		judgement := storage.Judge(use, disks)
		messages := storage.Messages(append(judgement.Refusals, judgement.Warnings...))
		expected := []string{fmt.Sprintf(`disk "disk" is on StorageClass "local", whose driver "rancher.io/local-path" has no VolumeSnapshotClass, so %s: `+
			`create a VolumeSnapshotClass for the driver, or move the disk to a StorageClass whose driver takes snapshots`, want[use])}
		if diff := cmp.Diff(expected, messages); diff != "" {
			t.Errorf("%s (-want +got):\n%s", use, diff)
		}
	}
}

func TestDisksKeepsOrderAndMarks(t *testing.T) {
	vm := machine(claim("good"), claim("local"), persistentTPM)
	vm.Spec.Template.Spec.Volumes[0].Name = "first"
	vm.Spec.Template.Spec.Volumes[1].Name = "second"
	vm.Spec.Template.Spec.Volumes[1].PersistentVolumeClaim.Hotpluggable = true
	vm.Spec.Template.Spec.Domain.Devices.Disks = []kubevirtv1.Disk{{Name: "first", Shareable: new(true)}, {Name: "second", Shareable: new(false)}}
	var got []string
	for _, disk := range storage.Disks(vm, world()) {
		got = append(got, fmt.Sprintf("%s %s claim=%s class=%s snap=%s hotplug=%t share=%t", disk.Name, disk.Source, disk.Claim, disk.StorageClass, disk.SnapshotClass, disk.Hotpluggable, disk.Shareable))
	}
	want := []string{
		"first PersistentVolumeClaim claim=good class=ceph snap=ceph-snap hotplug=false share=true",
		"second PersistentVolumeClaim claim=local class=local snap= hotplug=true share=false",
		"persistent-state-for-web-0 BackendStorage claim= class= snap= hotplug=false share=false",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("disks (-want +got):\n%s", diff)
	}
}
