package request

import (
	"errors"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	snapshotv1beta1 "kubevirt.io/api/snapshot/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"wukong.io/wukong/pkg/apis/wukong/v1alpha1"
)

const (
	phaseRefused = "Refused"
	phasePending = "Pending"
	phaseGone    = "Gone"
)

// Reasons of events.
const (
	reasonCreated      = "RequestAccepted"
	reasonNotStamped   = "RequestNotStamped"
	reasonInvalid      = "RequestInvalid"
	reasonDenied       = "RequestDenied"
	reasonNameConflict = "NameConflict"
	reasonProgress     = "RequestProgress"
)

// plan is what to do, and what to say.
type plan struct {
	outcomes []outcome
}

// outcome is what becomes of one request.
type outcome struct {
	verb, value string
	// create is the job to make; nil if there is nothing to make.
	create client.Object
	// job, phase and message are reported on the machine.
	job, phase, message string
	reason              string
	// ignored requests belong to another machine: nothing is said of them.
	ignored bool
}

// decide says what becomes of each request of a machine.
func decide(in inputs) plan {
	var p plan
	for i := range in.requests {
		p.outcomes = append(p.outcomes, decideOne(in.vm, &in.requests[i]))
	}
	return p
}

func decideOne(vm client.Object, one *asked) outcome {
	o := outcome{verb: one.verb, value: one.value}
	refuse := func(reason, format string, args ...any) outcome {
		o.phase, o.reason, o.message = phaseRefused, reason, fmt.Sprintf(format, args...)
		return o
	}
	switch {
	case errors.Is(one.stampErr, v1alpha1.ErrNotStamped):
		return refuse(reasonNotStamped, "The request %s, so nobody knows whose rights it has: remove the annotation and set it again while Wukong's webhook is up", one.stampErr)
	case one.stampErr != nil:
		return refuse(reasonNotStamped, "The stamp of the request cannot be read: %s", one.stampErr)
	case one.stamp.For != vm.GetUID():
		o.ignored = true
		return o
	case len(one.mistakes) > 0:
		return refuse(reasonInvalid, "%s", strings.Join(one.mistakes, "; "))
	case one.job != nil && !ours(vm, one):
		return refuse(reasonNameConflict, "%q exists already and was not made for this request: ask under another name", one.job.GetName())
	case one.job != nil:
		o.job, o.reason = one.job.GetName(), reasonProgress
		o.phase, o.message = phaseOf(one.job)
		return o
	case one.handled:
		o.job, o.phase = jobName(vm, one.verb, one.value), phaseGone
		o.message, o.reason = "The request was carried out, and its job is gone: set another value to ask again", reasonProgress
		return o
	case len(one.denied) > 0:
		return refuse(reasonDenied, "User %q may not %s", one.stamp.User, one.denied[0].What)
	}
	o.create = newJob(vm, one)
	o.job, o.phase, o.reason = o.create.GetName(), phasePending, reasonCreated
	o.message = fmt.Sprintf("%s %s was created for user %q", kindName(o.create), o.job, one.stamp.User)
	return o
}

// ours says whether the object a request would become was made for a request of
// this very machine and of the same person: anybody may give a job any owner.
func ours(vm client.Object, one *asked) bool {
	object := one.job
	if object.GetAnnotations()[v1alpha1.AnnotationRequestedBy] != one.stamp.User {
		return false
	}
	if owner := metav1.GetControllerOf(object); owner != nil {
		return owner.UID == vm.GetUID()
	}
	snapshot, isSnapshot := object.(*snapshotv1beta1.VirtualMachineSnapshot)
	return isSnapshot && snapshot.Spec.Source.Name == vm.GetName() &&
		snapshot.Annotations[v1alpha1.AnnotationRequestedFor] == string(vm.GetUID())
}

// phaseOf reads how far a job has got.
func phaseOf(job client.Object) (phase, message string) {
	var conditions []metav1.Condition
	switch j := job.(type) {
	case *v1alpha1.CloneJob:
		phase, conditions = j.Status.Phase, j.Status.Conditions
	case *v1alpha1.ExportJob:
		phase, conditions = j.Status.Phase, j.Status.Conditions
	case *v1alpha1.RollbackJob:
		phase, conditions = j.Status.Phase, j.Status.Conditions
	case *snapshotv1beta1.VirtualMachineSnapshot:
		return snapshotPhase(j)
	}
	for _, condition := range conditions {
		if condition.Type == "Ready" {
			message = condition.Message
		}
	}
	if phase == "" {
		phase = phasePending
	}
	return phase, message
}

func snapshotPhase(snapshot *snapshotv1beta1.VirtualMachineSnapshot) (phase, message string) {
	switch status := snapshot.Status; {
	case status == nil:
		return phasePending, ""
	case status.Phase == snapshotv1beta1.Failed:
		if status.Error != nil && status.Error.Message != nil {
			message = *status.Error.Message
		}
		return "Failed", message
	case status.ReadyToUse != nil && *status.ReadyToUse:
		return "Succeeded", ""
	}
	return "Snapshotting", ""
}

func kindName(object client.Object) string {
	switch object.(type) {
	case *v1alpha1.CloneJob:
		return "CloneJob"
	case *v1alpha1.ExportJob:
		return "ExportJob"
	case *v1alpha1.RollbackJob:
		return "RollbackJob"
	}
	return "VirtualMachineSnapshot"
}
