// Command kubevirt-manifests prints, as one JSON List, the objects that virt-operator would install for virt-api and
// virt-controller: definitions, webhook configurations, roles, instance types and preferences. The test cluster has no operator.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"kubevirt.io/kubevirt/pkg/virt-operator/resource/generate/components"
	"kubevirt.io/kubevirt/pkg/virt-operator/resource/generate/rbac"
)

// namespace is where the control plane pretends to be installed.
const namespace = "kubevirt"

type list struct {
	APIVersion string           `json:"apiVersion"`
	Kind       string           `json:"kind"`
	Items      []runtime.Object `json:"items"`
}

func main() {
	if err := run(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "kubevirt-manifests:", err)
		os.Exit(1)
	}
}

func run(out io.Writer) error {
	definitions, err := definitions()
	if err != nil {
		return fmt.Errorf("generating definitions: %w", err)
	}
	types, err := instancetypes()
	if err != nil {
		return fmt.Errorf("generating instance types: %w", err)
	}
	items := definitions
	items = append(items, roles()...)
	items = append(items, types...)
	items = append(items,
		components.NewVirtAPIValidatingWebhookConfiguration(namespace),
		components.NewVirtAPIMutatingWebhookConfiguration(namespace),
		components.NewKubeVirtPriorityClassCR(),
	)
	for _, service := range components.NewVirtAPIAPIServices(namespace) {
		items = append(items, service)
	}
	return json.NewEncoder(out).Encode(list{APIVersion: "v1", Kind: "List", Items: items})
}

func definitions() ([]runtime.Object, error) {
	makers := []func() (*extv1.CustomResourceDefinition, error){
		components.NewKubeVirtCrd,
		components.NewVirtualMachineInstanceCrd, components.NewPresetCrd, components.NewReplicaSetCrd,
		components.NewVirtualMachineCrd, components.NewVirtualMachineInstanceMigrationCrd,
		components.NewVirtualMachineSnapshotCrd, components.NewVirtualMachineSnapshotContentCrd,
		components.NewVirtualMachineRestoreCrd, components.NewVirtualMachineInstancetypeCrd,
		components.NewVirtualMachineClusterInstancetypeCrd, components.NewVirtualMachinePoolCrd,
		components.NewMigrationPolicyCrd, components.NewVirtualMachinePreferenceCrd,
		components.NewVirtualMachineClusterPreferenceCrd, components.NewVirtualMachineExportCrd,
		components.NewVirtualMachineCloneCrd, components.NewVirtualMachineBackupCrd,
		components.NewVirtualMachineBackupTrackerCrd,
	}
	var objects []runtime.Object
	for _, newDefinition := range makers {
		definition, err := newDefinition()
		if err != nil {
			return nil, err
		}
		objects = append(objects, definition)
	}
	return objects, nil
}

func roles() []runtime.Object {
	const withNetworkAttachments = true
	objects := rbac.GetAllCluster()
	objects = append(objects, rbac.GetAllApiServer(namespace)...)
	objects = append(objects, rbac.GetAllController(namespace, withNetworkAttachments)...)
	objects = append(objects, rbac.GetAllHandler(namespace)...)
	objects = append(objects, rbac.GetAllExportProxy(namespace)...)
	return objects
}

func instancetypes() ([]runtime.Object, error) {
	types, err := components.NewClusterInstancetypes()
	if err != nil {
		return nil, err
	}
	preferences, err := components.NewClusterPreferences()
	if err != nil {
		return nil, err
	}
	var objects []runtime.Object
	for _, t := range types {
		objects = append(objects, t)
	}
	for _, p := range preferences {
		objects = append(objects, p)
	}
	return objects, nil
}
