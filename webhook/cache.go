package webhook

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	kubevirtv1 "kubevirt.io/api/core/v1"
	snapshotv1beta1 "kubevirt.io/api/snapshot/v1beta1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// trimmedMACs is the annotation in which a machine in the cache keeps its MAC
// addresses. It is no valid key, so no machine in the cluster has it.
const trimmedMACs = "MAC addresses"

// CacheOptions are what the caches of the webhook keep: of every object only
// what a review asks about, so that ten thousand machines fit into little
// memory. One transform serves all kinds: options by kind would fail on a
// cluster that lacks one.
func CacheOptions() cache.Options {
	return cache.Options{DefaultTransform: trim}
}

func trim(in any) (any, error) {
	switch object := in.(type) {
	case *corev1.PersistentVolumeClaim:
		return trimClaim(object), nil
	case *kubevirtv1.VirtualMachine:
		return trimMachine(object), nil
	case *cdiv1.DataVolume:
		return trimDataVolume(object), nil
	case *snapshotv1beta1.VirtualMachineSnapshot:
		return trimSnapshot(object), nil
	case metav1.Object:
		object.SetManagedFields(nil)
	}
	return in, nil
}

// setupCache starts the informers a review reads, so that the process is ready
// only when they are, and the indexes it searches.
func setupCache(ctx context.Context, mgr manager.Manager, present []watched) error {
	for _, kind := range present {
		if _, err := mgr.GetCache().GetInformer(ctx, kind.object, cache.BlockUntilSynced(false)); err != nil {
			return fmt.Errorf("watching %T: %w", kind.object, err)
		}
	}
	index := mgr.GetFieldIndexer()
	if err := index.IndexField(ctx, &corev1.PersistentVolumeClaim{}, indexBackend, backendOf); err != nil {
		return fmt.Errorf("indexing claims: %w", err)
	}
	if err := index.IndexField(ctx, &kubevirtv1.VirtualMachine{}, indexMAC, macsOf); err != nil {
		return fmt.Errorf("indexing machines: %w", err)
	}
	return nil
}

func backendOf(object client.Object) []string {
	if vm := object.GetLabels()[backendLabel]; vm != "" {
		return []string{vm}
	}
	return nil
}

func macsOf(object client.Object) []string {
	vm, ok := object.(*kubevirtv1.VirtualMachine)
	if !ok {
		return nil
	}
	if kept, ok := vm.Annotations[trimmedMACs]; ok {
		return strings.Split(kept, ",")
	}
	if vm.Spec.Template == nil {
		return nil
	}
	var macs []string
	for _, iface := range vm.Spec.Template.Spec.Domain.Devices.Interfaces {
		if iface.MacAddress != "" {
			macs = append(macs, normalMAC(iface.MacAddress))
		}
	}
	return macs
}

// normalMAC writes a MAC address in one way: KubeVirt takes dashes and capital
// letters too.
func normalMAC(mac string) string {
	return strings.ToLower(strings.ReplaceAll(mac, "-", ":"))
}

// trimMeta keeps what identifies an object.
func trimMeta(meta *metav1.ObjectMeta) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name: meta.Name, Namespace: meta.Namespace, UID: meta.UID, ResourceVersion: meta.ResourceVersion,
		CreationTimestamp: meta.CreationTimestamp, DeletionTimestamp: meta.DeletionTimestamp,
	}
}

func trimClaim(claim *corev1.PersistentVolumeClaim) *corev1.PersistentVolumeClaim {
	meta := trimMeta(&claim.ObjectMeta)
	if vm, ok := claim.Labels[backendLabel]; ok {
		meta.Labels = map[string]string{backendLabel: vm}
	}
	meta.OwnerReferences = claim.OwnerReferences
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: meta,
		Spec:       corev1.PersistentVolumeClaimSpec{StorageClassName: claim.Spec.StorageClassName},
		Status:     corev1.PersistentVolumeClaimStatus{Phase: claim.Status.Phase},
	}
}

// trimMachine keeps a machine's MAC addresses, and those in its metadata: the
// types of spec.template are most of a machine's size in memory.
func trimMachine(vm *kubevirtv1.VirtualMachine) *kubevirtv1.VirtualMachine {
	trimmed := &kubevirtv1.VirtualMachine{ObjectMeta: trimMeta(&vm.ObjectMeta)}
	if macs := macsOf(vm); len(macs) > 0 {
		trimmed.Annotations = map[string]string{trimmedMACs: strings.Join(macs, ",")}
	}
	return trimmed
}

func trimDataVolume(volume *cdiv1.DataVolume) *cdiv1.DataVolume {
	trimmed := &cdiv1.DataVolume{ObjectMeta: trimMeta(&volume.ObjectMeta)}
	trimmed.Status.Phase = volume.Status.Phase
	if volume.Spec.PVC != nil {
		trimmed.Spec.PVC = &corev1.PersistentVolumeClaimSpec{StorageClassName: volume.Spec.PVC.StorageClassName}
	}
	if volume.Spec.Storage != nil {
		trimmed.Spec.Storage = &cdiv1.StorageSpec{StorageClassName: volume.Spec.Storage.StorageClassName}
	}
	return trimmed
}

func trimSnapshot(snapshot *snapshotv1beta1.VirtualMachineSnapshot) *snapshotv1beta1.VirtualMachineSnapshot {
	trimmed := &snapshotv1beta1.VirtualMachineSnapshot{ObjectMeta: trimMeta(&snapshot.ObjectMeta)}
	trimmed.Spec.Source = snapshot.Spec.Source
	if snapshot.Status != nil {
		trimmed.Status = &snapshotv1beta1.VirtualMachineSnapshotStatus{
			ReadyToUse: snapshot.Status.ReadyToUse, SourceUID: snapshot.Status.SourceUID, Phase: snapshot.Status.Phase,
		}
	}
	return trimmed
}

// addToScheme registers the kinds the caches hold beside those of the fleet.
func addToScheme(scheme *runtime.Scheme) error {
	builder := runtime.NewSchemeBuilder(storagev1.AddToScheme)
	return builder.AddToScheme(scheme)
}
