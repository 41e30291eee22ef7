package cdi

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// report writes the status of a DataVolume, once and only if it changed, and tells of a new phase.
func (d *dataVolumes) report(ctx context.Context, v *volume) error {
	old := v.dv.DeepCopy()
	late, err := d.waitsForConsumer(ctx, v.claim)
	if err != nil {
		return err
	}
	status := &v.dv.Status
	status.Phase = phaseOf(v, late)
	if v.claim != nil {
		status.ClaimName = v.claim.Name
		if restarts, err := strconv.ParseInt(v.claim.Annotations[annPodRestarts], 10, 32); err == nil {
			status.RestartCount = int32(restarts)
		}
	}
	status.Progress = progressOf(v)
	setConditions(v, metav1.NewTime(d.clock.Now()))
	if equality.Semantic.DeepEqual(old.Status, v.dv.Status) {
		return nil
	}
	if err := d.Status().Patch(ctx, v.dv, client.MergeFrom(old)); err != nil {
		return err
	}
	d.tell(v, old)
	return nil
}

// waitsForConsumer says that nothing may happen to the claim before a Pod uses it.
func (e *env) waitsForConsumer(ctx context.Context, claim *corev1.PersistentVolumeClaim) (bool, error) {
	if claim == nil || claim.Status.Phase == corev1.ClaimBound {
		return false, nil
	}
	class, err := e.class(ctx, claim.Spec.StorageClassName)
	if err != nil {
		return false, err
	}
	_, immediate := claim.Annotations[annImmediateBinding]
	return bindsOnFirstUse(class) && !immediate && claim.Annotations[annSelectedNode] == "", nil
}

// phaseOf is the phase of a DataVolume, a pure function of what is known.
func phaseOf(v *volume, late bool) cdiv1.DataVolumePhase {
	claim := v.claim
	if claim == nil {
		if v.phase == cdiv1.PhaseUnset && v.reason == "" {
			return cdiv1.Pending
		}
		return v.phase
	}
	if claim.DeletionTimestamp != nil {
		return v.phase
	}
	if claim.Status.Phase == corev1.ClaimLost {
		return cdiv1.Failed
	}
	if adoptable(v.dv, claim) {
		return cdiv1.Succeeded
	}
	if v.dv.Spec.Source == nil && v.dv.Spec.SourceRef == nil {
		return externalPhase(claim, late)
	}
	if claim.Status.Phase != corev1.ClaimBound {
		if late && populatorKind(claim) != "" {
			return cdiv1.PendingPopulation
		}
		if late {
			return cdiv1.WaitForFirstConsumer
		}
		if populatorKind(claim) == "" {
			return cdiv1.Pending
		}
	}
	return workPhase(v)
}

// externalPhase is that of a DataVolume which somebody else's provisioner fills.
func externalPhase(claim *corev1.PersistentVolumeClaim, late bool) cdiv1.DataVolumePhase {
	switch {
	case claim.Status.Phase == corev1.ClaimBound:
		return cdiv1.Succeeded
	case late:
		return cdiv1.PendingPopulation
	default:
		return cdiv1.Pending
	}
}

// workPhase follows what the populator, or the older importer, has written on the claim.
func workPhase(v *volume) cdiv1.DataVolumePhase {
	if clone := v.claim.Annotations[annClonePhase]; clone != "" || populatorKind(v.claim) == cdiv1.VolumeCloneSourceRef {
		return clonePhase(clone, v.phase)
	}
	scheduled, running := cdiv1.ImportScheduled, cdiv1.ImportInProgress
	switch {
	case populatorKind(v.claim) == cdiv1.VolumeUploadSourceRef || v.claim.Annotations[annSource] == "upload":
		scheduled, running = cdiv1.UploadScheduled, cdiv1.UploadReady
	case v.claim.Annotations[annSource] == "clone":
		scheduled, running = cdiv1.CloneScheduled, cdiv1.CloneInProgress
	}
	switch v.claim.Annotations[annPodPhase] {
	case string(corev1.PodSucceeded):
		return cdiv1.Succeeded
	case string(corev1.PodRunning):
		return running
	case string(corev1.PodPending):
		return scheduled
	case string(corev1.PodFailed):
		if v.claim.Annotations[annFatalError] == "true" {
			return cdiv1.Failed
		}
	}
	if v.claim.Status.Phase == corev1.ClaimBound {
		return cdiv1.PVCBound
	}
	switch v.phase {
	case cdiv1.PhaseUnset, cdiv1.PendingPopulation, cdiv1.Succeeded: // whose claim was deleted, and is filled once more
		return cdiv1.Pending
	default:
		return v.phase
	}
}

// clonePhase translates the clone populator's phases. A failed clone is tried again, so the phase stays.
func clonePhase(phase string, have cdiv1.DataVolumePhase) cdiv1.DataVolumePhase {
	switch phase {
	case clonePhaseSucceeded:
		return cdiv1.Succeeded
	case clonePhaseSnapshot:
		return cdiv1.SnapshotForSmartCloneInProgress
	case clonePhaseFromSnapshot:
		return cdiv1.CloneFromSnapshotSourceInProgress
	case clonePhaseCSI:
		return cdiv1.CSICloneInProgress
	case clonePhaseHost:
		return cdiv1.CloneInProgress
	case clonePhasePrep:
		return cdiv1.PrepClaimInProgress
	case clonePhaseRebind:
		return cdiv1.RebindInProgress
	case clonePhaseError:
		if have != cdiv1.PhaseUnset {
			return have
		}
	}
	return cdiv1.CloneScheduled
}

func progressOf(v *volume) cdiv1.DataVolumeProgress {
	if v.dv.Status.Phase == cdiv1.Succeeded {
		if v.source == nil && v.dv.Spec.Source == nil && v.dv.Spec.SourceRef == nil {
			return "N/A"
		}
		return "100.0%"
	}
	if v.claim != nil && v.claim.Annotations[annProgress] != "" {
		return cdiv1.DataVolumeProgress(v.claim.Annotations[annProgress])
	}
	return "N/A"
}

// setConditions derives Bound, Ready and Running from the claim.
func setConditions(v *volume, now metav1.Time) {
	set := func(kind cdiv1.DataVolumeConditionType, status corev1.ConditionStatus, reason, message string) {
		setCondition(&v.dv.Status, kind, status, reason, message, now)
	}
	boundStatus, boundReason, boundMessage := boundCondition(v)
	set(cdiv1.DataVolumeBound, boundStatus, boundReason, boundMessage)

	running, reason, message := runningCondition(v.claim)
	switch {
	case v.dv.Status.Phase == cdiv1.Succeeded:
		set(cdiv1.DataVolumeReady, corev1.ConditionTrue, "", "")
	case running == corev1.ConditionTrue:
		set(cdiv1.DataVolumeReady, corev1.ConditionFalse, "TransferRunning", "")
	case v.claim == nil:
		set(cdiv1.DataVolumeReady, corev1.ConditionFalse, v.reason, v.message)
	default:
		set(cdiv1.DataVolumeReady, corev1.ConditionFalse, "", "")
	}
	set(cdiv1.DataVolumeRunning, running, reason, message)
}

func boundCondition(v *volume) (status corev1.ConditionStatus, reason, message string) {
	switch {
	case v.claim == nil && v.reason != "":
		return corev1.ConditionFalse, v.reason, v.message
	case v.claim == nil:
		return corev1.ConditionFalse, "NotFound", "No PVC found"
	case v.claim.Status.Phase == corev1.ClaimBound:
		return corev1.ConditionTrue, "Bound", fmt.Sprintf("PVC %s Bound", v.claim.Name)
	case v.claim.Status.Phase == corev1.ClaimLost:
		return corev1.ConditionFalse, "ClaimLost", "Claim Lost"
	default:
		return corev1.ConditionFalse, "Pending", fmt.Sprintf("PVC %s Pending", v.claim.Name)
	}
}

func runningCondition(claim *corev1.PersistentVolumeClaim) (status corev1.ConditionStatus, reason, message string) {
	if claim == nil {
		return corev1.ConditionFalse, "", ""
	}
	reason, message = claim.Annotations[annRunningReason], claim.Annotations[annRunningMessage]
	if strings.EqualFold(claim.Annotations[annRunning], "true") {
		return corev1.ConditionTrue, reason, message
	}
	return corev1.ConditionFalse, reason, message
}

func setCondition(status *cdiv1.DataVolumeStatus, kind cdiv1.DataVolumeConditionType, value corev1.ConditionStatus, reason, message string, now metav1.Time) {
	for i := range status.Conditions {
		have := &status.Conditions[i]
		if have.Type != kind {
			continue
		}
		if have.Status == value && have.Reason == reason && have.Message == message {
			return
		}
		if have.Status != value {
			have.LastTransitionTime = now
		}
		have.Status, have.Reason, have.Message, have.LastHeartbeatTime = value, reason, message, now
		return
	}
	status.Conditions = append(status.Conditions, cdiv1.DataVolumeCondition{
		Type: kind, Status: value, Reason: reason, Message: message, LastTransitionTime: now, LastHeartbeatTime: now,
	})
}

// tell writes the events CDI writes: one per phase, and one per new reason a transfer does not run.
func (d *dataVolumes) tell(v *volume, old *cdiv1.DataVolume) {
	dv := v.dv
	if dv.Status.Phase != old.Status.Phase && dv.Status.Phase != cdiv1.Pending && dv.Status.Phase != cdiv1.PhaseUnset {
		kind := corev1.EventTypeNormal
		if dv.Status.Phase == cdiv1.Failed {
			kind = corev1.EventTypeWarning
		}
		d.event(dv, kind, phaseReason(v, dv.Status.Phase), fmt.Sprintf("DataVolume %s is in phase %s", dv.Name, dv.Status.Phase))
	}
	_, reason, message := runningCondition(v.claim)
	if reason == reasonError && message != "" && message != runningMessage(old) {
		d.event(dv, corev1.EventTypeWarning, reason, message)
	}
}

// phaseReason is the reason of the event of a phase.
func phaseReason(v *volume, phase cdiv1.DataVolumePhase) string {
	if phase != cdiv1.Succeeded && phase != cdiv1.Failed {
		return string(phase)
	}
	verb := "Import"
	if v.claim != nil {
		switch populatorKind(v.claim) {
		case cdiv1.VolumeCloneSourceRef:
			verb = "Clone"
		case cdiv1.VolumeUploadSourceRef:
			verb = "Upload"
		}
	}
	return verb + string(phase)
}

func runningMessage(dv *cdiv1.DataVolume) string {
	for _, condition := range dv.Status.Conditions {
		if condition.Type == cdiv1.DataVolumeRunning {
			return condition.Message
		}
	}
	return ""
}
