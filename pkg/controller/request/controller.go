package request

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	kubevirtv1 "kubevirt.io/api/core/v1"
	snapshotv1beta1 "kubevirt.io/api/snapshot/v1beta1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"wukong.io/wukong/pkg/apis/wukong/v1alpha1"
	"wukong.io/wukong/pkg/validation"
)

// workers is how many machines are reconciled side by side.
const workers = 4

// Reconciler makes the jobs that machines' annotations ask for.
type Reconciler struct {
	client client.Client
	// live reads past the cache, which keeps only the metadata of machines.
	live     client.Reader
	recorder events.EventRecorder
	clock    clock.PassiveClock
	policy   *validation.Policy
}

// New gives a reconciler.
func New(c client.Client, live client.Reader, recorder events.EventRecorder, clk clock.PassiveClock, policy *validation.Policy) *Reconciler {
	return &Reconciler{client: c, live: live, recorder: recorder, clock: clk, policy: policy}
}

// Setup adds the controller to a manager.
func (r *Reconciler) Setup(mgr ctrl.Manager) error {
	owner := handler.EnqueueRequestForOwner(mgr.GetScheme(), mgr.GetRESTMapper(), &kubevirtv1.VirtualMachine{}, handler.OnlyControllerOwner())
	return ctrl.NewControllerManagedBy(mgr).
		Named("request").
		For(machineMeta(), builder.OnlyMetadata, builder.WithPredicates(predicate.NewPredicateFuncs(hasRequest))).
		Watches(&v1alpha1.CloneJob{}, owner).
		Watches(&v1alpha1.ExportJob{}, owner).
		Watches(&v1alpha1.RollbackJob{}, owner).
		Watches(&snapshotv1beta1.VirtualMachineSnapshot{}, handler.EnqueueRequestsFromMapFunc(machineOfSnapshot)).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		Complete(r)
}

func machineMeta() *metav1.PartialObjectMetadata {
	meta := &metav1.PartialObjectMetadata{}
	meta.SetGroupVersionKind(kubevirtv1.VirtualMachineGroupVersionKind)
	return meta
}

// hasRequest keeps machines that ask for nothing out of the queue.
func hasRequest(object client.Object) bool {
	for _, verb := range v1alpha1.RequestVerbs() {
		if _, ok := object.GetAnnotations()[v1alpha1.RequestAnnotation(verb)]; ok {
			return true
		}
	}
	return false
}

func machineOfSnapshot(_ context.Context, object client.Object) []reconcile.Request {
	if name := object.GetLabels()[v1alpha1.LabelVM]; name != "" {
		return []reconcile.Request{{NamespacedName: client.ObjectKey{Namespace: object.GetNamespace(), Name: name}}}
	}
	return nil
}

// Reconcile implements reconcile.Reconciler.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	vm := machineMeta()
	if err := r.client.Get(ctx, req.NamespacedName, vm); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if !vm.DeletionTimestamp.IsZero() || !hasRequest(vm) {
		return reconcile.Result{}, nil
	}
	in, err := r.gather(ctx, vm)
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("gathering inputs: %w", err)
	}
	plan := decide(in)
	actErr := r.act(ctx, vm, plan)
	return reconcile.Result{}, errors.Join(actErr, r.report(ctx, vm, plan, actErr))
}

// event records a transition on the machine.
func (r *Reconciler) event(vm client.Object, o outcome) {
	kind := corev1.EventTypeNormal
	if o.phase == phaseRefused {
		kind = corev1.EventTypeWarning
	}
	r.recorder.Eventf(vm, nil, kind, o.reason, "Request", "%s", o.message)
}
