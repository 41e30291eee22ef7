package cdi

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"wukong.io/wukong/test/cluster/csidriver"
)

const annSelectedNode = "volume.kubernetes.io/selected-node"

// populators fill claims: those whose dataSourceRef is one of CDI's kinds, through a second claim whose
// volume they take over, and the others of a DataVolume the older way, in place.
type populators struct{ *env }

func setupPopulators(_ context.Context, e *env) error {
	p := &populators{e}
	return ctrl.NewControllerManagedBy(e.manager).Named("populator").
		For(&corev1.PersistentVolumeClaim{}, builder.WithPredicates(predicate.NewPredicateFuncs(isOurs))).
		Owns(&corev1.PersistentVolumeClaim{}).
		Watches(&corev1.PersistentVolumeClaim{}, handler.EnqueueRequestsFromMapFunc(targetOf)).
		Watches(&snapshotv1.VolumeSnapshot{}, handler.EnqueueRequestsFromMapFunc(targetOf)).
		Watches(&corev1.PersistentVolumeClaim{}, e.claimsCopying(kindClaim)).
		Watches(&snapshotv1.VolumeSnapshot{}, e.claimsCopying(kindSnapshot)).
		Watches(&cdiv1.VolumeImportSource{}, e.claimsFilledBy(cdiv1.VolumeImportSourceRef)).
		Watches(&cdiv1.VolumeUploadSource{}, e.claimsFilledBy(cdiv1.VolumeUploadSourceRef)).
		Watches(&cdiv1.VolumeCloneSource{}, e.claimsFilledBy(cdiv1.VolumeCloneSourceRef)).
		WatchesRawSource(source.Channel(e.engine.changed, &handler.EnqueueRequestForObject{})).
		WithOptions(e.workers()).
		Complete(p)
}

func isOurs(obj client.Object) bool {
	claim, ok := obj.(*corev1.PersistentVolumeClaim)
	return ok && (populatorKind(claim) != "" || isLegacy(claim))
}

func isLegacy(claim *corev1.PersistentVolumeClaim) bool {
	return claim.Annotations[annCreatedFor] != "" && claim.Annotations[annUsePopulator] == "false"
}

// annTarget on a temporary object names the claim it is made for.
const annTarget = group + "/events.source"

func targetOf(_ context.Context, obj client.Object) []reconcile.Request {
	namespace, name, ok := strings.Cut(obj.GetAnnotations()[annTarget], "/")
	if !ok {
		return nil
	}
	return []reconcile.Request{{NamespacedName: client.ObjectKey{Namespace: namespace, Name: name}}}
}

// Reconcile brings one claim a step further.
func (p *populators) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	claim := &corev1.PersistentVolumeClaim{}
	found, err := p.get(ctx, req.Namespace, req.Name, claim)
	if err != nil {
		return reconcile.Result{}, err
	}
	if !found {
		p.engine.stopFor(req.NamespacedName)
		return reconcile.Result{}, nil
	}
	if !isOurs(claim) {
		return reconcile.Result{}, nil
	}
	if claim.DeletionTimestamp != nil {
		return reconcile.Result{}, p.abandon(ctx, claim)
	}
	switch kind := populatorKind(claim); kind {
	case cdiv1.VolumeCloneSourceRef:
		result, err := p.clone(ctx, claim)
		return result, client.IgnoreNotFound(err)
	case cdiv1.VolumeImportSourceRef, cdiv1.VolumeUploadSourceRef:
		return reconcile.Result{}, client.IgnoreNotFound(p.fill(ctx, claim, kind))
	case "":
		result, err := p.legacy(ctx, claim)
		return result, client.IgnoreNotFound(err)
	default:
		return reconcile.Result{}, nil
	}
}

// abandon stops everything that was under way for a claim that goes.
func (p *populators) abandon(ctx context.Context, claim *corev1.PersistentVolumeClaim) error {
	p.engine.stop(claim.UID)
	prime := &corev1.PersistentVolumeClaim{}
	found, err := p.get(ctx, claim.Namespace, primeName(claim), prime)
	if err != nil {
		return err
	}
	if found {
		p.engine.stop(prime.UID)
	}
	return p.cleanClone(ctx, claim)
}

func primeName(claim *corev1.PersistentVolumeClaim) string { return "prime-" + string(claim.UID) }

// fill imports or uploads into the prime claim, and then gives its volume to the claim itself.
func (p *populators) fill(ctx context.Context, claim *corev1.PersistentVolumeClaim, kind string) error {
	done := claim.Annotations[annPodPhase] == string(corev1.PodSucceeded)
	if done && isBound(claim) {
		return p.dropPrime(ctx, claim)
	}
	if late, err := p.waitsForConsumer(ctx, claim); late || err != nil {
		return err
	}
	prime, err := p.prime(ctx, claim)
	if err != nil || prime == nil {
		return err
	}
	if done {
		return p.rebind(ctx, prime, claim)
	}
	if !isBound(prime) {
		return nil
	}
	now, err := p.progressOf(ctx, claim, prime, kind)
	if err != nil || now == nil {
		return err
	}
	if err := p.show(ctx, claim, *now, prime.Name); err != nil || now.phase != corev1.PodSucceeded {
		return err
	}
	p.event(claim, corev1.EventTypeNormal, "ImportSucceeded", "Successfully imported into PVC "+claim.Name)
	return p.rebind(ctx, prime, claim)
}

// progressOf is how far the transfer into the prime claim is; nil is that its source object is missing.
func (p *populators) progressOf(ctx context.Context, claim, prime *corev1.PersistentVolumeClaim, kind string) (*state, error) {
	name := claim.Spec.DataSourceRef.Name
	if kind == cdiv1.VolumeUploadSourceRef {
		found, err := p.get(ctx, claim.Namespace, name, &cdiv1.VolumeUploadSource{})
		if err != nil || !found {
			return nil, err
		}
		return new(uploadReady()), nil
	}
	object := &cdiv1.VolumeImportSource{}
	found, err := p.get(ctx, claim.Namespace, name, object)
	if err != nil || !found {
		return nil, err
	}
	from := object.Spec.Source
	if from == nil {
		from = &cdiv1.ImportSourceType{}
	}
	now, err := p.importInto(ctx, claim, prime, from)
	return &now, err
}

// uploadReady is an upload server that waits for its upload.
func uploadReady() state {
	return state{phase: corev1.PodRunning, running: true, reason: reasonRunning}
}

// importInto keeps an import into a claim's volume going.
func (p *populators) importInto(ctx context.Context, target, holder *corev1.PersistentVolumeClaim, from *cdiv1.ImportSourceType) (state, error) {
	origin, checksum, open := importer{reader: p.Client, namespace: target.Namespace}.importOf(from)
	j, err := p.job(ctx, target, holder)
	if err != nil {
		return state{}, err
	}
	j.origin, j.checksum, j.open = origin, checksum, open
	return p.run(j, target)
}

func (p *populators) run(j job, target *corev1.PersistentVolumeClaim) (state, error) {
	fault, err := parseFault(target.Annotations[AnnotationFault])
	if err != nil {
		return state{}, reconcile.TerminalError(err)
	}
	return p.engine.ensure(j, fault), nil
}

// job is a transfer into the volume of holder that is reported to target.
func (p *populators) job(ctx context.Context, target, holder *corev1.PersistentVolumeClaim) (job, error) {
	path, size, err := p.volumeOf(ctx, holder)
	if err != nil {
		return job{}, err
	}
	j := job{volume: holder.UID, target: client.ObjectKeyFromObject(target), path: path, size: size, limit: size}
	if !isBlock(holder.Spec.VolumeMode) {
		j.limit = usable(size, p.overhead)
	}
	return j, nil
}

// volumeOf is the file behind a bound claim.
func (e *env) volumeOf(ctx context.Context, claim *corev1.PersistentVolumeClaim) (path string, size int64, err error) {
	volume := &corev1.PersistentVolume{}
	if err := e.Get(ctx, client.ObjectKey{Name: claim.Spec.VolumeName}, volume); err != nil {
		return "", 0, err
	}
	if volume.Spec.CSI == nil {
		return "", 0, fmt.Errorf("volume %q is of no CSI driver, so its data cannot be found", volume.Name)
	}
	root := cmp.Or(e.options.VolumeRoots[volume.Spec.CSI.Driver], e.options.VolumeRoot)
	return csidriver.VolumePath(root, volume.Spec.CSI.VolumeHandle), volume.Spec.Capacity.Storage().Value(), nil
}

// prime is the second claim, which exists from when the first one may be filled.
func (p *populators) prime(ctx context.Context, claim *corev1.PersistentVolumeClaim) (*corev1.PersistentVolumeClaim, error) {
	prime := &corev1.PersistentVolumeClaim{}
	found, err := p.get(ctx, claim.Namespace, primeName(claim), prime)
	if err != nil || found || isBound(claim) {
		return prime, err
	}
	node, err := p.nodeFor(ctx, claim)
	if err != nil {
		return nil, err
	}
	prime = &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{
			Name: primeName(claim), Namespace: claim.Namespace,
			Labels:      map[string]string{labelApp: labelAppValue},
			Annotations: map[string]string{annImmediateBinding: "", annPopulatorKind: populatorKind(claim)},
			OwnerReferences: []metav1.OwnerReference{
				*metav1.NewControllerRef(claim, corev1.SchemeGroupVersion.WithKind(kindClaim)),
			},
		},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: claim.Spec.AccessModes, Resources: claim.Spec.Resources,
			StorageClassName: claim.Spec.StorageClassName, VolumeMode: claim.Spec.VolumeMode,
		},
	}
	if node != "" {
		setAnnotation(prime, annSelectedNode, node)
	}
	if populatorKind(claim) == cdiv1.VolumeUploadSourceRef {
		setAnnotation(prime, annUploadRequest, "")
	}
	if err := p.Create(ctx, prime); err != nil {
		if apierrors.IsAlreadyExists(err) {
			return nil, nil // the cache is behind; its event brings the claim back here
		}
		p.event(claim, corev1.EventTypeWarning, "ErrCreatingPVCPrime", err.Error())
		return nil, err
	}
	p.event(claim, corev1.EventTypeNormal, "CreatedPVCPrimeSuccessfully", "PVC Prime created successfully")
	return prime, nil
}

// nodeFor is the node whose name lets a late binding volume be made: the one the scheduler chose, or any
// if binding was asked for at once, as an importer Pod would find one.
func (e *env) nodeFor(ctx context.Context, claim *corev1.PersistentVolumeClaim) (string, error) {
	if node := claim.Annotations[annSelectedNode]; node != "" {
		return node, nil
	}
	class, err := e.class(ctx, claim.Spec.StorageClassName)
	if err != nil || !bindsOnFirstUse(class) {
		return "", err
	}
	var nodes corev1.NodeList
	if err := e.List(ctx, &nodes); err != nil {
		return "", err
	}
	if len(nodes.Items) == 0 {
		return "", fmt.Errorf("no node can bind claim %q", claim.Name)
	}
	return nodes.Items[0].Name, nil
}

// show writes the state of a transfer on the claim, where the DataVolume reads it.
func (p *populators) show(ctx context.Context, claim *corev1.PersistentVolumeClaim, now state, prime string) error {
	want := map[string]string{
		annPodPhase:       string(now.phase),
		annPodRestarts:    strconv.Itoa(now.restarts),
		annPodReady:       strconv.FormatBool(now.running),
		annRunning:        strconv.FormatBool(now.running),
		annRunningReason:  now.reason,
		annRunningMessage: now.message,
		annProgress:       now.progress,
		annPrimeName:      prime,
	}
	if now.fatal {
		want[annFatalError] = "true"
	}
	return p.annotate(ctx, claim, want)
}

// rebind gives the volume of one claim to another, which Kubernetes then binds to it.
func (e *env) rebind(ctx context.Context, from, to *corev1.PersistentVolumeClaim) error {
	if from.Spec.VolumeName == "" || to.Spec.VolumeName != "" {
		return nil
	}
	volume := &corev1.PersistentVolume{}
	if err := e.Get(ctx, client.ObjectKey{Name: from.Spec.VolumeName}, volume); err != nil {
		return err
	}
	switch ref := volume.Spec.ClaimRef; {
	case ref == nil:
		return fmt.Errorf("PV %s claimRef is nil", volume.Name)
	case ref.UID == to.UID:
		return nil
	case ref.UID != from.UID:
		return fmt.Errorf("PV %s bound to unexpected claim %s", volume.Name, ref.Name)
	}
	old := volume.DeepCopy()
	volume.Spec.ClaimRef = &corev1.ObjectReference{
		APIVersion: "v1", Kind: kindClaim, Namespace: to.Namespace, Name: to.Name, UID: to.UID, ResourceVersion: to.ResourceVersion,
	}
	return e.Patch(ctx, volume, client.MergeFromWithOptions(old, client.MergeFromWithOptimisticLock{}))
}

// dropPrime deletes the claim that has lost its volume.
func (p *populators) dropPrime(ctx context.Context, claim *corev1.PersistentVolumeClaim) error {
	prime := &corev1.PersistentVolumeClaim{}
	found, err := p.get(ctx, claim.Namespace, primeName(claim), prime)
	if err != nil || !found {
		return err
	}
	p.engine.stop(prime.UID)
	if prime.Status.Phase != corev1.ClaimLost || prime.DeletionTimestamp != nil {
		return nil
	}
	return client.IgnoreNotFound(p.Delete(ctx, prime))
}

// legacy fills a claim in place once it is bound.
func (p *populators) legacy(ctx context.Context, claim *corev1.PersistentVolumeClaim) (reconcile.Result, error) {
	if claim.Annotations[annPodPhase] == string(corev1.PodSucceeded) {
		p.engine.stop(claim.UID)
		return reconcile.Result{}, p.cleanClone(ctx, claim)
	}
	if !isBound(claim) {
		return reconcile.Result{}, p.bindNow(ctx, claim)
	}
	owner := metav1.GetControllerOf(claim)
	dv := &cdiv1.DataVolume{}
	if owner == nil || owner.Kind != "DataVolume" {
		return reconcile.Result{}, nil
	}
	if err := p.Get(ctx, client.ObjectKey{Namespace: claim.Namespace, Name: owner.Name}, dv); err != nil {
		return reconcile.Result{}, err
	}
	from, err := p.sourceOf(ctx, dv)
	if err != nil || from == nil {
		return reconcile.Result{}, err
	}
	now, wait, err := p.legacyState(ctx, claim, from)
	if err != nil || now == nil {
		return wait, err
	}
	return wait, p.show(ctx, claim, *now, "")
}

func (p *populators) sourceOf(ctx context.Context, dv *cdiv1.DataVolume) (*cdiv1.DataVolumeSource, error) {
	if dv.Spec.SourceRef == nil {
		return dv.Spec.Source, nil
	}
	return (&dataVolumes{p.env}).dataSource(ctx, dv)
}

func (p *populators) legacyState(ctx context.Context, claim *corev1.PersistentVolumeClaim, from *cdiv1.DataVolumeSource) (*state, reconcile.Result, error) {
	if from.Upload != nil {
		return new(uploadReady()), reconcile.Result{}, nil
	}
	if kind, namespace, name := cloneSource(from, claim.Namespace); kind != "" {
		return p.copyFrom(ctx, claim, claim, cloneFrom{kind, namespace, name})
	}
	now, err := p.importInto(ctx, claim, claim, importSource(from))
	return &now, reconcile.Result{}, err
}

// bindNow names a node on a late binding claim whose DataVolume asks not to wait.
func (p *populators) bindNow(ctx context.Context, claim *corev1.PersistentVolumeClaim) error {
	if _, immediate := claim.Annotations[annImmediateBinding]; !immediate {
		return nil
	}
	node, err := p.nodeFor(ctx, claim)
	if err != nil || node == "" {
		return err
	}
	return p.annotate(ctx, claim, map[string]string{annSelectedNode: node})
}
