package wait

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
)

// assessVolume says how far a DataVolume is. idle says that nothing is going to
// run with it for now, so it may go on waiting for its first consumer.
func assessVolume(dv *unstructured.Unstructured, idle bool) Verdict {
	phase := cdiv1.DataVolumePhase(nestedText(dv, "status", "phase"))
	switch phase {
	case cdiv1.Succeeded:
		return ready(string(phase))
	case cdiv1.Failed:
		return failed("DataVolumeFailed", volumeTrouble(dv))
	case cdiv1.WaitForFirstConsumer, cdiv1.PendingPopulation:
		if idle {
			return ready(string(phase))
		}
	case cdiv1.UploadReady:
		return Verdict{
			State: Held, Reason: string(phase),
			Warning: fmt.Sprintf("waits for an upload: virtctl image-upload dv %s --no-create --image-path FILE", dv.GetName()),
		}
	}
	if trouble, ok := importTrouble(dv); ok {
		return trouble
	}
	verdict := pending(string(phase), "")
	if phase == cdiv1.PhaseUnset {
		verdict.Reason = string(cdiv1.Pending)
	}
	if progress := nestedText(dv, "status", "progress"); strings.HasSuffix(progress, "%") {
		verdict.Progress = progress
	}
	return verdict
}

// importTrouble looks behind the phase: CDI restarts an importer that fails for
// ever, and the phase stays ImportInProgress.
func importTrouble(dv *unstructured.Unstructured) (Verdict, bool) {
	running := findCondition(dv, string(cdiv1.DataVolumeRunning))
	if !running.isFalse() {
		return Verdict{}, false
	}
	switch running.reason {
	case "Error", "ImagePullFailed":
		return failing(running.reason, volumeTrouble(dv)), true
	default:
		return Verdict{}, false
	}
}

// volumeTrouble puts together what CDI says about a failure.
func volumeTrouble(dv *unstructured.Unstructured) string {
	message := findCondition(dv, string(cdiv1.DataVolumeRunning)).message
	if message == "" {
		message = findCondition(dv, string(cdiv1.DataVolumeBound)).message
	}
	if restarts := nestedInt(dv, "status", "restartCount"); restarts > 0 {
		message = strings.TrimSpace(fmt.Sprintf("%s (restarted %d times)", message, restarts))
	}
	return message
}
