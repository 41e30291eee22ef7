package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	kubevirtv1 "kubevirt.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"wukong.io/wukong/test/cluster"
)

const (
	// storedMachines are in the cluster whose caches are weighed, each with
	// claimsEach claims.
	storedMachines = 10_000
	claimsEach     = 2
	// storeWorkers create them side by side.
	storeWorkers = 12
	// restTime lets the process give back what its start took.
	restTime = 10 * time.Second
)

// measureAdmissionMemory weighs the webhook in a large cluster. That has KubeVirt's
// definitions and not its programs, which would take an hour to admit so many.
func measureAdmissionMemory(ctx context.Context, b *bench) (rows []row, err error) {
	path, err := b.buildManager(ctx)
	if err != nil {
		return nil, err
	}
	ctrllog.SetLogger(logr.Discard())
	c, err := cluster.Start(ctx, cluster.Options{NoKubeVirt: true, NoStorage: true, NoNode: true})
	if err != nil {
		return nil, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		err = errors.Join(err, c.Stop(ctx))
	}()
	if err := defineKubeVirt(ctx, b, c); err != nil {
		return nil, err
	}
	s, err := newStage(ctx, b, c)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := s.store(ctx); err != nil {
		return nil, fmt.Errorf("storing %d machines: %w", storedMachines, err)
	}
	fmt.Fprintf(b.log, "admission-memory: %d machines and %d claims stored after %s\n", storedMachines, claimsEach*storedMachines, time.Since(began).Round(time.Second))
	began = time.Now()
	process, err := s.installOurs(ctx, path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, process.stop()) }()
	started := time.Since(began)
	time.Sleep(restTime)
	idle, err := process.memory("VmRSS")
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(b.log, "admission-memory: %s MiB at rest, started in %s\n", number(idle), started.Round(time.Millisecond))
	peak, err := process.memory("VmHWM")
	return []row{
		{
			name: "admission, memory", unit: "MiB", value: sample{idle}, most: 64,
			note: fmt.Sprintf("VmRSS at rest with %d machines and %d claims in the cluster. GOMEMLIMIT as the chart sets it", storedMachines, claimsEach*storedMachines),
		},
		{name: "admission, peak memory", unit: "MiB", value: sample{peak}, note: "VmHWM, the start included"},
		{name: "admission, start in the large cluster", unit: "s", value: sample{started.Seconds()}, most: 10, note: "helm install included"},
	}, err
}

// defineKubeVirt installs KubeVirt's definitions, and waits until they are served.
func defineKubeVirt(ctx context.Context, b *bench, c *cluster.Cluster) error {
	binaries, err := cluster.Build(ctx, b.log, cluster.ModuleKubeVirt)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(binaries.KubeVirtManifests)
	if err != nil {
		return err
	}
	var manifests struct {
		Items []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(text, &manifests); err != nil {
		return fmt.Errorf("reading KubeVirt's manifests: %w", err)
	}
	scheme := runtime.NewScheme()
	if err := apiextensionsv1.AddToScheme(scheme); err != nil {
		return err
	}
	admin, err := client.New(c.Config, client.Options{Scheme: scheme})
	if err != nil {
		return err
	}
	var defined []*apiextensionsv1.CustomResourceDefinition
	for _, item := range manifests.Items {
		var definition apiextensionsv1.CustomResourceDefinition
		if err := json.Unmarshal(item, &definition.TypeMeta); err != nil {
			return err
		}
		if definition.Kind != "CustomResourceDefinition" {
			continue
		}
		if err := json.Unmarshal(item, &definition); err != nil {
			return err
		}
		if err := admin.Create(ctx, &definition); err != nil {
			return err
		}
		defined = append(defined, &definition)
	}
	for _, definition := range defined {
		if err := served(ctx, admin, definition); err != nil {
			return err
		}
	}
	return nil
}

func served(ctx context.Context, admin client.Client, definition *apiextensionsv1.CustomResourceDefinition) error {
	for range 600 {
		if err := admin.Get(ctx, client.ObjectKeyFromObject(definition), definition); err != nil {
			return err
		}
		for _, condition := range definition.Status.Conditions {
			if condition.Type == apiextensionsv1.Established && condition.Status == apiextensionsv1.ConditionTrue {
				return nil
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("waiting until %s is served: it is not", definition.Name)
}

// store creates the machines, and for each of its disks a claim as CDI would.
func (s *stage) store(ctx context.Context) error {
	typed, err := kubernetes.NewForConfig(s.protobuf())
	if err != nil {
		return err
	}
	machines, err := fleetMachines(ctx, storedMachines)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(storeWorkers)
	for _, vm := range machines {
		vm.Name = "stored-" + vm.Name
		vm.Spec.Template.Spec.Domain.Devices.Interfaces[0].MacAddress = strings.Replace(vm.Spec.Template.Spec.Domain.Devices.Interfaces[0].MacAddress, "02:", "06:", 1)
		group.Go(func() error {
			if err := s.client.Create(ctx, vm); err != nil {
				return err
			}
			for i := range claimsEach {
				claim := claimOf(vm, i)
				if _, err := typed.CoreV1().PersistentVolumeClaims(vm.Namespace).Create(ctx, claim, metav1.CreateOptions{}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// claimOf is a claim of a machine. It asks for a volume that does not exist, so
// that nobody works on it.
func claimOf(vm *kubevirtv1.VirtualMachine, i int) *corev1.PersistentVolumeClaim {
	name := fmt.Sprintf("%s-%d", vm.Name, i)
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{
		Namespace: vm.Namespace, Name: name, Labels: vm.Labels,
		Annotations: map[string]string{
			"cdi.kubevirt.io/storage.contentType": "kubevirt", "cdi.kubevirt.io/storage.pod.phase": "Succeeded",
			"cdi.kubevirt.io/storage.populator.progress": "100.0%", "cdi.kubevirt.io/storage.preallocation.requested": "false",
			"pv.kubernetes.io/bind-completed": "yes", "volume.kubernetes.io/storage-provisioner": "csi.example.com",
		},
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(vm, kubevirtv1.VirtualMachineGroupVersionKind)},
	}}
	claim.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany}
	claim.Spec.StorageClassName = new("fast")
	claim.Spec.VolumeName = "absent-" + name
	claim.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("20Gi")}
	return claim
}
