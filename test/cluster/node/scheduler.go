package node

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/storage/volume"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// scheduler binds Pods to nodes. Like the real one it leaves a Pod pending while a claim of it is missing
// or unbound, and asks for a volume by naming the node on a claim that waits for its first consumer.
type scheduler struct {
	client    client.Client
	placement *placement
}

func setupScheduler(_ context.Context, mgr ctrl.Manager, opts Options) error {
	s := &scheduler{client: mgr.GetClient(), placement: newPlacement()}
	return ctrl.NewControllerManagedBy(mgr).Named("scheduler").
		For(&corev1.Pod{}, builder.WithPredicates(s.interesting())).
		Watches(&corev1.PersistentVolumeClaim{}, handler.EnqueueRequestsFromMapFunc(s.podsOf)).
		Watches(&corev1.Node{}, handler.EnqueueRequestsFromMapFunc(s.unscheduled), builder.WithPredicates(predicate.LabelChangedPredicate{})).
		WithOptions(controller.Options{MaxConcurrentReconciles: opts.Workers}).
		Complete(reconcile.AsReconciler(s.client, s))
}

// interesting lets through what is not bound yet, and keeps the placement up to date with the rest.
func (s *scheduler) interesting() predicate.Predicate {
	note := func(obj client.Object) bool {
		pod, ok := obj.(*corev1.Pod)
		if !ok || pod.Spec.NodeName == "" {
			return ok
		}
		if finished(pod) {
			s.placement.forget(pod.UID)
		} else {
			s.placement.observe(pod)
		}
		return false
	}
	return predicate.Funcs{
		CreateFunc: func(e event.CreateEvent) bool { return note(e.Object) },
		UpdateFunc: func(e event.UpdateEvent) bool { return note(e.ObjectNew) },
		DeleteFunc: func(e event.DeleteEvent) bool { s.placement.forget(e.Object.GetUID()); return false },
	}
}

// podsOf are the pending Pods that need an object.
func (s *scheduler) podsOf(ctx context.Context, obj client.Object) []reconcile.Request {
	return podsNeeding(ctx, s.client, obj.GetNamespace(), obj.GetName())
}

func podsNeeding(ctx context.Context, reader client.Reader, namespace, need string) []reconcile.Request {
	return requests(ctx, reader, client.InNamespace(namespace), client.MatchingFields{needsIndex: need})
}

func (s *scheduler) unscheduled(ctx context.Context, _ client.Object) []reconcile.Request {
	return requests(ctx, s.client)
}

// requests are the unfinished Pods a list finds; the reconcilers sort out whose they are.
func requests(ctx context.Context, reader client.Reader, opts ...client.ListOption) []reconcile.Request {
	var pods corev1.PodList
	if err := reader.List(ctx, &pods, append(opts, client.UnsafeDisableDeepCopy)...); err != nil {
		return nil // only a stopped cache refuses a list
	}
	var found []reconcile.Request
	for i := range pods.Items {
		if pods.Items[i].Status.Phase == corev1.PodPending {
			found = append(found, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&pods.Items[i])})
		}
	}
	return found
}

// Reconcile binds one Pod, or says on it what it waits for.
func (s *scheduler) Reconcile(ctx context.Context, pod *corev1.Pod) (reconcile.Result, error) {
	if pod.Spec.NodeName != "" || pod.DeletionTimestamp != nil || finished(pod) || len(pod.Spec.SchedulingGates) > 0 {
		return reconcile.Result{}, nil
	}
	waiting, reason, err := s.claims(ctx, pod)
	if err != nil {
		return reconcile.Result{}, err
	}
	if reason != "" {
		return reconcile.Result{}, s.refuse(ctx, pod, reason)
	}
	var nodes corev1.NodeList
	if err := s.client.List(ctx, &nodes); err != nil {
		return reconcile.Result{}, err
	}
	node, reason := s.placement.place(pod, nodes.Items)
	if reason != "" {
		return reconcile.Result{}, s.refuse(ctx, pod, reason)
	}
	if len(waiting) > 0 {
		return reconcile.Result{}, s.selectNode(ctx, waiting, node)
	}
	return reconcile.Result{}, s.bind(ctx, pod, node)
}

// claims reads the claims of a Pod: those that wait for a node to be named, and what forbids to go on.
func (s *scheduler) claims(ctx context.Context, pod *corev1.Pod) (waiting []*corev1.PersistentVolumeClaim, reason string, err error) {
	for _, name := range claimNames(pod) {
		claim := &corev1.PersistentVolumeClaim{}
		err := s.client.Get(ctx, client.ObjectKey{Namespace: pod.Namespace, Name: name}, claim)
		if apierrors.IsNotFound(err) {
			return nil, fmt.Sprintf("persistentvolumeclaim %q not found", name), nil
		}
		if err != nil {
			return nil, "", err
		}
		if claim.DeletionTimestamp != nil {
			return nil, fmt.Sprintf("persistentvolumeclaim %q is being deleted", name), nil
		}
		if claim.Status.Phase == corev1.ClaimLost {
			return nil, fmt.Sprintf("persistentvolumeclaim %q bound to non-existent persistentvolume %q", name, claim.Spec.VolumeName), nil
		}
		if claim.Status.Phase == corev1.ClaimBound {
			continue
		}
		late, err := s.bindsLate(ctx, claim)
		if err != nil {
			return nil, "", err
		}
		if !late {
			return nil, "pod has unbound immediate PersistentVolumeClaims", nil
		}
		waiting = append(waiting, claim)
	}
	return waiting, "", nil
}

func (s *scheduler) bindsLate(ctx context.Context, claim *corev1.PersistentVolumeClaim) (bool, error) {
	if claim.Spec.StorageClassName == nil {
		return false, nil
	}
	class := &storagev1.StorageClass{}
	err := s.client.Get(ctx, client.ObjectKey{Name: *claim.Spec.StorageClassName}, class)
	if err != nil {
		return false, client.IgnoreNotFound(err)
	}
	return bindsOnFirstUse(class), nil
}

// selectNode names the node on the claims; their provisioner then makes the volumes, and the claims' own
// events bring the Pod back here.
func (s *scheduler) selectNode(ctx context.Context, claims []*corev1.PersistentVolumeClaim, node string) error {
	for _, claim := range claims {
		if claim.Annotations[volume.AnnSelectedNode] != "" {
			continue
		}
		old := claim.DeepCopy()
		metav1.SetMetaDataAnnotation(&claim.ObjectMeta, volume.AnnSelectedNode, node)
		if err := s.client.Patch(ctx, claim, client.MergeFrom(old)); err != nil {
			return fmt.Errorf("naming the node on claim %q: %w", claim.Name, err)
		}
	}
	return nil
}

func (s *scheduler) bind(ctx context.Context, pod *corev1.Pod, node string) error {
	binding := &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
		Target:     corev1.ObjectReference{Kind: "Node", Name: node},
	}
	err := s.client.SubResource("binding").Create(ctx, pod, binding)
	if err == nil || apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil // bound or gone already, which its own event tells
	}
	s.placement.forget(pod.UID)
	return fmt.Errorf("binding to node %q: %w", node, err)
}

// refuse writes the condition that KubeVirt turns into ErrorUnschedulable.
func (s *scheduler) refuse(ctx context.Context, pod *corev1.Pod, reason string) error {
	old := pod.DeepCopy()
	changed := setPodCondition(&pod.Status, corev1.PodCondition{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse,
		Reason: corev1.PodReasonUnschedulable, Message: reason, LastTransitionTime: metav1.Now(),
	})
	if !changed {
		return nil
	}
	return client.IgnoreNotFound(s.client.Status().Patch(ctx, pod, client.StrategicMergeFrom(old)))
}

// setPodCondition says whether the condition is news.
func setPodCondition(status *corev1.PodStatus, want corev1.PodCondition) bool {
	for i, have := range status.Conditions {
		if have.Type != want.Type {
			continue
		}
		if have.Status == want.Status && have.Reason == want.Reason && have.Message == want.Message {
			return false
		}
		if have.Status == want.Status {
			want.LastTransitionTime = have.LastTransitionTime
		}
		status.Conditions[i] = want
		return true
	}
	status.Conditions = append(status.Conditions, want)
	return true
}

func finished(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}
