package storage

import (
	"fmt"

	kubevirtv1 "kubevirt.io/api/core/v1"
)

// examineClaim fills in a disk that has a claim, which may be still to come: by
// an existing DataVolume, or by a template of the machine.
func examineClaim(vm *kubevirtv1.VirtualMachine, disk *Disk, facts Facts) {
	if claim, ok := facts.Claim(vm.Namespace, disk.Claim); ok {
		judgeClaim(disk, claim, vm.Namespace, facts)
		return
	}
	volume, ok := facts.DataVolume(vm.Namespace, disk.Claim)
	if !ok {
		volume, ok = templateOf(vm, disk.Claim)
	}
	if !ok {
		disk.Verdict, disk.Reason = Waiting, ReasonClaimNotFound
		disk.Found = fmt.Sprintf("is on PersistentVolumeClaim %q, which does not exist", disk.Claim)
		disk.Advice = "create the claim, or take the disk out of the machine"
		return
	}
	class, settled := classOf(volume.StorageClass, volume.API, facts)
	judgeClass(disk, class, settled, facts)
	state := claimState{
		Reason: ReasonClaimNotCreated,
		Found:  fmt.Sprintf("is on DataVolume %q, which has not made its claim yet", volume.Name),
		Advice: "ask again when the DataVolume has succeeded",
	}
	state.apply(disk)
}

func templateOf(vm *kubevirtv1.VirtualMachine, name string) (DataVolume, bool) {
	for i := range vm.Spec.DataVolumeTemplates {
		template := &vm.Spec.DataVolumeTemplates[i]
		if template.Name == name {
			return dataVolumeOf(template.Name, "", &template.Spec), true
		}
	}
	return DataVolume{}, false
}

// judgeClaim fills in a disk whose claim exists.
func judgeClaim(disk *Disk, claim Claim, namespace string, facts Facts) {
	class, settled := "", true
	switch {
	case claim.StorageClass != nil:
		class = *claim.StorageClass
	case !claim.Bound:
		// The cluster's default is filled in later, if there is one.
		class, settled = classOf(nil, ByPVC, facts)
	}
	judgeClass(disk, class, settled, facts)
	stateOf(claim, namespace, facts).apply(disk)
}

// classOf gives the StorageClass a claim will have. It is not settled where
// none is named and the cluster has no default.
func classOf(named *string, api ClaimAPI, facts Facts) (class string, settled bool) {
	if named != nil {
		return *named, true
	}
	byDefault, ok := defaultClass(api, facts)
	return byDefault.Name, ok
}

// judgeClass fills in what follows from a disk's StorageClass alone.
func judgeClass(disk *Disk, class string, settled bool, facts Facts) {
	if !settled {
		disk.Verdict, disk.Reason = Unknown, ReasonNoDefaultStorageClass
		disk.Found = "names no StorageClass, and the cluster has no default one"
		disk.Advice = "name a StorageClass whose driver takes snapshots, or mark one as the default"
		return
	}
	choice := ChooseSnapshotClass(class, facts)
	disk.StorageClass, disk.SnapshotClass = class, choice.Class
	disk.Reason, disk.Found, disk.Advice = choice.Reason, choice.Found, choice.Advice
	switch {
	case choice.Class != "":
		disk.Verdict = Snapshotted
	case choice.Ambiguous:
		disk.Verdict = Refused
	default:
		disk.Verdict = LeftOut
	}
}

// claimState is why a snapshot would not be taken of a claim yet; its zero
// value says that it would.
type claimState struct {
	// Reason, Found and Advice are as a Disk's.
	Reason, Found, Advice string
	// Final says that waiting does not help.
	Final bool
}

// stateOf follows the order in which KubeVirt looks at a claim.
func stateOf(claim Claim, namespace string, facts Facts) claimState {
	on := fmt.Sprintf("is on PersistentVolumeClaim %q, which ", claim.Name)
	if claim.Deleting {
		return claimState{
			Reason: ReasonClaimDeleting, Final: true, Found: on + "is being deleted",
			Advice: "let the deletion end, then take the disk out of the machine or create its claim again",
		}
	}
	if !claim.Bound {
		return claimState{
			Reason: ReasonClaimNotBound, Found: on + "is not Bound",
			Advice: "ask again when it is; with a StorageClass that waits for the first consumer, start the machine",
		}
	}
	if claim.DataVolume == "" {
		return claimState{}
	}
	volume, ok := facts.DataVolume(namespace, claim.DataVolume)
	if !ok {
		return claimState{
			Reason: ReasonDataVolumeNotFound, Found: on + fmt.Sprintf("belongs to DataVolume %q, which does not exist", claim.DataVolume),
			Advice: "wait until the claim is deleted with its owner, or take the owner reference off it",
		}
	}
	if !volume.Succeeded() {
		return claimState{
			Reason: ReasonClaimNotPopulated, Found: on + fmt.Sprintf("DataVolume %q is still filling (%s)", volume.Name, phaseOf(volume)),
			Advice: "ask again when the DataVolume has succeeded",
		}
	}
	return claimState{}
}

func phaseOf(volume DataVolume) string {
	if volume.Phase == "" {
		return "phase not set"
	}
	return "phase " + volume.Phase
}

// apply lets the state of the claim speak where the class is in order. What is
// wrong with the class stays first, as it outlasts the state.
func (s claimState) apply(disk *Disk) {
	if s.Reason == "" || disk.Verdict == Refused || disk.Verdict == Unknown {
		return
	}
	if disk.Verdict == LeftOut {
		disk.Found += ", and " + s.Found
		return
	}
	disk.Verdict = Waiting
	if s.Final {
		disk.Verdict = Refused
	}
	disk.Reason, disk.Found, disk.Advice = s.Reason, s.Found, s.Advice
}
