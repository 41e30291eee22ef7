package world

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Machine makes a stopped machine by hand, as somebody without Wukong does, with one disk named root on the
// claim <name>-root, which begins with content.
func (w *World) Machine(ctx context.Context, key client.ObjectKey, size string, content []byte) error {
	claim := client.ObjectKey{Namespace: key.Namespace, Name: key.Name + "-root"}
	if err := w.Claim(ctx, claim, size, content); err != nil {
		return err
	}
	machine := &kubevirtv1.VirtualMachine{
		ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name},
		Spec: kubevirtv1.VirtualMachineSpec{
			RunStrategy: new(kubevirtv1.RunStrategyHalted),
			Template:    &kubevirtv1.VirtualMachineInstanceTemplateSpec{Spec: instance(claim.Name)},
		},
	}
	if err := w.Client.Create(ctx, machine); err != nil {
		return fmt.Errorf("creating machine %s: %w", key, err)
	}
	return nil
}

func instance(claim string) kubevirtv1.VirtualMachineInstanceSpec {
	spec := kubevirtv1.VirtualMachineInstanceSpec{
		Domain: kubevirtv1.DomainSpec{
			Memory: &kubevirtv1.Memory{Guest: new(resource.MustParse("64Mi"))},
			Devices: kubevirtv1.Devices{Disks: []kubevirtv1.Disk{{
				Name: "root", DiskDevice: kubevirtv1.DiskDevice{Disk: &kubevirtv1.DiskTarget{Bus: kubevirtv1.DiskBusVirtio}},
			}}},
		},
	}
	source := kubevirtv1.VolumeSource{PersistentVolumeClaim: &kubevirtv1.PersistentVolumeClaimVolumeSource{
		PersistentVolumeClaimVolumeSource: corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim},
	}}
	spec.Volumes = []kubevirtv1.Volume{{Name: "root", VolumeSource: source}}
	return spec
}

// Running waits until KubeVirt reports as many machines of a fleet Running as there are to be, and no other
// machine of it. Report, if any, is told how many do at every change.
func (w *World) Running(ctx context.Context, fleet client.ObjectKey, pool string, want int, report func(running int)) error {
	query := Query{Namespace: fleet.Namespace, Labels: "wukong.io/fleet=" + fleet.Name}
	if pool != "" {
		query.Labels += ",wukong.io/pool=" + pool
	}
	err := Until(ctx, w.Client, query, &kubevirtv1.VirtualMachineList{}, &kubevirtv1.VirtualMachine{},
		func(machines map[string]*kubevirtv1.VirtualMachine) error {
			running := 0
			var waiting []string
			for name, machine := range machines {
				if machine.Status.PrintableStatus == kubevirtv1.VirtualMachineStatusRunning && machine.DeletionTimestamp == nil {
					running++
					continue
				}
				waiting = append(waiting, fmt.Sprintf("%s is %s", name, machine.Status.PrintableStatus))
			}
			if report != nil {
				report(running)
			}
			if running != want || len(machines) != want {
				slices.Sort(waiting)
				return fmt.Errorf("%d of %d machines are running: %s", running, want, strings.Join(waiting, ", "))
			}
			return nil
		})
	if err != nil {
		return fmt.Errorf("waiting for the machines of fleet %s: %w", fleet, err)
	}
	return nil
}

// Instances gives the running instances of a fleet by name.
func (w *World) Instances(ctx context.Context, fleet client.ObjectKey) (map[string]kubevirtv1.VirtualMachineInstance, error) {
	list := &kubevirtv1.VirtualMachineInstanceList{}
	if err := w.Client.List(ctx, list, client.InNamespace(fleet.Namespace), client.MatchingLabels{"wukong.io/fleet": fleet.Name}); err != nil {
		return nil, fmt.Errorf("listing the instances of fleet %s: %w", fleet, err)
	}
	instances := make(map[string]kubevirtv1.VirtualMachineInstance, len(list.Items))
	for _, item := range list.Items {
		instances[item.Name] = item
	}
	return instances, nil
}

// Machines gives the machines of a fleet by name.
func (w *World) Machines(ctx context.Context, fleet client.ObjectKey) (map[string]kubevirtv1.VirtualMachine, error) {
	list := &kubevirtv1.VirtualMachineList{}
	if err := w.Client.List(ctx, list, client.InNamespace(fleet.Namespace), client.MatchingLabels{"wukong.io/fleet": fleet.Name}); err != nil {
		return nil, fmt.Errorf("listing the machines of fleet %s: %w", fleet, err)
	}
	machines := make(map[string]kubevirtv1.VirtualMachine, len(list.Items))
	for _, item := range list.Items {
		machines[item.Name] = item
	}
	return machines, nil
}
