package cdi

import (
	"context"
	"fmt"
	"strconv"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// The phases of the clone populator, as its annotation names them.
const (
	clonePhasePending      = "Pending"
	clonePhaseSnapshot     = "Snapshot"
	clonePhaseFromSnapshot = "SnapshotClone"
	clonePhaseCSI          = "CSIClone"
	clonePhaseHost         = "HostClone"
	clonePhasePrep         = "PrepClaim"
	clonePhaseRebind       = "Rebind"
	clonePhaseSucceeded    = "Succeeded"
	clonePhaseError        = "Error"
)

const (
	// inUseLook is how often CDI looks whether a source is still in use.
	inUseLook = 2 * time.Second
	// strategyLook is how often it looks whether it can choose a strategy by now.
	strategyLook = 5 * time.Second
)

// cloneFrom is what is copied.
type cloneFrom struct{ kind, namespace, name string }

// cloning is one reconcile of a clone.
type cloning struct {
	*populators
	target *corev1.PersistentVolumeClaim
	from   cloneFrom
}

// step does one phase of a clone. Its name is empty once the phase is behind; again says when to look next.
type step func(ctx context.Context) (phase string, again time.Duration, err error)

// clone brings a claim with a VolumeCloneSource a step further.
func (p *populators) clone(ctx context.Context, claim *corev1.PersistentVolumeClaim) (reconcile.Result, error) {
	if claim.Annotations[annClonePhase] == clonePhaseSucceeded {
		return reconcile.Result{}, p.cleanClone(ctx, claim)
	}
	late, err := p.waitsForConsumer(ctx, claim)
	if err != nil || late {
		return reconcile.Result{}, err
	}
	object := &cdiv1.VolumeCloneSource{}
	found, err := p.get(ctx, populatorNamespace(claim), claim.Spec.DataSourceRef.Name, object)
	if err != nil || !found {
		return reconcile.Result{}, err
	}
	c := &cloning{populators: p, target: claim, from: cloneFrom{object.Spec.Source.Kind, object.Namespace, object.Spec.Source.Name}}
	again, err := c.advance(ctx)
	if err != nil && !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) {
		return reconcile.Result{}, c.showError(ctx, err)
	}
	return reconcile.Result{RequeueAfter: again}, err
}

// advance does what can be done now, and shows which phase that leaves the clone in.
func (c *cloning) advance(ctx context.Context) (again time.Duration, err error) {
	strategy := cdiv1.CDICloneStrategy(c.target.Annotations[annCloneType])
	if strategy == "" {
		chosen, fallback, err := c.chooseStrategy(ctx)
		if err != nil || chosen == "" {
			return strategyLook, err
		}
		if err := c.begin(ctx, chosen, fallback); err != nil {
			return 0, err
		}
		strategy = chosen
	}
	for _, do := range c.plan(strategy) {
		phase, again, err := do(ctx)
		if err != nil {
			return 0, err
		}
		if phase != "" {
			return again, c.showPhase(ctx, phase)
		}
	}
	return 0, c.showPhase(ctx, clonePhaseSucceeded)
}

// plan is the phases of a strategy for the source at hand.
func (c *cloning) plan(strategy cdiv1.CDICloneStrategy) []step {
	switch {
	case strategy == cdiv1.CloneStrategyHostAssisted:
		return []step{c.copyToTemporary, c.takeOver}
	case strategy == cdiv1.CloneStrategyCsiClone:
		return []step{c.cloneVolume, c.takeOver}
	case c.from.kind == kindSnapshot:
		return []step{c.restore, c.takeOver}
	default:
		return []step{c.snapshot, c.restore, c.takeOver}
	}
}

// begin fixes the strategy, so that a change of the StorageProfile cannot change it half way.
func (c *cloning) begin(ctx context.Context, strategy cdiv1.CDICloneStrategy, fallback string) error {
	old := c.target.DeepCopy()
	setLabel(c.target, labelApp, labelAppValue)
	setAnnotation(c.target, annCloneType, string(strategy))
	setAnnotation(c.target, annClonePhase, clonePhasePending)
	if fallback != "" {
		setAnnotation(c.target, annCloneFallback, fallback)
	}
	controllerutil.AddFinalizer(c.target, cloneFinalizer)
	return c.Patch(ctx, c.target, client.MergeFromWithOptions(old, client.MergeFromWithOptimisticLock{}))
}

func (c *cloning) temporaryName() string { return "tmp-pvc-" + string(c.target.UID) }
func (c *cloning) snapshotName() string  { return "tmp-snapshot-" + string(c.target.UID) }

// snapshot takes a snapshot of the source claim, once that is bound, filled and unused.
func (c *cloning) snapshot(ctx context.Context) (string, time.Duration, error) {
	if c.target.Spec.VolumeName != "" {
		return "", 0, nil
	}
	snapshot := &snapshotv1.VolumeSnapshot{}
	found, err := c.get(ctx, c.from.namespace, c.snapshotName(), snapshot)
	if err != nil {
		return "", 0, err
	}
	if !found {
		ready, err := c.sourceReady(ctx, c.target, c.from)
		if err != nil || !ready {
			return clonePhaseSnapshot, inUseLook, err
		}
		return clonePhaseSnapshot, 0, c.createSnapshot(ctx)
	}
	if snapshot.Status == nil || snapshot.Status.CreationTime == nil {
		return clonePhaseSnapshot, 0, nil
	}
	return "", 0, nil
}

func (c *cloning) createSnapshot(ctx context.Context) error {
	class, err := c.class(ctx, c.target.Spec.StorageClassName)
	if err != nil || class == nil {
		return fmt.Errorf("target storage class not found: %w", err)
	}
	profile := &cdiv1.StorageProfile{}
	if err := c.Get(ctx, client.ObjectKey{Name: class.Name}, profile); err != nil {
		return err
	}
	snapshotClass, err := c.snapshotClass(ctx, class.Provisioner, profile.Status.SnapshotClass)
	if err != nil {
		return err
	}
	snapshot := &snapshotv1.VolumeSnapshot{ObjectMeta: c.temporaryMeta(c.snapshotName(), c.from.namespace)}
	snapshot.Spec.Source.PersistentVolumeClaimName = &c.from.name
	snapshot.Spec.VolumeSnapshotClassName = &snapshotClass
	return c.Create(ctx, snapshot)
}

func (c *cloning) temporaryMeta(name, namespace string) metav1.ObjectMeta {
	return temporaryMeta(c.target, name, namespace)
}

// temporaryMeta marks an object as made for a claim, which may be in another namespace and so cannot own it.
func temporaryMeta(target *corev1.PersistentVolumeClaim, name, namespace string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name: name, Namespace: namespace,
		Labels:      map[string]string{labelApp: labelAppValue, labelOwnedBy: string(target.UID)},
		Annotations: map[string]string{annTarget: target.Namespace + "/" + target.Name, annPopulatorKind: cdiv1.VolumeCloneSourceRef},
	}
}

// restore makes the temporary claim from the snapshot.
func (c *cloning) restore(ctx context.Context) (string, time.Duration, error) {
	name := c.snapshotName()
	if c.from.kind == kindSnapshot {
		name = c.from.name
	}
	from := &corev1.TypedObjectReference{APIGroup: new(snapshotGroup), Kind: kindSnapshot, Name: name}
	return c.temporary(ctx, clonePhaseFromSnapshot, from, func() (resource.Quantity, bool, error) {
		snapshot := &snapshotv1.VolumeSnapshot{}
		if err := c.Get(ctx, client.ObjectKey{Namespace: c.from.namespace, Name: name}, snapshot); err != nil {
			return resource.Quantity{}, false, err
		}
		if !snapshotReady(snapshot) || snapshot.Status.RestoreSize == nil {
			return resource.Quantity{}, false, nil
		}
		return *snapshot.Status.RestoreSize, true, nil
	})
}

// cloneVolume makes the temporary claim from the source claim, by the driver's own cloning.
func (c *cloning) cloneVolume(ctx context.Context) (string, time.Duration, error) {
	from := &corev1.TypedObjectReference{Kind: kindClaim, Name: c.from.name}
	return c.temporary(ctx, clonePhaseCSI, from, func() (resource.Quantity, bool, error) {
		ready, err := c.sourceReady(ctx, c.target, c.from)
		if err != nil || !ready {
			return resource.Quantity{}, false, err
		}
		origin := &corev1.PersistentVolumeClaim{}
		err = c.Get(ctx, client.ObjectKey{Namespace: c.from.namespace, Name: c.from.name}, origin)
		return origin.Status.Capacity[corev1.ResourceStorage], true, err
	})
}

// temporary makes the claim whose volume the target takes over. The size of the source is a least size:
// where the class can grow volumes, the driver makes it as large as the target wants at once.
func (c *cloning) temporary(ctx context.Context, phase string, from *corev1.TypedObjectReference, size func() (resource.Quantity, bool, error)) (string, time.Duration, error) {
	if c.target.Spec.VolumeName != "" {
		return "", 0, nil
	}
	claim := &corev1.PersistentVolumeClaim{}
	found, err := c.get(ctx, c.from.namespace, c.temporaryName(), claim)
	if err != nil {
		return "", 0, err
	}
	if found {
		if isBound(claim) {
			return "", 0, nil
		}
		return phase, 0, nil
	}
	least, ready, err := size()
	if err != nil || !ready {
		return phase, inUseLook, err
	}
	return phase, 0, c.createTemporary(ctx, c.from.namespace, from, least)
}

func (c *cloning) createTemporary(ctx context.Context, namespace string, from *corev1.TypedObjectReference, least resource.Quantity) error {
	claim := &corev1.PersistentVolumeClaim{
		ObjectMeta: c.temporaryMeta(c.temporaryName(), namespace),
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: c.target.Spec.AccessModes, StorageClassName: c.target.Spec.StorageClassName,
			VolumeMode: c.target.Spec.VolumeMode, Resources: *c.target.Spec.Resources.DeepCopy(), DataSourceRef: from,
		},
	}
	if wanted := claim.Spec.Resources.Requests[corev1.ResourceStorage]; wanted.Cmp(least) < 0 {
		claim.Spec.Resources.Requests[corev1.ResourceStorage] = least
	}
	node, err := c.nodeFor(ctx, c.target)
	if err != nil {
		return err
	}
	if node != "" {
		setAnnotation(claim, annSelectedNode, node)
	}
	return c.Create(ctx, claim)
}

// copyToTemporary copies every byte into a temporary claim beside the target.
func (c *cloning) copyToTemporary(ctx context.Context) (string, time.Duration, error) {
	if c.target.Spec.VolumeName != "" {
		return "", 0, nil
	}
	holder := &corev1.PersistentVolumeClaim{}
	found, err := c.get(ctx, c.target.Namespace, c.temporaryName(), holder)
	if err != nil {
		return "", 0, err
	}
	if !found {
		return clonePhaseHost, 0, c.createTemporary(ctx, c.target.Namespace, nil, resource.Quantity{})
	}
	if !isBound(holder) {
		return clonePhaseHost, 0, nil
	}
	now, wait, err := c.copyFrom(ctx, c.target, holder, c.from)
	if err != nil || now == nil {
		return clonePhaseHost, wait.RequeueAfter, err
	}
	if now.phase == corev1.PodSucceeded {
		return "", 0, nil
	}
	return clonePhaseHost, 0, c.annotate(ctx, c.target, map[string]string{
		annProgress: now.progress, annPodRestarts: strconv.Itoa(now.restarts),
	})
}

// copyFrom copies a claim, or the volume of a snapshot, into the volume of holder; nil is that the source
// is not ready for it.
func (p *populators) copyFrom(ctx context.Context, target, holder *corev1.PersistentVolumeClaim, from cloneFrom) (*state, reconcile.Result, error) {
	origin := &corev1.PersistentVolumeClaim{}
	if from.kind == kindSnapshot {
		name := "tmp-source-pvc-" + string(target.UID)
		if err := p.restoreForCopy(ctx, target, from, name); err != nil {
			return nil, reconcile.Result{}, err
		}
		from = cloneFrom{kindClaim, from.namespace, name}
	}
	ready, err := p.sourceReady(ctx, target, from)
	if err != nil || !ready {
		return nil, reconcile.Result{RequeueAfter: inUseLook}, err
	}
	if err := p.Get(ctx, client.ObjectKey{Namespace: from.namespace, Name: from.name}, origin); err != nil {
		return nil, reconcile.Result{}, err
	}
	path, _, err := p.volumeOf(ctx, origin)
	if err != nil {
		return nil, reconcile.Result{}, err
	}
	j, err := p.job(ctx, target, holder)
	if err != nil {
		return nil, reconcile.Result{}, err
	}
	j.origin, j.limit, j.open = "clone", j.size, openFile(path)
	now, err := p.run(j, target)
	return &now, reconcile.Result{}, err
}

// restoreForCopy makes a claim from a snapshot to copy from.
func (p *populators) restoreForCopy(ctx context.Context, target *corev1.PersistentVolumeClaim, from cloneFrom, name string) error {
	found, err := p.get(ctx, from.namespace, name, &corev1.PersistentVolumeClaim{})
	if err != nil || found {
		return err
	}
	snapshot := &snapshotv1.VolumeSnapshot{}
	if err := p.Get(ctx, client.ObjectKey{Namespace: from.namespace, Name: from.name}, snapshot); err != nil {
		return err
	}
	if !snapshotReady(snapshot) || snapshot.Status.RestoreSize == nil {
		return nil
	}
	class, err := p.classOfSnapshot(ctx, snapshot)
	if err != nil {
		return err
	}
	claim := &corev1.PersistentVolumeClaim{
		ObjectMeta: temporaryMeta(target, name, from.namespace),
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: target.Spec.AccessModes, StorageClassName: &class,
			Resources:     corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: *snapshot.Status.RestoreSize}},
			DataSourceRef: &corev1.TypedObjectReference{APIGroup: new(snapshotGroup), Kind: kindSnapshot, Name: from.name},
		},
	}
	if node, err := p.nodeFor(ctx, claim); err == nil && node != "" {
		setAnnotation(claim, annSelectedNode, node)
	}
	return p.Create(ctx, claim)
}

// takeOver gives the volume of the temporary claim to the target.
func (c *cloning) takeOver(ctx context.Context) (string, time.Duration, error) {
	if c.target.Spec.VolumeName != "" {
		return "", 0, nil
	}
	namespace := c.from.namespace
	if c.target.Annotations[annCloneType] == string(cdiv1.CloneStrategyHostAssisted) {
		namespace = c.target.Namespace
	}
	temporary := &corev1.PersistentVolumeClaim{}
	if err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: c.temporaryName()}, temporary); err != nil {
		return "", 0, err
	}
	return clonePhaseRebind, 0, c.rebind(ctx, temporary, c.target)
}

// showPhase writes the phase, and what the DataVolume's Running condition is to say about it.
func (c *cloning) showPhase(ctx context.Context, phase string) error {
	running, reason, message := "true", "Populator is running", ""
	switch phase {
	case clonePhaseSucceeded:
		running, reason, message = "false", reasonDone, "Clone Complete"
	case clonePhasePending:
		running, reason, message = "false", "Pending", "Clone Pending"
	}
	want := map[string]string{annClonePhase: phase, annCloneError: "", annRunning: running, annRunningReason: reason, annRunningMessage: message}
	if phase == clonePhaseSucceeded {
		want[annProgress] = "100.0%"
	}
	return c.annotate(ctx, c.target, want)
}

func (c *cloning) showError(ctx context.Context, cause error) error {
	err := c.annotate(ctx, c.target, map[string]string{
		annClonePhase: clonePhaseError, annCloneError: cause.Error(),
		annRunning: "false", annRunningReason: reasonError, annRunningMessage: cause.Error(),
	})
	if err != nil {
		return err
	}
	return cause
}

// cleanClone deletes what was made for a clone, and lets the claim go.
func (p *populators) cleanClone(ctx context.Context, claim *corev1.PersistentVolumeClaim) error {
	if !controllerutil.ContainsFinalizer(claim, cloneFinalizer) && !isLegacy(claim) {
		return nil
	}
	made := client.MatchingLabels{labelOwnedBy: string(claim.UID)}
	var claims corev1.PersistentVolumeClaimList
	if err := p.List(ctx, &claims, made); err != nil {
		return err
	}
	for i := range claims.Items {
		p.engine.stop(claims.Items[i].UID)
		if err := client.IgnoreNotFound(p.Delete(ctx, &claims.Items[i])); err != nil {
			return err
		}
	}
	var snapshots snapshotv1.VolumeSnapshotList
	if err := p.List(ctx, &snapshots, made); err != nil {
		return err
	}
	for i := range snapshots.Items {
		if err := client.IgnoreNotFound(p.Delete(ctx, &snapshots.Items[i])); err != nil {
			return err
		}
	}
	return p.removeFinalizer(ctx, claim, cloneFinalizer)
}

func snapshotReady(snapshot *snapshotv1.VolumeSnapshot) bool {
	return snapshot.Status != nil && snapshot.Status.ReadyToUse != nil && *snapshot.Status.ReadyToUse
}
