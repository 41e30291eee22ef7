package wait

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// The kinds whose readiness is known.
const (
	kindMachine         = "VirtualMachine"
	kindVolume          = "DataVolume"
	kindDataSource      = "DataSource"
	kindImportCron      = "DataImportCron"
	kindVolumeSnapshot  = "VolumeSnapshot"
	kindMachineSnapshot = "VirtualMachineSnapshot"
	kindCloneJob        = "CloneJob"
	kindFleet           = "Wukong"
)

// Watched says whether a kind has a readiness to wait for.
func Watched(kind string) bool {
	switch kind {
	case kindMachine, kindVolume, kindImportCron, kindVolumeSnapshot, kindMachineSnapshot, kindCloneJob, kindFleet:
		return true
	default:
		return false
	}
}

// Assess says how far one object is. idle matters for DataVolumes alone: it
// says that no machine is going to run with the disk for now.
func Assess(object *unstructured.Unstructured, idle bool) Verdict {
	switch object.GetKind() {
	case kindMachine:
		return assessMachine(object)
	case kindVolume:
		return assessVolume(object, idle)
	case kindImportCron:
		return assessImportCron(object)
	case kindVolumeSnapshot, kindMachineSnapshot:
		return assessSnapshot(object)
	case kindCloneJob:
		return assessJob(object)
	case kindFleet:
		return assessFleet(object)
	default:
		return ready("Exists")
	}
}

func assessImportCron(cron *unstructured.Unstructured) Verdict {
	upToDate := findCondition(cron, "UpToDate")
	if upToDate.isTrue() {
		return ready("UpToDate")
	}
	verdict := pending(upToDate.reason, upToDate.message)
	if verdict.Reason == "" {
		verdict.Reason = "NotStarted"
	}
	return verdict
}

// assessSnapshot speaks of snapshots of volumes and of machines, which report
// alike. Both are tried again after an error.
func assessSnapshot(snapshot *unstructured.Unstructured) Verdict {
	if nestedBool(snapshot, "status", "readyToUse") {
		return ready("ReadyToUse")
	}
	if nestedText(snapshot, "status", "phase") == "Failed" {
		return failed("SnapshotFailed", nestedText(snapshot, "status", "error", "message"))
	}
	if has(snapshot, "status", "error") {
		return failing("SnapshotError", nestedText(snapshot, "status", "error", "message"))
	}
	return pending("Snapshotting", "")
}

func assessJob(job *unstructured.Unstructured) Verdict {
	phase := nestedText(job, "status", "phase")
	why := findCondition(job, "Ready")
	switch phase {
	case "Succeeded":
		return ready(phase)
	case "Failed":
		return failed(why.reason, why.message)
	case "":
		return pending("NotStarted", "the Wukong controller has not begun")
	}
	if stalled := findCondition(job, "Stalled"); stalled.isTrue() {
		return failing(stalled.reason, stalled.message)
	}
	verdict := pending(phase, why.message)
	if percent := nestedInt(job, "status", "progress", "percent"); percent > 0 {
		verdict.Progress = fmt.Sprintf("%d%%", percent)
	}
	return verdict
}

// assessFleet speaks of a Wukong object, which reports on its machines itself.
func assessFleet(object *unstructured.Unstructured) Verdict {
	if nestedInt(object, "status", "observedGeneration") < object.GetGeneration() {
		return pending("NotStarted", "the Wukong controller has not seen the latest change yet")
	}
	if stalled := findCondition(object, "Stalled"); stalled.isTrue() {
		return failing(stalled.reason, stalled.message)
	}
	why := findCondition(object, "Ready")
	if why.isTrue() {
		return ready(why.reason)
	}
	verdict := pending(why.reason, why.message)
	if replicas := nestedInt(object, "status", "replicas"); replicas > 0 {
		verdict.Progress = fmt.Sprintf("%d%%", 100*nestedInt(object, "status", "readyReplicas")/replicas)
	}
	return verdict
}
