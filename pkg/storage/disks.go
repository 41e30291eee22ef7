package storage

import (
	"fmt"
	"slices"

	kubevirtv1 "kubevirt.io/api/core/v1"
)

// Verdict says what a snapshot would do with a disk.
type Verdict string

// What a snapshot would do with a disk.
const (
	// Snapshotted says that a snapshot would hold the disk.
	Snapshotted Verdict = "Snapshotted"
	// LeftOut says that KubeVirt would leave the disk out without a word.
	LeftOut Verdict = "LeftOut"
	// Refused says that the disk makes the whole snapshot fail.
	Refused Verdict = "Refused"
	// Waiting says that a snapshot would hold the disk, but not yet: it would
	// wait for the disk's claim, and fail if that takes past its deadline.
	Waiting Verdict = "Waiting"
	// Unknown says that it cannot be known yet, as the disk's StorageClass is
	// not settled.
	Unknown Verdict = "Unknown"
)

// Reasons of a disk's verdict, beside those of the choice of a
// VolumeSnapshotClass.
const (
	// ReasonNotPartOfSnapshots says that the volume holds nothing that lasts.
	ReasonNotPartOfSnapshots = "NotPartOfSnapshots"
	// ReasonHostDisk says that the disk is a file on a node.
	ReasonHostDisk = "HostDisk"
	// ReasonClaimNotFound says that nothing makes the claim.
	ReasonClaimNotFound = "ClaimNotFound"
	// ReasonClaimNotCreated says that the claim is still to be made by its
	// DataVolume.
	ReasonClaimNotCreated = "ClaimNotCreated"
	// ReasonClaimNotBound says that the claim has no volume yet.
	ReasonClaimNotBound = "ClaimNotBound"
	// ReasonClaimNotPopulated says that the claim is being filled.
	ReasonClaimNotPopulated = "ClaimNotPopulated"
	// ReasonClaimDeleting says that the claim is being deleted.
	ReasonClaimDeleting = "ClaimDeleting"
	// ReasonDataVolumeNotFound says that the DataVolume that controls the claim
	// is gone, so KubeVirt cannot tell whether the claim is filled.
	ReasonDataVolumeNotFound = "DataVolumeNotFound"
	// ReasonNoDefaultStorageClass says that no StorageClass is named and the
	// cluster has no default one.
	ReasonNoDefaultStorageClass = "NoDefaultStorageClass"
	// ReasonBackendClaimNotFound says that the claim of TPM and EFI state does
	// not exist, which KubeVirt makes when the machine first starts.
	ReasonBackendClaimNotFound = "BackendClaimNotFound"
)

// Source is what a machine's volume is.
type Source string

// What a machine's volume is, where it may be part of a snapshot.
const (
	// SourceClaim is a PersistentVolumeClaim.
	SourceClaim Source = "PersistentVolumeClaim"
	// SourceDataVolume is a DataVolume, from a template of the machine or not.
	SourceDataVolume Source = "DataVolume"
	// SourceMemoryDump is a claim that memory was dumped to.
	SourceMemoryDump Source = "MemoryDump"
	// SourceBackend is the claim of a machine's persistent TPM and EFI state.
	SourceBackend Source = "BackendStorage"
	// SourceHostDisk is a file on a node.
	SourceHostDisk Source = "HostDisk"
	// SourceOther is a volume that holds nothing that lasts.
	SourceOther Source = "Other"
)

// Disk says what a snapshot would do with one volume of a machine, and why.
type Disk struct {
	// Name of the volume.
	Name string
	// Source is what the volume is.
	Source Source
	// Claim is the name of its PersistentVolumeClaim, if it has one.
	Claim string
	// StorageClass of the claim; empty if it has none, or it is not known.
	StorageClass string
	// SnapshotClass is the VolumeSnapshotClass that KubeVirt would take.
	SnapshotClass string
	// Persistent says whether the volume holds data that outlives a run of the
	// machine, so that a snapshot without it is not complete.
	Persistent bool
	// Hotpluggable says whether it can be taken out while the machine runs.
	Hotpluggable bool
	// Shareable says whether other machines may write it too.
	Shareable bool
	// Verdict says what a snapshot would do with it.
	Verdict Verdict
	// Reason is a word for the cause.
	Reason string
	// Found says what was found, in words that follow the disk's name.
	Found string
	// Advice says what to do; empty where there is nothing to do.
	Advice string
}

// Message says what a snapshot would do with the disk, as a sentence: the disk,
// what was found, why it matters and what to do.
func (d Disk) Message() string {
	return d.sentence(consequenceOfSnapshot(d))
}

// sentence joins the parts of a message; any but the first may be empty.
func (d Disk) sentence(consequence string) string {
	text := fmt.Sprintf("disk %q %s", d.Name, d.Found)
	if consequence != "" {
		text += ", so " + consequence
	}
	if d.Advice != "" {
		text += ": " + d.Advice
	}
	return text
}

// Disks says, for every volume of a machine in its order and for its persistent
// TPM and EFI state, what a snapshot would do with it.
func Disks(vm *kubevirtv1.VirtualMachine, facts Facts) []Disk {
	if vm == nil || vm.Spec.Template == nil {
		return nil
	}
	spec := &vm.Spec.Template.Spec
	disks := make([]Disk, 0, len(spec.Volumes)+1)
	for i := range spec.Volumes {
		disk := examine(vm, &spec.Volumes[i], facts)
		disk.Shareable = isShareable(spec, disk.Name)
		disks = append(disks, disk)
	}
	if persistent, needed := backendState(vm); needed {
		disk := examineBackend(vm, facts)
		disk.Persistent = persistent
		disks = append(disks, disk)
	}
	return disks
}

func isShareable(spec *kubevirtv1.VirtualMachineInstanceSpec, name string) bool {
	return slices.ContainsFunc(spec.Domain.Devices.Disks, func(d kubevirtv1.Disk) bool {
		return d.Name == name && d.Shareable != nil && *d.Shareable
	})
}

func examine(vm *kubevirtv1.VirtualMachine, volume *kubevirtv1.Volume, facts Facts) Disk {
	disk := Disk{Name: volume.Name, Persistent: true}
	switch source := volume.VolumeSource; {
	case source.DataVolume != nil:
		disk.Source, disk.Claim, disk.Hotpluggable = SourceDataVolume, source.DataVolume.Name, source.DataVolume.Hotpluggable
	case source.PersistentVolumeClaim != nil:
		disk.Source, disk.Claim, disk.Hotpluggable = SourceClaim, source.PersistentVolumeClaim.ClaimName, source.PersistentVolumeClaim.Hotpluggable
	case source.MemoryDump != nil:
		disk.Source, disk.Claim, disk.Hotpluggable = SourceMemoryDump, source.MemoryDump.ClaimName, source.MemoryDump.Hotpluggable
	case source.HostDisk != nil:
		disk.Source, disk.Verdict, disk.Reason = SourceHostDisk, LeftOut, ReasonHostDisk
		disk.Found = "is a hostDisk, a file on one node, which no snapshot holds"
		disk.Advice = "move its data to a PersistentVolumeClaim"
		return disk
	default:
		disk.Source, disk.Verdict, disk.Reason, disk.Persistent = SourceOther, LeftOut, ReasonNotPartOfSnapshots, false
		disk.Found = "is " + describeOther(&source) + ", which is no part of snapshots"
		return disk
	}
	examineClaim(vm, &disk, facts)
	return disk
}

func describeOther(source *kubevirtv1.VolumeSource) string {
	switch {
	case source.ContainerDisk != nil:
		return "a containerDisk, whose changes end with the machine's run"
	case source.EmptyDisk != nil:
		return "an emptyDisk, which is blank at every start"
	case source.Ephemeral != nil:
		return "ephemeral, whose changes end with the machine's run"
	case source.CloudInitNoCloud != nil, source.CloudInitConfigDrive != nil:
		return "cloud-init data, made anew at every start"
	case source.Sysprep != nil:
		return "a sysprep answer file, made anew at every start"
	case source.ConfigMap != nil:
		return "a ConfigMap"
	case source.Secret != nil:
		return "a Secret"
	case source.ServiceAccount != nil:
		return "a ServiceAccount's token"
	case source.DownwardAPI != nil, source.DownwardMetrics != nil:
		return "data about the machine itself"
	case source.ContainerPath != nil:
		return "a path of the machine's Pod"
	}
	return "a volume of a kind Wukong does not know"
}

// backendState says whether KubeVirt keeps state of the machine on a claim of
// its own, and whether that state matters to the guest: the map of changed
// blocks does not, as it is made anew.
func backendState(vm *kubevirtv1.VirtualMachine) (persistent, needed bool) {
	if HasPersistentState(vm) {
		return true, true
	}
	tracking := vm.Status.ChangedBlockTracking
	return false, tracking != nil &&
		(tracking.State == kubevirtv1.ChangedBlockTrackingInitializing || tracking.State == kubevirtv1.ChangedBlockTrackingEnabled)
}

// HasPersistentState says whether a machine has a persistent TPM or persistent
// EFI variables, which KubeVirt keeps on a claim of their own.
func HasPersistentState(vm *kubevirtv1.VirtualMachine) bool {
	if vm == nil || vm.Spec.Template == nil {
		return false
	}
	domain := &vm.Spec.Template.Spec.Domain
	if tpm := domain.Devices.TPM; tpm != nil && (tpm.Enabled == nil || *tpm.Enabled) && tpm.Persistent != nil && *tpm.Persistent {
		return true
	}
	if domain.Firmware == nil || domain.Firmware.Bootloader == nil || domain.Firmware.Bootloader.EFI == nil {
		return false
	}
	persistent := domain.Firmware.Bootloader.EFI.Persistent
	return persistent != nil && *persistent
}

func examineBackend(vm *kubevirtv1.VirtualMachine, facts Facts) Disk {
	disk := Disk{Name: LabelBackendStorage + "-" + vm.Name, Source: SourceBackend}
	claim, ok := currentBackend(facts.BackendClaims(vm.Namespace, vm.Name))
	if !ok {
		disk.Verdict, disk.Reason = Waiting, ReasonBackendClaimNotFound
		disk.Found = "holds the machine's TPM and EFI state, and its claim does not exist"
		disk.Advice = "start the machine once, which makes the claim"
		return disk
	}
	disk.Claim = claim.Name
	judgeClaim(&disk, claim, vm.Namespace, facts)
	return disk
}

// currentBackend picks a machine's claim as KubeVirt does: the only one,
// whatever its state, else the newest that is not being deleted.
func currentBackend(claims []Claim) (Claim, bool) {
	if len(claims) == 1 {
		return claims[0], true
	}
	var best Claim
	found := false
	for _, claim := range claims {
		if !claim.Deleting && (!found || claim.Created.After(best.Created)) {
			best, found = claim, true
		}
	}
	return best, found
}
