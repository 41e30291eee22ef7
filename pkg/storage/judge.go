package storage

import "fmt"

// Use is what a snapshot of a machine is wanted for.
type Use string

// What a snapshot of a machine is wanted for.
const (
	// UseSnapshot is a snapshot, or a policy whose consistency is Preferred or
	// CrashConsistent.
	UseSnapshot Use = "Snapshot"
	// UseRequiredSnapshot is a policy whose consistency is Required.
	UseRequiredSnapshot Use = "RequiredSnapshot"
	// UseOnlineClone is a clone of a machine that keeps running.
	UseOnlineClone Use = "OnlineClone"
	// UseOfflineClone is a clone of a stopped machine.
	UseOfflineClone Use = "OfflineClone"
	// UseExport is an export.
	UseExport Use = "Export"
	// UseRollback is the safety snapshot of a rollback.
	UseRollback Use = "Rollback"
)

// ReasonPersistentState says that the machine has persistent TPM or EFI state,
// which cannot be cloned.
const ReasonPersistentState = "PersistentState"

// Finding is one thing that speaks against a use.
type Finding struct {
	// Disk it is about.
	Disk Disk
	// Reason is a word for the cause; the disk's own, unless the use has one.
	Reason string
	// Message is a sentence: the disk, what was found, why it matters for the
	// use, and what to do.
	Message string
}

// Judgement says what speaks against a use: what rules it out, and what people
// should know.
type Judgement struct {
	// Refusals rule the use out.
	Refusals []Finding
	// Warnings do not.
	Warnings []Finding
}

// Judge says what speaks against a use of a machine's snapshot. What would
// silently leave a disk out is refused where the result would be of no use, and
// a warning elsewhere.
func Judge(use Use, disks []Disk) Judgement {
	var judgement Judgement
	for _, disk := range disks {
		finding, refuse := judgeDisk(use, disk)
		switch {
		case finding.Message == "":
		case refuse:
			judgement.Refusals = append(judgement.Refusals, finding)
		default:
			judgement.Warnings = append(judgement.Warnings, finding)
		}
	}
	return judgement
}

// Messages gives the sentences of findings.
func Messages(findings []Finding) []string {
	messages := make([]string, len(findings))
	for i, finding := range findings {
		messages[i] = finding.Message
	}
	return messages
}

// Complete says whether a snapshot taken now would hold every disk whose data
// lasts.
func Complete(disks []Disk) bool {
	for _, disk := range disks {
		if disk.Persistent && disk.Verdict != Snapshotted {
			return false
		}
	}
	return true
}

func judgeDisk(use Use, disk Disk) (finding Finding, refuse bool) {
	isClone := use == UseOnlineClone || use == UseOfflineClone
	if isClone && disk.Source == SourceBackend && disk.Persistent {
		return Finding{
			Disk: disk, Reason: ReasonPersistentState,
			Message: fmt.Sprintf("disk %q holds the machine's persistent TPM and EFI state, which cannot be cloned, as two machines would hold the same keys: "+
				"set template.spec.domain.devices.tpm.persistent and firmware.bootloader.efi.persistent to false, or make the machine anew from its image", disk.Name),
		}, true
	}
	finding = Finding{Disk: disk, Reason: disk.Reason}
	switch disk.Verdict {
	case Snapshotted:
		if disk.Shareable {
			finding.Message = sharedMessage(use, disk)
		}
		return finding, false
	case LeftOut:
		if !disk.Persistent {
			return finding, false
		}
		finding.Message = disk.sentence(consequenceOfLeftOut(use))
		return finding, use == UseRequiredSnapshot || use == UseOnlineClone || use == UseRollback
	default:
		finding.Message = disk.Message()
		return finding, disk.Verdict == Refused
	}
}

func consequenceOfSnapshot(disk Disk) string {
	switch disk.Verdict {
	case LeftOut:
		if disk.Persistent {
			return consequenceOfLeftOut(UseSnapshot)
		}
	case Refused:
		return "KubeVirt would fail the whole snapshot"
	case Waiting:
		return "a snapshot would wait for it, and fail at its deadline"
	case Unknown:
		return "it cannot be said whether a snapshot would hold it"
	case Snapshotted:
	}
	return ""
}

func consequenceOfLeftOut(use Use) string {
	switch use {
	case UseRequiredSnapshot:
		return "a snapshot would silently leave it out, and consistency Required asks for every disk"
	case UseOnlineClone, UseOfflineClone:
		return "the snapshot that is cloned would silently leave it out, and the clones would lack it"
	case UseExport:
		return "the snapshot that is exported would silently leave it out"
	case UseRollback:
		return "the safety snapshot would silently leave it out, and the rollback could not be taken back"
	case UseSnapshot:
	}
	return "a snapshot would silently leave it out"
}

func sharedMessage(use Use, disk Disk) string {
	consequence := "the snapshot holds it as it is in the middle of their writes"
	if use == UseRollback {
		consequence = "the rollback takes it back under them too"
	}
	return fmt.Sprintf("disk %q is shareable and other machines may write it, so %s: stop the other machines that use claim %q first", disk.Name, consequence, disk.Claim)
}
