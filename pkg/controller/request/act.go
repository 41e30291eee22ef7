package request

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kubevirtv1 "kubevirt.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"wukong.io/wukong/pkg/apis/wukong/v1alpha1"
)

// act makes the jobs. One that exists already was made by another process, or
// before a crash: the next look finds it, and whose it is.
//
// What the API server refuses is refused for good, as a policy or the kind's
// definition has the last word: the outcome becomes that.
func (r *Reconciler) act(ctx context.Context, vm client.Object, p plan) error {
	var errs []error
	for i := range p.outcomes {
		o := &p.outcomes[i]
		if o.create == nil {
			continue
		}
		err := r.client.Create(ctx, o.create)
		switch {
		case err == nil:
			r.event(vm, *o)
		case apierrors.IsForbidden(err) || apierrors.IsInvalid(err):
			o.phase, o.reason, o.job = phaseRefused, reasonInvalid, ""
			o.message = fmt.Sprintf("%s %q was refused: %s", kindName(o.create), o.create.GetName(), err)
		case apierrors.IsAlreadyExists(err):
			errs = append(errs, fmt.Errorf("creating %s %q: looking at the one that exists: %w", kindName(o.create), o.job, err))
		default:
			errs = append(errs, fmt.Errorf("creating %s %q: %w", kindName(o.create), o.job, err))
		}
	}
	return errors.Join(errs...)
}

// report writes what became of the requests on the machine, in one write, and
// only what changed.
func (r *Reconciler) report(ctx context.Context, vm *metav1.PartialObjectMetadata, p plan, actErr error) error {
	if actErr != nil {
		return nil //nolint:nilerr // the caller has it, and the next look reports what is there
	}
	annotations := map[string]any{}
	for _, o := range p.outcomes {
		if !o.ignored && o.job != "" {
			annotations[v1alpha1.HandledKey(o.verb)] = jobName(vm, o.verb, o.value)
		}
	}
	last := r.lastOperation(vm, p)
	if last != "" {
		annotations[v1alpha1.AnnotationLastOperation] = last
	}
	if !differs(vm.Annotations, annotations) {
		return nil
	}
	apply := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"annotations": annotations}}}
	apply.SetGroupVersionKind(kubevirtv1.VirtualMachineGroupVersionKind)
	apply.SetName(vm.Name)
	apply.SetNamespace(vm.Namespace)
	err := r.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(apply),
		client.FieldOwner(v1alpha1.RequestFieldManager), client.ForceOwnership)
	if err != nil {
		return fmt.Errorf("reporting on machine %q: %w", vm.Name, err)
	}
	return nil
}

// lastOperation gives the report on the request that moved last; empty if none
// moved.
func (r *Reconciler) lastOperation(vm *metav1.PartialObjectMetadata, p plan) string {
	before, err := v1alpha1.DecodeLastOperation(vm.Annotations[v1alpha1.AnnotationLastOperation])
	if err != nil {
		before = v1alpha1.LastOperation{}
	}
	current := vm.Annotations[v1alpha1.AnnotationLastOperation]
	for _, o := range p.outcomes {
		if o.ignored {
			continue
		}
		now := v1alpha1.LastOperation{Verb: o.verb, Value: o.value, Job: o.job, Phase: o.phase, Message: o.message}
		same := before
		same.Time = metav1.Time{}
		if now == same {
			continue
		}
		moved := before.Verb == o.verb && before.Value == o.value
		fresh := vm.Annotations[v1alpha1.HandledKey(o.verb)] != jobName(vm, o.verb, o.value)
		if !moved && !fresh {
			continue // an older request of another verb
		}
		if o.phase == phaseRefused {
			if moved && before.Phase == phaseRefused {
				continue
			}
			r.event(vm, o)
		}
		now.Time = metav1.NewTime(r.clock.Now().UTC())
		current = now.Encode()
		break
	}
	return current
}

// differs says whether an apply would change anything.
func differs(current map[string]string, want map[string]any) bool {
	for key, value := range want {
		if current[key] != value {
			return true
		}
	}
	return false
}
