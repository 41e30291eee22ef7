package cdi

import (
	"context"
	"errors"
	"fmt"
	"maps"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// Reasons of the events and conditions of a DataVolume.
const (
	reasonClaimNotValid = "ErrClaimNotValid"
	reasonExists        = "ErrResourceExists"
	reasonQuota         = "ErrExceededQuota"
	reasonNoSource      = "CloneWithoutSource"
	reasonInUse         = "CloneSourceInUse"
)

// dataVolumes makes the claim of a DataVolume, hands it to a populator, and reports what becomes of it.
type dataVolumes struct{ *env }

func setupDataVolumes(_ context.Context, e *env) error {
	d := &dataVolumes{e}
	return ctrl.NewControllerManagedBy(e.manager).Named("datavolume").
		For(&cdiv1.DataVolume{}).
		Owns(&corev1.PersistentVolumeClaim{}).
		Watches(&corev1.PersistentVolumeClaim{}, e.volumesCopying(kindClaim)).
		Watches(&snapshotv1.VolumeSnapshot{}, e.volumesCopying(kindSnapshot)).
		Watches(&cdiv1.DataSource{}, e.volumesCopying(cdiv1.DataVolumeDataSource)).
		Watches(&storagev1.StorageClass{}, handler.EnqueueRequestsFromMapFunc(d.waitingForProfile)).
		Watches(&cdiv1.StorageProfile{}, handler.EnqueueRequestsFromMapFunc(d.waitingForProfile)).
		WithOptions(e.workers()).
		Complete(reconcile.AsReconciler(e.Client, d))
}

// waitingForProfile gives the DataVolumes that could not be made into a claim: a StorageClass, or its
// profile, may be what they lacked.
func (d *dataVolumes) waitingForProfile(ctx context.Context, _ client.Object) []reconcile.Request {
	var all cdiv1.DataVolumeList
	if err := d.List(ctx, &all); err != nil {
		return nil
	}
	var waiting []reconcile.Request
	for i := range all.Items {
		for _, condition := range all.Items[i].Status.Conditions {
			if condition.Type == cdiv1.DataVolumeBound && condition.Reason == reasonClaimNotValid {
				waiting = append(waiting, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&all.Items[i])})
			}
		}
	}
	return waiting
}

// volume is what one reconcile knows of a DataVolume.
type volume struct {
	dv    *cdiv1.DataVolume
	claim *corev1.PersistentVolumeClaim
	// source is where the data comes from, with a sourceRef resolved; nil is from outside CDI.
	source *cdiv1.DataVolumeSource
	// phase, reason and message say why there is no claim yet.
	phase           cdiv1.DataVolumePhase
	reason, message string
}

// wait remembers why there is no claim, for the status.
func (v *volume) wait(phase cdiv1.DataVolumePhase, reason, message string) {
	v.phase, v.reason, v.message = phase, reason, message
}

// Reconcile brings one DataVolume a step further.
func (d *dataVolumes) Reconcile(ctx context.Context, dv *cdiv1.DataVolume) (reconcile.Result, error) {
	v := &volume{dv: dv, phase: dv.Status.Phase}
	if dv.DeletionTimestamp != nil {
		return reconcile.Result{}, d.release(ctx, dv)
	}
	claim := &corev1.PersistentVolumeClaim{}
	found, err := d.get(ctx, dv.Namespace, dv.Name, claim)
	if err != nil {
		return reconcile.Result{}, err
	}
	if found {
		v.claim = claim
	}
	syncErr := d.sync(ctx, v)
	if err := errors.Join(syncErr, d.report(ctx, v)); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if dv.Status.Phase == cdiv1.Succeeded {
		return reconcile.Result{}, d.release(ctx, dv)
	}
	return reconcile.Result{}, nil
}

// sync sees to it that there is a claim, and that it is this DataVolume's.
func (d *dataVolumes) sync(ctx context.Context, v *volume) error {
	if v.claim != nil {
		return d.own(ctx, v)
	}
	if v.dv.Annotations[annPrePopulated] != "" {
		return nil
	}
	ready, err := d.resolve(ctx, v)
	if err != nil || !ready {
		return err
	}
	return d.provide(ctx, v)
}

// own adopts a claim that was there first, where that is allowed.
func (d *dataVolumes) own(ctx context.Context, v *volume) error {
	if v.claim.DeletionTimestamp != nil {
		return fmt.Errorf("PVC %q is marked for deletion", v.claim.Name)
	}
	if metav1.IsControlledBy(v.claim, v.dv) {
		return d.markPopulated(ctx, v)
	}
	if !adoptable(v.dv, v.claim) {
		message := fmt.Sprintf("Resource %q already exists and is not managed by DataVolume", v.claim.Name)
		d.event(v.dv, corev1.EventTypeWarning, reasonExists, message)
		v.claim = nil
		v.wait(cdiv1.Pending, reasonExists, message)
		return nil
	}
	old := v.claim.DeepCopy()
	if err := controllerutil.SetControllerReference(v.dv, v.claim, d.Scheme()); err != nil {
		return err
	}
	if err := d.Patch(ctx, v.claim, client.MergeFrom(old)); err != nil {
		return err
	}
	return d.markPopulated(ctx, v)
}

// markPopulated notes on the DataVolume that its claim came with its data.
func (d *dataVolumes) markPopulated(ctx context.Context, v *volume) error {
	if v.claim.Annotations[annPopulatedFor] != v.dv.Name || v.claim.Status.Phase != corev1.ClaimBound {
		return nil
	}
	return d.annotate(ctx, v.dv, map[string]string{annPrePopulated: v.claim.Name})
}

// adoptable says whether a claim needs no work to be the DataVolume's: it was filled for it, or the
// DataVolume takes what is there.
func adoptable(dv *cdiv1.DataVolume, claim *corev1.PersistentVolumeClaim) bool {
	if claim.Annotations[annPopulatedFor] == dv.Name {
		return true
	}
	return claim.Annotations[annCreatedFor] != string(dv.UID) && dv.Annotations[annAllowAdoption] == "true"
}

// resolve finds the source and says whether it is there.
func (d *dataVolumes) resolve(ctx context.Context, v *volume) (ready bool, err error) {
	v.source = v.dv.Spec.Source
	if v.dv.Spec.SourceRef != nil {
		source, err := d.dataSource(ctx, v.dv)
		if source == nil || err != nil {
			return false, err
		}
		v.source = source
	}
	kind, namespace, name := cloneSource(v.source, v.dv.Namespace)
	if kind == "" {
		return true, nil
	}
	found, err := d.sourceExists(ctx, kind, namespace, name)
	if err != nil || found {
		return found, err
	}
	short := map[string]string{kindClaim: "pvc", kindSnapshot: "snapshot"}[kind]
	message := fmt.Sprintf("The source %s %s doesn't exist", short, name)
	d.event(v.dv, corev1.EventTypeWarning, reasonNoSource, message)
	v.wait(cdiv1.CloneScheduled, reasonNoSource, message)
	return false, nil
}

func (d *dataVolumes) dataSource(ctx context.Context, dv *cdiv1.DataVolume) (*cdiv1.DataVolumeSource, error) {
	ref := dv.Spec.SourceRef
	source := &cdiv1.DataSource{}
	found, err := d.get(ctx, deref(ref.Namespace, dv.Namespace), ref.Name, source)
	if err != nil || !found {
		return nil, err
	}
	pointed := source.Spec.Source
	if pointed.DataSource != nil {
		pointed = source.Status.Source
	}
	if pointed.PVC == nil && pointed.Snapshot == nil {
		return nil, nil // not ready yet; its own event brings the DataVolume back here
	}
	return &cdiv1.DataVolumeSource{PVC: pointed.PVC, Snapshot: pointed.Snapshot}, nil
}

func (d *dataVolumes) sourceExists(ctx context.Context, kind, namespace, name string) (bool, error) {
	if kind == kindSnapshot {
		return d.get(ctx, namespace, name, &snapshotv1.VolumeSnapshot{})
	}
	return d.get(ctx, namespace, name, &corev1.PersistentVolumeClaim{})
}

// provide creates the claim and the object its populator reads.
func (d *dataVolumes) provide(ctx context.Context, v *volume) error {
	spec, err := d.renderSpec(ctx, v)
	if invalid, ok := errors.AsType[claimNotValidError](err); ok {
		d.event(v.dv, corev1.EventTypeWarning, reasonClaimNotValid, invalid.Error())
		v.wait(cdiv1.PhaseUnset, reasonClaimNotValid, invalid.Error())
		return nil
	}
	if err != nil {
		return err
	}
	populates, err := d.usesPopulator(ctx, v.dv, spec)
	if err != nil {
		return err
	}
	claim := d.newClaim(v, spec)
	if v.source != nil {
		if err := d.attachSource(ctx, v, claim, populates); err != nil {
			return err
		}
	}
	err = d.Create(ctx, claim)
	switch {
	case apierrors.IsForbidden(err):
		d.event(v.dv, corev1.EventTypeWarning, reasonQuota, err.Error())
		v.wait(cdiv1.Pending, reasonQuota, err.Error())
		return err
	case err != nil:
		return err
	}
	v.claim = claim
	return nil
}

// usesPopulator says whether the class is one of a CSIDriver object, unless an annotation decides.
func (d *dataVolumes) usesPopulator(ctx context.Context, dv *cdiv1.DataVolume, spec *corev1.PersistentVolumeClaimSpec) (bool, error) {
	if wanted := dv.Annotations[annUsePopulator]; wanted != "" {
		return wanted == "true", nil
	}
	class, err := d.class(ctx, spec.StorageClassName)
	if err != nil || class == nil {
		return false, err
	}
	return d.get(ctx, "", class.Provisioner, &storagev1.CSIDriver{})
}

func (d *dataVolumes) newClaim(v *volume, spec *corev1.PersistentVolumeClaimSpec) *corev1.PersistentVolumeClaim {
	dv := v.dv
	claim := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{
			Name: dv.Name, Namespace: dv.Namespace,
			Labels:      map[string]string{labelApp: labelAppValue},
			Annotations: maps.Clone(dv.Annotations),
			OwnerReferences: []metav1.OwnerReference{
				*metav1.NewControllerRef(dv, cdiv1.SchemeGroupVersion.WithKind("DataVolume")),
			},
		},
		Spec: *spec,
	}
	maps.Copy(claim.Labels, dv.Labels)
	setAnnotation(claim, annPodRestarts, "0")
	setAnnotation(claim, annContentType, string(contentType(dv.Spec.ContentType)))
	setAnnotation(claim, annPreallocation, "false")
	setAnnotation(claim, annCreatedFor, string(dv.UID))
	return claim
}

func contentType(wanted cdiv1.DataVolumeContentType) cdiv1.DataVolumeContentType {
	if wanted == "" {
		return cdiv1.DataVolumeKubeVirt
	}
	return wanted
}

// attachSource points the claim at its source: by a populator object, or the older way by annotations.
func (d *dataVolumes) attachSource(ctx context.Context, v *volume, claim *corev1.PersistentVolumeClaim, populates bool) error {
	if !populates {
		setAnnotation(claim, annUsePopulator, "false")
		setAnnotation(claim, annSource, sourceName(v.source))
		return nil
	}
	setAnnotation(claim, annUsePopulator, "true")
	if err := d.annotate(ctx, v.dv, map[string]string{annUsePopulator: "true"}); err != nil {
		return err
	}
	object := populatorObject(v.dv, v.source)
	if object.GetNamespace() != v.dv.Namespace {
		setAnnotation(claim, annSourceNamespace, object.GetNamespace())
		setAnnotation(object, annOwnedBy, v.dv.Namespace+"/"+v.dv.Name)
		if err := d.addFinalizer(ctx, v.dv, crossNamespaceFinalizer); err != nil {
			return err
		}
	} else if err := controllerutil.SetControllerReference(v.dv, object, d.Scheme()); err != nil {
		return err
	}
	if err := d.Create(ctx, object); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	claim.Spec.DataSourceRef = &corev1.TypedObjectReference{
		APIGroup: new(group), Kind: kindOfPopulator(object), Name: object.GetName(),
	}
	return nil
}

func (e *env) addFinalizer(ctx context.Context, obj client.Object, finalizer string) error {
	return e.changeFinalizers(ctx, obj, finalizer, controllerutil.AddFinalizer)
}

func (e *env) removeFinalizer(ctx context.Context, obj client.Object, finalizer string) error {
	return e.changeFinalizers(ctx, obj, finalizer, controllerutil.RemoveFinalizer)
}

func (e *env) changeFinalizers(ctx context.Context, obj client.Object, finalizer string, change func(client.Object, string) bool) error {
	old, ok := obj.DeepCopyObject().(client.Object)
	if !ok || !change(obj, finalizer) {
		return nil
	}
	patch := client.MergeFromWithOptions(old, client.MergeFromWithOptimisticLock{})
	return client.IgnoreNotFound(e.Patch(ctx, obj, patch))
}

// release deletes the populator object of a DataVolume that is done or going away.
func (d *dataVolumes) release(ctx context.Context, dv *cdiv1.DataVolume) error {
	source := dv.Spec.Source
	if dv.Spec.SourceRef != nil {
		resolved, err := d.dataSource(ctx, dv)
		if err != nil {
			return err
		}
		source = resolved
	}
	if source != nil && dv.Annotations[annUsePopulator] == "true" {
		if err := client.IgnoreNotFound(d.Delete(ctx, populatorObject(dv, source))); err != nil {
			return err
		}
	}
	return d.removeFinalizer(ctx, dv, crossNamespaceFinalizer)
}
