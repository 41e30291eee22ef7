package request

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	kubevirtv1 "kubevirt.io/api/core/v1"
	snapshotv1beta1 "kubevirt.io/api/snapshot/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"wukong.io/wukong/pkg/access"
	"wukong.io/wukong/pkg/apis/wukong/v1alpha1"
	"wukong.io/wukong/pkg/validation"
)

func theMachine() *kubevirtv1.VirtualMachine {
	return &kubevirtv1.VirtualMachine{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "u1"}}
}

// requestOf is a request of alice that is well in every way, but for some changes.
func requestOf(t *testing.T, verb, value string, changes ...func(*asked)) *asked {
	t.Helper()
	parsed, errs := validation.ParseRequest(verb, value, theMachine())
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	one := &asked{verb: verb, value: value, request: parsed, stamp: v1alpha1.Stamp{User: "alice", Groups: []string{"a"}, For: "u1"}}
	for _, change := range changes {
		change(one)
	}
	return one
}

// cloneJob is a job made for a request of somebody on a machine.
func cloneJob(owner types.UID, user, phase string) *v1alpha1.CloneJob {
	vm := theMachine()
	vm.UID = owner
	job := &v1alpha1.CloneJob{ObjectMeta: metav1.ObjectMeta{
		Name: "web-clone-1", Annotations: map[string]string{v1alpha1.AnnotationRequestedBy: user},
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(vm, kubevirtv1.VirtualMachineGroupVersionKind)},
	}}
	job.Status.Phase = phase
	return job
}

func having(job client.Object) func(*asked) { return func(one *asked) { one.job = job } }

func handled(one *asked) { one.handled = true }

func snapshotFor(machine, uid string) *snapshotv1beta1.VirtualMachineSnapshot {
	snapshot := &snapshotv1beta1.VirtualMachineSnapshot{ObjectMeta: metav1.ObjectMeta{Name: "after", Annotations: map[string]string{
		v1alpha1.AnnotationRequestedBy: "alice", v1alpha1.AnnotationRequestedFor: uid,
	}}}
	snapshot.Spec.Source.Name = machine
	return snapshot
}

func TestDecide(t *testing.T) {
	yes := true
	name := v1alpha1.RequestName("web", "u1", "clone", "copy")
	ready := snapshotFor("web", "u1")
	ready.Status = &snapshotv1beta1.VirtualMachineSnapshotStatus{ReadyToUse: &yes}
	type answer struct {
		Phase, Reason, Job string
		Creates, Ignored   bool
	}
	cases := map[string]struct {
		asked *asked
		want  answer
	}{
		"makes the job of a good request":               {requestOf(t, "clone", "copy"), answer{Phase: "Pending", Reason: "RequestAccepted", Job: name, Creates: true}},
		"makes the snapshot of a good request":          {requestOf(t, "snapshot", "after"), answer{Phase: "Pending", Reason: "RequestAccepted", Job: "after", Creates: true}},
		"refuses what nobody stamped":                   {requestOf(t, "clone", "copy", func(a *asked) { a.stampErr = v1alpha1.ErrNotStamped }), answer{Phase: "Refused", Reason: "RequestNotStamped"}},
		"refuses a stamp it cannot read":                {requestOf(t, "clone", "copy", func(a *asked) { a.stampErr = errors.New("half") }), answer{Phase: "Refused", Reason: "RequestNotStamped"}},
		"is silent on a copy of a request":              {requestOf(t, "clone", "copy", func(a *asked) { a.stamp.For = "u2" }), answer{Ignored: true}},
		"is silent on a copy, whatever else is wrong":   {requestOf(t, "clone", "copy", func(a *asked) { a.stamp.For = "u2"; a.mistakes = []string{"x"} }), answer{Ignored: true}},
		"refuses mistakes":                              {requestOf(t, "clone", "copy", func(a *asked) { a.mistakes = []string{"x", "y"} }), answer{Phase: "Refused", Reason: "RequestInvalid"}},
		"refuses mistakes although it was handled":      {requestOf(t, "clone", "copy", handled, func(a *asked) { a.mistakes = []string{"x"} }), answer{Phase: "Refused", Reason: "RequestInvalid"}},
		"refuses for want of a right":                   {requestOf(t, "clone", "copy", func(a *asked) { a.denied = []access.Right{{What: "x"}} }), answer{Phase: "Refused", Reason: "RequestDenied"}},
		"reports the job that there is":                 {requestOf(t, "clone", "copy", having(cloneJob("u1", "alice", "Restoring"))), answer{Phase: "Restoring", Reason: "RequestProgress", Job: "web-clone-1"}},
		"reports a job that has not begun":              {requestOf(t, "clone", "copy", having(cloneJob("u1", "alice", ""))), answer{Phase: "Pending", Reason: "RequestProgress", Job: "web-clone-1"}},
		"reports a job although the right is gone":      {requestOf(t, "clone", "copy", having(cloneJob("u1", "alice", "Failed")), func(a *asked) { a.denied = []access.Right{{What: "x"}} }), answer{Phase: "Failed", Reason: "RequestProgress", Job: "web-clone-1"}},
		"refuses another machine's job":                 {requestOf(t, "clone", "copy", having(cloneJob("u2", "alice", ""))), answer{Phase: "Refused", Reason: "NameConflict"}},
		"refuses a job that somebody else planted":      {requestOf(t, "clone", "copy", having(cloneJob("u1", "mallory", ""))), answer{Phase: "Refused", Reason: "NameConflict"}},
		"refuses a job without an owner":                {requestOf(t, "clone", "copy", having(&v1alpha1.CloneJob{ObjectMeta: metav1.ObjectMeta{Name: "x", Annotations: map[string]string{v1alpha1.AnnotationRequestedBy: "alice"}}})), answer{Phase: "Refused", Reason: "NameConflict"}},
		"does not make again what was made and is gone": {requestOf(t, "clone", "copy", handled), answer{Phase: "Gone", Reason: "RequestProgress", Job: name}},
		"reports its snapshot":                          {requestOf(t, "snapshot", "after", having(ready)), answer{Phase: "Succeeded", Reason: "RequestProgress", Job: "after"}},
		"refuses a snapshot of another machine":         {requestOf(t, "snapshot", "after", having(snapshotFor("other", "u1"))), answer{Phase: "Refused", Reason: "NameConflict"}},
		"refuses a snapshot asked for on a namesake":    {requestOf(t, "snapshot", "after", having(snapshotFor("web", "u0"))), answer{Phase: "Refused", Reason: "NameConflict"}},
		"refuses a snapshot that was taken by hand":     {requestOf(t, "snapshot", "after", having(snapshotFor("web", ""))), answer{Phase: "Refused", Reason: "NameConflict"}},
	}
	for title, tc := range cases {
		t.Run(title, func(t *testing.T) {
			got := decideOne(theMachine(), tc.asked)
			if diff := cmp.Diff(tc.want, answer{Phase: got.phase, Reason: got.reason, Job: got.job, Creates: got.create != nil, Ignored: got.ignored}); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got.phase == phaseRefused && got.message == "" {
				t.Error("a refusal must say why")
			}
		})
	}
}

func TestJobsCarryTheStampAndTheirMachine(t *testing.T) {
	for verb, value := range map[string]string{"clone": "copy", "export": "r.example.com/a:1", "rollback": "before", "snapshot": "after"} {
		job := newJob(theMachine(), requestOf(t, verb, value))
		stamp, err := v1alpha1.ReadStamp("", job.GetAnnotations())
		if err != nil || stamp.User != "alice" {
			t.Errorf("%s: stamp %v, %v", verb, stamp, err)
		}
		if owned := metav1.IsControlledBy(job, theMachine()); owned == (verb == "snapshot") {
			t.Errorf("%s: owned by its machine: %t", verb, owned)
		}
		one := requestOf(t, verb, value, having(job))
		if !ours(theMachine(), one) {
			t.Errorf("%s: does not know its own job again", verb)
		}
	}
}
