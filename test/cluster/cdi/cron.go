package cdi

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	"github.com/robfig/cron/v3"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

const (
	digestLength  = 12
	importsToKeep = 3
	// pollAgain is how soon a source is asked again that did not answer.
	pollAgain = 5 * time.Second
)

// crons imports what a DataImportCron points at, when it is created and whenever the source has changed at
// the time of its schedule. It has no status subresource, so metadata and status are one write.
type crons struct{ *env }

func setupCrons(_ context.Context, e *env) error {
	c := &crons{e}
	byLabel := handler.EnqueueRequestsFromMapFunc(func(_ context.Context, obj client.Object) []reconcile.Request {
		name := obj.GetLabels()[labelCron]
		if name == "" {
			return nil
		}
		return []reconcile.Request{{NamespacedName: client.ObjectKey{Namespace: obj.GetNamespace(), Name: name}}}
	})
	return ctrl.NewControllerManagedBy(e.manager).Named("dataimportcron").
		For(&cdiv1.DataImportCron{}).
		Watches(&cdiv1.DataVolume{}, byLabel).
		Watches(&corev1.PersistentVolumeClaim{}, byLabel).
		Watches(&snapshotv1.VolumeSnapshot{}, byLabel).
		Watches(&cdiv1.DataSource{}, byLabel).
		WithOptions(e.workers()).
		Complete(c)
}

// Reconcile brings one DataImportCron a step further.
func (c *crons) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	job := &cdiv1.DataImportCron{}
	found, err := c.get(ctx, req.Namespace, req.Name, job)
	if err != nil {
		return reconcile.Result{}, err
	}
	if !found || job.DeletionTimestamp != nil {
		return reconcile.Result{}, c.cleanup(ctx, req.NamespacedName)
	}
	old := job.DeepCopy()
	wait, err := c.poll(ctx, job)
	if err != nil {
		return reconcile.Result{}, err
	}
	if err := c.advance(ctx, job); err != nil {
		return reconcile.Result{}, err
	}
	if equality.Semantic.DeepEqual(old, job) {
		return reconcile.Result{RequeueAfter: wait}, nil
	}
	patch := client.MergeFromWithOptions(old, client.MergeFromWithOptimisticLock{})
	return reconcile.Result{RequeueAfter: wait}, client.IgnoreNotFound(c.Patch(ctx, job, patch))
}

// cleanup deletes what a cron has made if it is not to be kept.
func (c *crons) cleanup(ctx context.Context, name client.ObjectKey) error {
	made := []client.DeleteAllOfOption{
		client.InNamespace(name.Namespace), client.MatchingLabels{labelCron: name.Name, labelCronCleanup: "true"},
	}
	for _, kind := range []client.Object{
		&cdiv1.DataSource{}, &cdiv1.DataVolume{}, &corev1.PersistentVolumeClaim{}, &snapshotv1.VolumeSnapshot{},
	} {
		if err := c.DeleteAllOf(ctx, kind, made...); err != nil {
			return err
		}
	}
	return nil
}

// poll asks the source for its digest at creation and at the times of the schedule, and says when to ask again.
func (c *crons) poll(ctx context.Context, job *cdiv1.DataImportCron) (time.Duration, error) {
	now := c.clock.Now()
	next, err := time.Parse(time.RFC3339, job.Annotations[annNextCronTime])
	if err == nil && next.After(now) {
		return next.Sub(now), nil
	}
	digest, err := c.digest(ctx, job)
	if err != nil {
		c.event(job, corev1.EventTypeWarning, "PollFailed", err.Error())
		return pollAgain, nil
	}
	setAnnotation(job, annDesiredDigest, digest)
	setAnnotation(job, annLastCronTime, now.Format(time.RFC3339))
	job.Status.LastExecutionTimestamp = new(metav1.NewTime(now).Rfc3339Copy())
	if job.Spec.Schedule == "" {
		return 0, nil
	}
	schedule, err := cron.ParseStandard(job.Spec.Schedule)
	if err != nil {
		return 0, reconcile.TerminalError(fmt.Errorf("parsing schedule %q: %w", job.Spec.Schedule, err))
	}
	next = schedule.Next(now)
	setAnnotation(job, annNextCronTime, next.Format(time.RFC3339))
	return next.Sub(now), nil
}

func (c *crons) digest(ctx context.Context, job *cdiv1.DataImportCron) (string, error) {
	from := job.Spec.Template.Spec.Source
	switch {
	case from == nil:
		return "", fmt.Errorf("DataImportCron %q has no source", job.Name)
	case from.Registry != nil:
		return importer{reader: c.Client, namespace: job.Namespace}.digestOf(ctx, from.Registry)
	case from.PVC != nil:
		claim := &corev1.PersistentVolumeClaim{}
		err := c.Get(ctx, client.ObjectKey{Namespace: cmp.Or(from.PVC.Namespace, job.Namespace), Name: from.PVC.Name}, claim)
		return "uid:" + string(claim.UID), err
	default:
		return "", fmt.Errorf("DataImportCron %q: the source must be registry or pvc", job.Name)
	}
}

// imported is what there is of the current import.
type imported struct {
	dv       *cdiv1.DataVolume
	claim    *corev1.PersistentVolumeClaim
	snapshot *snapshotv1.VolumeSnapshot
	format   cdiv1.DataImportCronSourceFormat
	class    string
}

// advance looks after the current import, begins a new one if the digest is another, and keeps the DataSource.
func (c *crons) advance(ctx context.Context, job *cdiv1.DataImportCron) error {
	now, err := c.gather(ctx, job)
	if err != nil {
		return err
	}
	done, err := c.finish(ctx, job, now)
	if err != nil {
		return err
	}
	if err := c.keepDataSource(ctx, job, now.format); err != nil {
		return err
	}
	wanted := job.Annotations[annDesiredDigest]
	current := job.Status.CurrentImports
	switch {
	case wanted == "":
		c.condition(job, cdiv1.DataImportCronUpToDate, false, "NoDigest", "No source digest")
	case len(current) == 0 || (wanted != current[0].Digest && done):
		c.condition(job, cdiv1.DataImportCronUpToDate, false, "Outdated", "Source digest updated since last import")
		return c.begin(ctx, job, wanted)
	case !done:
		c.condition(job, cdiv1.DataImportCronUpToDate, false, "ImportProgressing", "Import is progressing")
	default:
		job.Status.SourceFormat = &now.format
		c.upToDate(job, now)
	}
	return nil
}

func (c *crons) upToDate(job *cdiv1.DataImportCron, now imported) {
	if now.format == cdiv1.DataImportCronSourceFormatSnapshot && (now.snapshot == nil || !snapshotReady(now.snapshot)) {
		c.condition(job, cdiv1.DataImportCronUpToDate, false, "ImportProgressing", "Snapshot of imported data is progressing")
		return
	}
	c.condition(job, cdiv1.DataImportCronUpToDate, true, "UpToDate", "Latest import is up to date")
}

func (c *crons) gather(ctx context.Context, job *cdiv1.DataImportCron) (imported, error) {
	now := imported{format: cdiv1.DataImportCronSourceFormatPvc}
	var wanted *string
	switch spec := job.Spec.Template.Spec; {
	case spec.Storage != nil:
		wanted = spec.Storage.StorageClassName
	case spec.PVC != nil:
		wanted = spec.PVC.StorageClassName
	}
	class, err := c.class(ctx, wanted)
	if err != nil {
		return now, err
	}
	if class != nil {
		now.class = class.Name
		setAnnotation(job, annStorageClass, class.Name)
		profile := &cdiv1.StorageProfile{}
		if err := c.Get(ctx, client.ObjectKey{Name: class.Name}, profile); err != nil {
			return now, err
		}
		if profile.Status.DataImportCronSourceFormat != nil {
			now.format = *profile.Status.DataImportCronSourceFormat
		}
	}
	if len(job.Status.CurrentImports) == 0 {
		return now, nil
	}
	return now, c.gatherImport(ctx, job.Namespace, job.Status.CurrentImports[0].DataVolumeName, &now)
}

func (c *crons) gatherImport(ctx context.Context, namespace, name string, now *imported) error {
	dv, claim, snapshot := &cdiv1.DataVolume{}, &corev1.PersistentVolumeClaim{}, &snapshotv1.VolumeSnapshot{}
	if found, err := c.get(ctx, namespace, name, dv); err != nil {
		return err
	} else if found {
		now.dv = dv
	}
	if found, err := c.get(ctx, namespace, name, claim); err != nil {
		return err
	} else if found {
		now.claim = claim
	}
	if found, err := c.get(ctx, namespace, name, snapshot); err != nil {
		return err
	} else if found {
		now.snapshot = snapshot
	}
	return nil
}

// finish says whether the current import is done, and does what is due then.
func (c *crons) finish(ctx context.Context, job *cdiv1.DataImportCron, now imported) (bool, error) {
	switch {
	case now.dv != nil && now.dv.Status.Phase != cdiv1.Succeeded:
		running := now.dv.Status.Phase == cdiv1.ImportInProgress
		c.condition(job, cdiv1.DataImportCronProgressing, running, "ImportProgressing", "Import DataVolume phase "+string(now.dv.Status.Phase))
		return false, nil
	case now.dv == nil && now.claim == nil && now.snapshot == nil:
		job.Status.CurrentImports = nil
		c.condition(job, cdiv1.DataImportCronProgressing, false, "NoImport", "No current import")
		return false, nil
	}
	if err := c.keepSnapshot(ctx, job, now); err != nil {
		return false, err
	}
	last := &cdiv1.DataVolumeSourcePVC{Namespace: job.Namespace, Name: job.Status.CurrentImports[0].DataVolumeName}
	if job.Status.LastImportedPVC == nil || *job.Status.LastImportedPVC != *last {
		job.Status.LastImportedPVC = last
		job.Status.LastImportTimestamp = new(metav1.NewTime(c.clock.Now()).Rfc3339Copy())
	}
	c.condition(job, cdiv1.DataImportCronProgressing, false, "NoImport", "No current import")
	return true, c.collect(ctx, job)
}

// keepSnapshot turns an imported claim into a snapshot where the storage prefers that, and drops the claim.
func (c *crons) keepSnapshot(ctx context.Context, job *cdiv1.DataImportCron, now imported) error {
	if now.format != cdiv1.DataImportCronSourceFormatSnapshot || now.claim == nil {
		return nil
	}
	if now.snapshot != nil {
		if !snapshotReady(now.snapshot) || now.dv == nil {
			return nil
		}
		return client.IgnoreNotFound(c.Delete(ctx, now.dv))
	}
	profile := &cdiv1.StorageProfile{}
	if err := c.Get(ctx, client.ObjectKey{Name: now.class}, profile); err != nil {
		return err
	}
	snapshot := &snapshotv1.VolumeSnapshot{ObjectMeta: metav1.ObjectMeta{Name: now.claim.Name, Namespace: job.Namespace}}
	snapshot.Spec.Source.PersistentVolumeClaimName = &now.claim.Name
	snapshot.Spec.VolumeSnapshotClassName = profile.Status.SnapshotClass
	c.label(job, snapshot)
	copyDefaults(now.claim.Labels, snapshot)
	size := now.claim.Spec.Resources.Requests[corev1.ResourceStorage]
	setAnnotation(snapshot, annAdvisedSize, size.String())
	if mode := now.claim.Spec.VolumeMode; mode != nil {
		setAnnotation(snapshot, annSourceMode, string(*mode))
	}
	setAnnotation(snapshot, annLastUseTime, c.clock.Now().UTC().Format(time.RFC3339Nano))
	err := c.Create(ctx, snapshot)
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

func (c *crons) label(job *cdiv1.DataImportCron, obj client.Object) {
	setLabel(obj, labelApp, labelAppValue)
	setLabel(obj, labelCron, job.Name)
	if policy := job.Spec.RetentionPolicy; policy != nil && *policy == cdiv1.DataImportCronRetainNone {
		setLabel(obj, labelCronCleanup, "true")
	}
	copyDefaults(job.Labels, obj)
}

// begin starts an import, unless one of that digest is there already.
func (c *crons) begin(ctx context.Context, job *cdiv1.DataImportCron, digest string) error {
	name, err := importName(job.Spec.ManagedDataSource, digest)
	if err != nil {
		return reconcile.TerminalError(err)
	}
	dv := job.Spec.Template.DeepCopy()
	dv.ObjectMeta = metav1.ObjectMeta{
		Name: name, Namespace: job.Namespace, Labels: dv.Labels, Annotations: dv.Annotations,
	}
	dv.Status = cdiv1.DataVolumeStatus{}
	c.label(job, dv)
	setAnnotation(dv, annImmediateBinding, "true")
	setAnnotation(dv, annLastUseTime, c.clock.Now().UTC().Format(time.RFC3339Nano))
	if registry := dv.Spec.Source.Registry; registry != nil && registry.URL != nil {
		registry.URL = new(pinned(*registry.URL, digest))
	}
	if err := c.Create(ctx, dv); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	job.Status.CurrentImports = []cdiv1.ImportStatus{{DataVolumeName: name, Digest: digest}}
	return nil
}

// importName is the name of the DataVolume of a digest.
func importName(dataSource, digest string) (string, error) {
	_, hex, _ := strings.Cut(digest, ":")
	if len(hex) < digestLength {
		return "", fmt.Errorf("digest %q is too short", digest)
	}
	return dataSource + "-" + hex[:digestLength], nil
}

// pinned is an image URL with its tag replaced by a digest.
func pinned(url, digest string) string {
	path := strings.LastIndex(url, "/")
	if tag := strings.LastIndex(url, ":"); tag > path && path >= len(dockerScheme) {
		url = url[:tag]
	}
	if at := strings.Index(url, "@"); at >= 0 {
		url = url[:at]
	}
	return url + "@" + digest
}

// keepDataSource points the managed DataSource at the last import.
func (c *crons) keepDataSource(ctx context.Context, job *cdiv1.DataImportCron, format cdiv1.DataImportCronSourceFormat) error {
	source := &cdiv1.DataSource{ObjectMeta: metav1.ObjectMeta{Name: job.Spec.ManagedDataSource, Namespace: job.Namespace}}
	found, err := c.get(ctx, job.Namespace, job.Spec.ManagedDataSource, source)
	if err != nil {
		return err
	}
	if found && source.Labels[labelCron] != job.Name {
		return nil // it is somebody else's
	}
	old := source.DeepCopy()
	c.label(job, source)
	if last := job.Status.LastImportedPVC; last != nil {
		source.Spec.Source = cdiv1.DataSourceSource{PVC: last}
		if format == cdiv1.DataImportCronSourceFormatSnapshot {
			source.Spec.Source = cdiv1.DataSourceSource{Snapshot: &cdiv1.DataVolumeSourceSnapshot{Namespace: last.Namespace, Name: last.Name}}
		}
	}
	switch {
	case !found:
		err = c.Create(ctx, source)
		if apierrors.IsAlreadyExists(err) {
			return nil
		}
		return err
	case equality.Semantic.DeepEqual(old, source):
		return nil
	default:
		return c.Patch(ctx, source, client.MergeFrom(old))
	}
}

// collect deletes the oldest imports beyond those to keep.
func (c *crons) collect(ctx context.Context, job *cdiv1.DataImportCron) error {
	if mode := job.Spec.GarbageCollect; mode != nil && *mode == cdiv1.DataImportCronGarbageCollectNever {
		return nil
	}
	keep := importsToKeep
	if job.Spec.ImportsToKeep != nil {
		keep = int(*job.Spec.ImportsToKeep)
	}
	of := []client.ListOption{client.InNamespace(job.Namespace), client.MatchingLabels{labelCron: job.Name}}
	var volumes cdiv1.DataVolumeList
	if err := c.List(ctx, &volumes, of...); err != nil {
		return err
	}
	var objects []client.Object
	for i := range volumes.Items {
		objects = append(objects, &volumes.Items[i])
	}
	if err := c.deleteOldest(ctx, objects, keep); err != nil {
		return err
	}
	var snapshots snapshotv1.VolumeSnapshotList
	if err := c.List(ctx, &snapshots, of...); err != nil {
		return err
	}
	objects = nil
	for i := range snapshots.Items {
		objects = append(objects, &snapshots.Items[i])
	}
	return c.deleteOldest(ctx, objects, keep)
}

func (c *crons) deleteOldest(ctx context.Context, objects []client.Object, keep int) error {
	slices.SortFunc(objects, func(a, b client.Object) int {
		return strings.Compare(b.GetAnnotations()[annLastUseTime], a.GetAnnotations()[annLastUseTime])
	})
	for _, old := range objects[min(keep, len(objects)):] {
		if err := client.IgnoreNotFound(c.Delete(ctx, old)); err != nil {
			return err
		}
	}
	return nil
}

func (c *crons) condition(job *cdiv1.DataImportCron, kind cdiv1.DataImportCronConditionType, on bool, reason, message string) {
	now := metav1.NewTime(c.clock.Now()).Rfc3339Copy()
	want := cdiv1.DataImportCronCondition{Type: kind}
	want.Status, want.Reason, want.Message = corev1.ConditionFalse, reason, message
	if on {
		want.Status = corev1.ConditionTrue
	}
	want.LastTransitionTime, want.LastHeartbeatTime = now, now
	for i, have := range job.Status.Conditions {
		if have.Type != kind {
			continue
		}
		if have.Status != want.Status || have.Reason != reason || have.Message != message {
			job.Status.Conditions[i] = want
		}
		return
	}
	job.Status.Conditions = append(job.Status.Conditions, want)
}
