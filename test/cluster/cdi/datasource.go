package cdi

import (
	"cmp"
	"context"
	"strings"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// dataSources says whether what a DataSource points at can be cloned. It has no status subresource, so
// metadata and status are one write.
type dataSources struct{ *env }

func setupDataSources(ctx context.Context, e *env) error {
	d := &dataSources{e}
	index := func(obj client.Object) []string {
		source, ok := obj.(*cdiv1.DataSource)
		if !ok {
			return nil
		}
		return pointsAt(source)
	}
	if err := e.manager.GetFieldIndexer().IndexField(ctx, &cdiv1.DataSource{}, bySource, index); err != nil {
		return err
	}
	return ctrl.NewControllerManagedBy(e.manager).Named("datasource").
		For(&cdiv1.DataSource{}).
		Watches(&corev1.PersistentVolumeClaim{}, d.pointingAt(kindClaim)).
		Watches(&cdiv1.DataVolume{}, d.pointingAt(kindClaim)).
		Watches(&snapshotv1.VolumeSnapshot{}, d.pointingAt(kindSnapshot)).
		Watches(&cdiv1.DataSource{}, d.pointingAt(cdiv1.DataVolumeDataSource)).
		WithOptions(e.workers()).
		Complete(reconcile.AsReconciler(e.Client, d))
}

// pointsAt is what a DataSource names, and what that named when it was last resolved.
func pointsAt(source *cdiv1.DataSource) []string {
	var keys []string
	for _, to := range []cdiv1.DataSourceSource{source.Spec.Source, source.Status.Source} {
		switch {
		case to.PVC != nil:
			keys = append(keys, key(kindClaim, cmp.Or(to.PVC.Namespace, source.Namespace), to.PVC.Name))
		case to.Snapshot != nil:
			keys = append(keys, key(kindSnapshot, cmp.Or(to.Snapshot.Namespace, source.Namespace), to.Snapshot.Name))
		case to.DataSource != nil:
			keys = append(keys, key(cdiv1.DataVolumeDataSource, cmp.Or(to.DataSource.Namespace, source.Namespace), to.DataSource.Name))
		}
	}
	return keys
}

func (d *dataSources) pointingAt(kind string) handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, obj client.Object) []reconcile.Request {
		var sources cdiv1.DataSourceList
		if err := d.List(ctx, &sources, client.MatchingFields{bySource: key(kind, obj.GetNamespace(), obj.GetName())}); err != nil {
			return nil // only a stopped cache refuses a list
		}
		var requests []reconcile.Request
		for i := range sources.Items {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&sources.Items[i])})
		}
		return requests
	})
}

// Reconcile brings the condition of one DataSource up to date.
func (d *dataSources) Reconcile(ctx context.Context, source *cdiv1.DataSource) (reconcile.Result, error) {
	if source.DeletionTimestamp != nil {
		return reconcile.Result{}, nil
	}
	old := source.DeepCopy()
	verdict, err := d.judge(ctx, source)
	if err != nil {
		return reconcile.Result{}, err
	}
	source.Status.Source = cdiv1.DataSourceSource{}
	if verdict.ready {
		source.Status.Source = verdict.source
		copyDefaults(verdict.labels, source)
	}
	source.Status.Conditions = []cdiv1.DataSourceCondition{d.condition(old, verdict)}
	if equality.Semantic.DeepEqual(old, source) {
		return reconcile.Result{}, nil
	}
	return reconcile.Result{}, client.IgnoreNotFound(d.Patch(ctx, source, client.MergeFrom(old)))
}

// verdict is what is to be said about a DataSource.
type verdict struct {
	ready           bool
	source          cdiv1.DataSourceSource
	labels          map[string]string
	reason, message string
}

func (d *dataSources) condition(old *cdiv1.DataSource, v verdict) cdiv1.DataSourceCondition {
	now := metav1.NewTime(d.clock.Now())
	condition := cdiv1.DataSourceCondition{Type: cdiv1.DataSourceReady}
	condition.Status, condition.Reason, condition.Message = corev1.ConditionFalse, v.reason, v.message
	if v.ready {
		condition.Status, condition.Reason, condition.Message = corev1.ConditionTrue, "Ready", "DataSource is ready to be consumed"
	}
	condition.LastTransitionTime, condition.LastHeartbeatTime = now, now
	if have := old.Status.Conditions; len(have) == 1 && have[0].Status == condition.Status &&
		have[0].Reason == condition.Reason && have[0].Message == condition.Message {
		return have[0]
	}
	return condition
}

func (d *dataSources) judge(ctx context.Context, source *cdiv1.DataSource) (verdict, error) {
	to := source.Spec.Source
	if ref := to.DataSource; ref != nil {
		next := &cdiv1.DataSource{}
		found, err := d.get(ctx, cmp.Or(ref.Namespace, source.Namespace), ref.Name, next)
		if err != nil || !found {
			return verdict{reason: "NotFound", message: "DataSource not found"}, err
		}
		if next.Spec.Source.DataSource != nil {
			return verdict{reason: "MaxDepthReached", message: "DataSource reference chain exceeds 1"}, nil
		}
		to = next.Spec.Source
		source = next
	}
	switch {
	case to.PVC != nil:
		return d.judgeClaim(ctx, to, cmp.Or(to.PVC.Namespace, source.Namespace))
	case to.Snapshot != nil:
		return d.judgeSnapshot(ctx, to, cmp.Or(to.Snapshot.Namespace, source.Namespace))
	default:
		return verdict{reason: "NoSource", message: "No source PVC set"}, nil
	}
}

func (d *dataSources) judgeClaim(ctx context.Context, to cdiv1.DataSourceSource, namespace string) (verdict, error) {
	claim := &corev1.PersistentVolumeClaim{}
	claimFound, err := d.get(ctx, namespace, to.PVC.Name, claim)
	if err != nil {
		return verdict{}, err
	}
	dv := &cdiv1.DataVolume{}
	volumeFound, err := d.get(ctx, namespace, to.PVC.Name, dv)
	switch {
	case err != nil:
		return verdict{}, err
	case volumeFound && dv.Status.Phase != cdiv1.Succeeded:
		return verdict{reason: string(dv.Status.Phase), message: "Import DataVolume phase " + string(dv.Status.Phase)}, nil
	case !volumeFound && !claimFound:
		return verdict{reason: "NotFound", message: "PVC not found"}, nil
	default:
		return verdict{ready: true, source: to, labels: claim.Labels}, nil
	}
}

func (d *dataSources) judgeSnapshot(ctx context.Context, to cdiv1.DataSourceSource, namespace string) (verdict, error) {
	snapshot := &snapshotv1.VolumeSnapshot{}
	found, err := d.get(ctx, namespace, to.Snapshot.Name, snapshot)
	switch {
	case err != nil:
		return verdict{}, err
	case !found:
		return verdict{reason: "NotFound", message: "Snapshot not found"}, nil
	case !snapshotReady(snapshot):
		return verdict{reason: "SnapshotNotReady", message: "Snapshot phase is not ready"}, nil
	default:
		return verdict{ready: true, source: to, labels: snapshot.Labels}, nil
	}
}

// copyDefaults carries the labels that name an image's instance type and preference.
func copyDefaults(from map[string]string, to client.Object) {
	for name, value := range from {
		if strings.HasPrefix(name, defaultsPrefix) {
			setLabel(to, name, value)
		}
	}
}
