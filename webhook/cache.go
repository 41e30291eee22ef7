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

// CacheOptions are what the caches of the webhook keep: of every object only
// what a review asks about, so that ten thousand machines fit into little
// memory.
func CacheOptions() cache.Options {
	return cache.Options{
		ByObject: map[client.Object]cache.ByObject{
			&corev1.PersistentVolumeClaim{}:           {Transform: trimClaim},
			&kubevirtv1.VirtualMachine{}:              {Transform: trimMachine},
			&cdiv1.DataVolume{}:                       {Transform: trimDataVolume},
			&snapshotv1beta1.VirtualMachineSnapshot{}: {Transform: trimSnapshot},
		},
		DefaultTransform: cache.TransformStripManagedFields(),
	}
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
	if !ok || vm.Spec.Template == nil {
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

func trimClaim(in any) (any, error) {
	claim, ok := in.(*corev1.PersistentVolumeClaim)
	if !ok {
		return in, nil
	}
	meta := trimMeta(&claim.ObjectMeta)
	if vm, ok := claim.Labels[backendLabel]; ok {
		meta.Labels = map[string]string{backendLabel: vm}
	}
	meta.OwnerReferences = claim.OwnerReferences
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: meta,
		Spec:       corev1.PersistentVolumeClaimSpec{StorageClassName: claim.Spec.StorageClassName},
		Status:     corev1.PersistentVolumeClaimStatus{Phase: claim.Status.Phase},
	}, nil
}

func trimMachine(in any) (any, error) {
	vm, ok := in.(*kubevirtv1.VirtualMachine)
	if !ok {
		return in, nil
	}
	trimmed := &kubevirtv1.VirtualMachine{ObjectMeta: trimMeta(&vm.ObjectMeta)}
	if vm.Spec.Template == nil {
		return trimmed, nil
	}
	trimmed.Spec.Template = &kubevirtv1.VirtualMachineInstanceTemplateSpec{}
	devices := &trimmed.Spec.Template.Spec.Domain.Devices
	for _, iface := range vm.Spec.Template.Spec.Domain.Devices.Interfaces {
		devices.Interfaces = append(devices.Interfaces, kubevirtv1.Interface{Name: iface.Name, MacAddress: iface.MacAddress})
	}
	return trimmed, nil
}

func trimDataVolume(in any) (any, error) {
	volume, ok := in.(*cdiv1.DataVolume)
	if !ok {
		return in, nil
	}
	trimmed := &cdiv1.DataVolume{ObjectMeta: trimMeta(&volume.ObjectMeta)}
	trimmed.Status.Phase = volume.Status.Phase
	if volume.Spec.PVC != nil {
		trimmed.Spec.PVC = &corev1.PersistentVolumeClaimSpec{StorageClassName: volume.Spec.PVC.StorageClassName}
	}
	if volume.Spec.Storage != nil {
		trimmed.Spec.Storage = &cdiv1.StorageSpec{StorageClassName: volume.Spec.Storage.StorageClassName}
	}
	return trimmed, nil
}

func trimSnapshot(in any) (any, error) {
	snapshot, ok := in.(*snapshotv1beta1.VirtualMachineSnapshot)
	if !ok {
		return in, nil
	}
	trimmed := &snapshotv1beta1.VirtualMachineSnapshot{ObjectMeta: trimMeta(&snapshot.ObjectMeta)}
	trimmed.Spec.Source = snapshot.Spec.Source
	if snapshot.Status != nil {
		trimmed.Status = &snapshotv1beta1.VirtualMachineSnapshotStatus{
			ReadyToUse: snapshot.Status.ReadyToUse, SourceUID: snapshot.Status.SourceUID, Phase: snapshot.Status.Phase,
		}
	}
	return trimmed, nil
}

// addToScheme registers the kinds the caches hold beside those of the fleet.
func addToScheme(scheme *runtime.Scheme) error {
	builder := runtime.NewSchemeBuilder(storagev1.AddToScheme)
	return builder.AddToScheme(scheme)
}
