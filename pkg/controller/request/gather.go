package request

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"
	snapshotv1beta1 "kubevirt.io/api/snapshot/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"wukong.io/wukong/pkg/access"
	"wukong.io/wukong/pkg/apis/wukong/v1alpha1"
	"wukong.io/wukong/pkg/validation"
)

// inputs is everything a decision rests on.
type inputs struct {
	vm       *metav1.PartialObjectMetadata
	now      time.Time
	requests []asked
}

// asked is one request annotation, and what is known of it.
type asked struct {
	verb, value string
	// stamp is who asked; stampErr why that is not known.
	stamp    v1alpha1.Stamp
	stampErr error
	// request is the parsed value; mistakes what is wrong with it.
	request  validation.Request
	mistakes []string
	// denied are the rights the requester does not have.
	denied []access.Right
	// job is what the request became; nil if it is not there.
	job client.Object
	// handled says that the request was carried out before, whatever became of
	// its job.
	handled bool
}

// gather reads everything a decision needs.
func (r *Reconciler) gather(ctx context.Context, vm *metav1.PartialObjectMetadata) (inputs, error) {
	in := inputs{vm: vm, now: r.clock.Now()}
	var machine *kubevirtv1.VirtualMachine
	for _, verb := range v1alpha1.RequestVerbs() {
		value, ok := vm.Annotations[v1alpha1.RequestAnnotation(verb)]
		if !ok {
			continue
		}
		one := asked{verb: verb, value: value}
		one.stamp, one.stampErr = v1alpha1.ReadStamp(verb, vm.Annotations)
		one.handled = vm.Annotations[v1alpha1.HandledKey(verb)] == jobName(vm, verb, value)
		if one.stampErr == nil && one.stamp.For == vm.UID {
			if machine == nil {
				machine = &kubevirtv1.VirtualMachine{}
				if err := r.live.Get(ctx, client.ObjectKeyFromObject(vm), machine); err != nil {
					return in, fmt.Errorf("reading machine: %w", err)
				}
			}
			if err := r.gatherJob(ctx, machine, &one); err != nil {
				return in, err
			}
		}
		in.requests = append(in.requests, one)
	}
	return in, nil
}

// gatherJob parses a request, and reads its job and the requester's rights.
func (r *Reconciler) gatherJob(ctx context.Context, machine *kubevirtv1.VirtualMachine, one *asked) error {
	request, errs := validation.ParseRequest(one.verb, one.value, machine)
	if len(errs) == 0 {
		errs = validation.ValidateRequestPolicy(request, r.policy)
	}
	for _, err := range errs {
		one.mistakes = append(one.mistakes, err.Error())
	}
	one.request = request
	if len(errs) > 0 {
		return r.gatherStarted(ctx, machine, one)
	}
	job := newJob(machine, one)
	key := client.ObjectKeyFromObject(job)
	err := r.live.Get(ctx, key, job)
	switch {
	case err == nil:
		one.job = job
		return nil
	case !apierrors.IsNotFound(err):
		return fmt.Errorf("reading job %q: %w", key.Name, err)
	}
	if one.handled {
		return nil
	}
	who := access.Requester{User: one.stamp.User, UID: one.stamp.UID, Groups: one.stamp.Groups}
	one.denied, err = access.Denied(ctx, r.client, who, access.Rights(request, machine.Namespace))
	return err
}

// gatherStarted looks for the job of a request that was good once and is not
// now, as the machine was started since, or a destination taken off the list.
// What has begun is reported on, and what has ended is not refused afterwards.
func (r *Reconciler) gatherStarted(ctx context.Context, machine client.Object, one *asked) error {
	job := emptyJob(one.verb)
	if job == nil {
		return nil // a snapshot, of which nothing but the value decides
	}
	key := client.ObjectKey{Namespace: machine.GetNamespace(), Name: jobName(machine, one.verb, one.value)}
	err := r.live.Get(ctx, key, job)
	switch {
	case err == nil:
		one.job, one.mistakes = job, nil
	case !apierrors.IsNotFound(err):
		return fmt.Errorf("reading job %q: %w", key.Name, err)
	case one.handled:
		one.mistakes = nil
	}
	return nil
}

func emptyJob(verb string) client.Object {
	switch verb {
	case v1alpha1.VerbClone:
		return &v1alpha1.CloneJob{}
	case v1alpha1.VerbExport:
		return &v1alpha1.ExportJob{}
	case v1alpha1.VerbRollback:
		return &v1alpha1.RollbackJob{}
	}
	return nil
}

// jobName gives the name that a request's stamp and handled mark go by.
func jobName(vm client.Object, verb, value string) string {
	return v1alpha1.RequestName(vm.GetName(), vm.GetUID(), verb, value)
}

// newJob gives the object a request becomes. It is the machine's own, but for a
// snapshot, which outlives its machine.
func newJob(machine client.Object, one *asked) client.Object {
	meta := metav1.ObjectMeta{
		Name:        jobName(machine, one.verb, one.value),
		Namespace:   machine.GetNamespace(),
		Labels:      map[string]string{v1alpha1.LabelVM: machine.GetName()},
		Annotations: one.stamp.Annotations(""),
	}
	owned := meta
	owned.OwnerReferences = []metav1.OwnerReference{
		*metav1.NewControllerRef(machine, kubevirtv1.VirtualMachineGroupVersionKind),
	}
	switch {
	case one.request.Clone != nil:
		return &v1alpha1.CloneJob{ObjectMeta: owned, Spec: *one.request.Clone}
	case one.request.Export != nil:
		return &v1alpha1.ExportJob{ObjectMeta: owned, Spec: *one.request.Export}
	case one.request.Rollback != nil:
		return &v1alpha1.RollbackJob{ObjectMeta: owned, Spec: *one.request.Rollback}
	}
	meta.Annotations[v1alpha1.AnnotationRequestedFor] = string(machine.GetUID())
	return newSnapshot(meta, machine, one.request.Snapshot)
}

func newSnapshot(meta metav1.ObjectMeta, machine client.Object, wanted *validation.SnapshotRequest) *snapshotv1beta1.VirtualMachineSnapshot {
	meta.Name = wanted.Name
	group := kubevirtv1.SchemeGroupVersion.Group
	snapshot := &snapshotv1beta1.VirtualMachineSnapshot{ObjectMeta: meta}
	snapshot.Spec.Source.APIGroup = &group
	snapshot.Spec.Source.Kind = kubevirtv1.VirtualMachineGroupVersionKind.Kind
	snapshot.Spec.Source.Name = machine.GetName()
	if wanted.DeletionPolicy != "" {
		snapshot.Spec.DeletionPolicy = &wanted.DeletionPolicy
	}
	snapshot.Spec.FailureDeadline = wanted.FailureDeadline
	return snapshot
}
