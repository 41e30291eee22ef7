package cdi

import (
	"cmp"
	"context"
	"errors"

	corev1 "k8s.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// The indexes find what waits for an object, so that nothing has to be polled for.
const (
	// bySource finds DataVolumes and VolumeCloneSources by what they copy, and claims by their populator object.
	bySource = "source"
	// byMount finds Pods by the claims they mount.
	byMount = "mount"
)

func key(kind, namespace, name string) string { return kind + "/" + namespace + "/" + name }

func setupIndexes(ctx context.Context, e *env) error {
	indexer := e.manager.GetFieldIndexer()
	return errors.Join(
		indexer.IndexField(ctx, &cdiv1.DataVolume{}, bySource, sourcesOfVolume),
		indexer.IndexField(ctx, &cdiv1.VolumeCloneSource{}, bySource, sourcesOfClone),
		indexer.IndexField(ctx, &corev1.PersistentVolumeClaim{}, bySource, sourcesOfClaim),
		indexer.IndexField(ctx, &corev1.Pod{}, byMount, mountsOfPod),
	)
}

func sourcesOfVolume(obj client.Object) []string {
	dv, ok := obj.(*cdiv1.DataVolume)
	if !ok {
		return nil
	}
	if ref := dv.Spec.SourceRef; ref != nil {
		return []string{key(ref.Kind, deref(ref.Namespace, dv.Namespace), ref.Name)}
	}
	if kind, namespace, name := cloneSource(dv.Spec.Source, dv.Namespace); kind != "" {
		return []string{key(kind, namespace, name)}
	}
	return nil
}

// cloneSource is what a source copies; an empty kind is that it copies nothing.
func cloneSource(source *cdiv1.DataVolumeSource, namespace string) (kind, sourceNamespace, name string) {
	switch {
	case source == nil:
		return "", "", ""
	case source.PVC != nil:
		return kindClaim, cmp.Or(source.PVC.Namespace, namespace), source.PVC.Name
	case source.Snapshot != nil:
		return kindSnapshot, cmp.Or(source.Snapshot.Namespace, namespace), source.Snapshot.Name
	default:
		return "", "", ""
	}
}

func sourcesOfClone(obj client.Object) []string {
	clone, ok := obj.(*cdiv1.VolumeCloneSource)
	if !ok {
		return nil
	}
	return []string{key(clone.Spec.Source.Kind, clone.Namespace, clone.Spec.Source.Name)}
}

func sourcesOfClaim(obj client.Object) []string {
	claim, ok := obj.(*corev1.PersistentVolumeClaim)
	if !ok || populatorKind(claim) == "" {
		return nil
	}
	return []string{key(populatorKind(claim), populatorNamespace(claim), claim.Spec.DataSourceRef.Name)}
}

// populatorKind is the kind of CDI's that fills a claim; "" is that none does.
func populatorKind(claim *corev1.PersistentVolumeClaim) string {
	ref := claim.Spec.DataSourceRef
	if ref == nil || ref.APIGroup == nil || *ref.APIGroup != group {
		return ""
	}
	return ref.Kind
}

func populatorNamespace(claim *corev1.PersistentVolumeClaim) string {
	return cmp.Or(claim.Annotations[annSourceNamespace], claim.Namespace)
}

func mountsOfPod(obj client.Object) []string {
	pod, ok := obj.(*corev1.Pod)
	if !ok || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return nil
	}
	var claims []string
	for _, volume := range pod.Spec.Volumes {
		if volume.PersistentVolumeClaim != nil {
			claims = append(claims, volume.PersistentVolumeClaim.ClaimName)
		}
	}
	return claims
}

func deref(value *string, otherwise string) string {
	if value == nil || *value == "" {
		return otherwise
	}
	return *value
}

// volumesCopying maps an object to the DataVolumes that copy it.
func (e *env) volumesCopying(kind string) handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, obj client.Object) []reconcile.Request {
		var volumes cdiv1.DataVolumeList
		if err := e.List(ctx, &volumes, client.MatchingFields{bySource: key(kind, obj.GetNamespace(), obj.GetName())}); err != nil {
			return nil // only a stopped cache refuses a list
		}
		var requests []reconcile.Request
		for i := range volumes.Items {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&volumes.Items[i])})
		}
		return requests
	})
}

// claimsFilledBy maps a populator object to the claims it fills.
func (e *env) claimsFilledBy(kind string) handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, obj client.Object) []reconcile.Request {
		return e.claimRequests(ctx, key(kind, obj.GetNamespace(), obj.GetName()))
	})
}

// claimsCopying maps a claim or snapshot to the claims whose clone source names it.
func (e *env) claimsCopying(kind string) handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, obj client.Object) []reconcile.Request {
		var clones cdiv1.VolumeCloneSourceList
		if err := e.List(ctx, &clones, client.MatchingFields{bySource: key(kind, obj.GetNamespace(), obj.GetName())}); err != nil {
			return nil
		}
		var requests []reconcile.Request
		for _, clone := range clones.Items {
			requests = append(requests, e.claimRequests(ctx, key(cdiv1.VolumeCloneSourceRef, clone.Namespace, clone.Name))...)
		}
		return requests
	})
}

func (e *env) claimRequests(ctx context.Context, source string) []reconcile.Request {
	var claims corev1.PersistentVolumeClaimList
	if err := e.List(ctx, &claims, client.MatchingFields{bySource: source}); err != nil {
		return nil
	}
	var requests []reconcile.Request
	for i := range claims.Items {
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&claims.Items[i])})
	}
	return requests
}

// usedBy is a Pod that mounts a claim for writing; "" is that there is none.
func (e *env) usedBy(ctx context.Context, namespace, claim string) (string, error) {
	var pods corev1.PodList
	if err := e.List(ctx, &pods, client.InNamespace(namespace), client.MatchingFields{byMount: claim}); err != nil {
		return "", err
	}
	for i := range pods.Items {
		if mountsForWriting(&pods.Items[i], claim) {
			return pods.Items[i].Name, nil
		}
	}
	return "", nil
}

// mountsForWriting is false only if every mount of the claim says that it is read-only.
func mountsForWriting(pod *corev1.Pod, claim string) bool {
	for _, volume := range pod.Spec.Volumes {
		source := volume.PersistentVolumeClaim
		if source == nil || source.ClaimName != claim || source.ReadOnly {
			continue
		}
		if !mountedReadOnly(pod, volume.Name) {
			return true
		}
	}
	return false
}

func mountedReadOnly(pod *corev1.Pod, volume string) bool {
	mounts := 0
	for _, container := range pod.Spec.Containers {
		for _, mount := range container.VolumeMounts {
			if mount.Name != volume {
				continue
			}
			if !mount.ReadOnly {
				return false
			}
			mounts++
		}
		for _, device := range container.VolumeDevices {
			if device.Name == volume {
				return false
			}
		}
	}
	return mounts > 0
}
