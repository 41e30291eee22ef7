package cluster

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"wukong.io/wukong/test/cluster/cdi"
)

func cdiDefinitions() ([]*unstructured.Unstructured, error) {
	definitions, err := cdi.CRDs()
	if err != nil {
		return nil, fmt.Errorf("reading CDI's definitions: %w", err)
	}
	objects := make([]*unstructured.Unstructured, 0, len(definitions))
	for _, definition := range definitions {
		object, err := toUnstructured(definition)
		if err != nil {
			return nil, err
		}
		object.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
		objects = append(objects, object)
	}
	return objects, nil
}

// startCDI starts the stand-in for CDI, which knows the drivers of this cluster as it would know those of a vendor.
func (b *bootstrap) startCDI(context.Context) error {
	options := b.options.CDI
	options.VolumeRoot = b.dirs.volumeRoot(DriverFast)
	options.VolumeRoots = map[string]string{DriverNoSnapshot: b.dirs.volumeRoot(DriverNoSnapshot)}
	options.Logger = b.standInLog.WithName("cdi")
	if options.Provisioners == nil {
		options.Provisioners = map[string]cdi.Capabilities{DriverFast: fileCapabilities(), DriverNoSnapshot: fileCapabilities()}
	}
	b.standIns.start("cdi", func(ctx context.Context) error { return cdi.Run(ctx, b.admin, options) })
	return nil
}

// fileCapabilities are what a driver with folders for volumes can do: one machine may be moved to another node while it runs.
func fileCapabilities() cdi.Capabilities {
	mode := corev1.PersistentVolumeFilesystem
	set := func(access corev1.PersistentVolumeAccessMode) cdiv1.ClaimPropertySet {
		return cdiv1.ClaimPropertySet{AccessModes: []corev1.PersistentVolumeAccessMode{access}, VolumeMode: &mode}
	}
	return cdi.Capabilities{ClaimPropertySets: []cdiv1.ClaimPropertySet{set(corev1.ReadWriteMany), set(corev1.ReadWriteOnce)}}
}

// probeCDI has an empty disk made, which takes the profile of the default class and every controller of CDI.
func (b *bootstrap) probeCDI(ctx context.Context) error {
	const name = "wukong-probe-disk"
	disk := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "cdi.kubevirt.io/v1beta1",
		"kind":       "DataVolume",
		"metadata":   map[string]any{"namespace": CDINamespace, "name": name},
		"spec": map[string]any{
			"source":  map[string]any{"blank": map[string]any{}},
			"storage": map[string]any{"resources": map[string]any{"requests": map[string]any{"storage": "1Mi"}}},
		},
	}}
	if err := create(ctx, b.client, disk); err != nil {
		return err
	}
	err := eventually(ctx, "an empty disk", func(ctx context.Context) error {
		live := &unstructured.Unstructured{}
		live.SetGroupVersionKind(disk.GroupVersionKind())
		if err := b.client.Get(ctx, client.ObjectKeyFromObject(disk), live); err != nil {
			return err
		}
		if phase, _, _ := unstructured.NestedString(live.Object, "status", "phase"); phase != string(cdiv1.Succeeded) {
			return fmt.Errorf("its status is %v", live.Object["status"])
		}
		return nil
	})
	if err != nil {
		return err
	}
	return b.removeAll(ctx, disk)
}
