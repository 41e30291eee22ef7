package cluster

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"wukong.io/wukong/test/cluster/csidriver"
)

// SnapshotClass is the VolumeSnapshotClass of DriverFast.
const SnapshotClass = "fast"

// sidecarLimits lift the sidecars' client limits, which let 5 requests through in a second.
func sidecarLimits() []string {
	return []string{"--kube-api-qps=200", "--kube-api-burst=400", "--retry-interval-start=200ms"}
}

// csiDriver is one driver and the programs that serve it.
type csiDriver struct {
	name        string
	short       string // names its socket and its programs
	noSnapshots bool
}

func csiDrivers() []csiDriver {
	return []csiDriver{
		{name: DriverFast, short: "fast"},
		{name: DriverNoSnapshot, short: "no-snapshot", noSnapshots: true},
	}
}

// volumeRoot is where a driver keeps its volumes.
func (f folders) volumeRoot(driver string) string { return filepath.Join(f.volumes, driver) }

// startStorage starts the drivers with their sidecars, and creates the classes.
func (b *bootstrap) startStorage(ctx context.Context) error {
	for _, driver := range csiDrivers() {
		if err := b.startDriver(driver); err != nil {
			return err
		}
	}
	kubeconfig, err := b.storageAccess("snapshot-controller")
	if err != nil {
		return err
	}
	args := append(sidecarLimits(), "--kubeconfig="+kubeconfig, "--worker-threads=20")
	if _, err := b.supervisor.start(command{name: "snapshot-controller", path: b.bin.SnapshotController, args: args}); err != nil {
		return err
	}
	return createAll(ctx, b.client, storageObjects()...)
}

func (b *bootstrap) startDriver(driver csiDriver) error {
	socket := filepath.Join(b.dirs.sockets, driver.short+".sock")
	var faults *csidriver.Faults
	if driver.name == DriverFast {
		faults = b.options.Faults
	}
	b.standIns.start("csi driver "+driver.name, func(ctx context.Context) error {
		return csidriver.Run(ctx, csidriver.Options{
			Socket:      socket,
			Root:        b.dirs.volumeRoot(driver.name),
			Name:        driver.name,
			NoSnapshots: driver.noSnapshots,
			Faults:      faults,
		})
	})
	if err := b.startSidecar("csi-provisioner-"+driver.short, b.bin.CSIProvisioner, socket,
		"--immediate-topology=false", "--extra-create-metadata=true", "--worker-threads=50"); err != nil {
		return err
	}
	if driver.noSnapshots {
		return nil
	}
	return b.startSidecar("csi-snapshotter-"+driver.short, b.bin.CSISnapshotter, socket,
		"--extra-create-metadata=true", "--worker-threads=20")
}

func (b *bootstrap) startSidecar(name, path, socket string, args ...string) error {
	kubeconfig, err := b.storageAccess(name)
	if err != nil {
		return err
	}
	args = append(args, sidecarLimits()...)
	args = append(args, "--kubeconfig="+kubeconfig, "--csi-address="+socket)
	_, err = b.supervisor.start(command{name: name, path: path, args: args, env: []string{"POD_NAMESPACE=kube-system", "NODE_NAME="}})
	return err
}

// storageAccess lets the sidecars do everything: their roles are the installer's business, and not under test here.
func (b *bootstrap) storageAccess(program string) (string, error) {
	return b.access.kubeconfig(program, identity{
		user:   "system:serviceaccount:kube-system:" + program,
		groups: []string{groupMasters},
	})
}

func storageObjects() []client.Object {
	late := storageClass(ClassLate, DriverFast, storagev1.VolumeBindingWaitForFirstConsumer)
	fast := storageClass(ClassFast, DriverFast, storagev1.VolumeBindingImmediate)
	fast.Annotations = map[string]string{"storageclass.kubernetes.io/is-default-class": "true"}
	objects := []client.Object{
		fast, late, storageClass(ClassNoSnapshot, DriverNoSnapshot, storagev1.VolumeBindingImmediate), snapshotClass(),
	}
	for _, driver := range csiDrivers() {
		objects = append(objects, &storagev1.CSIDriver{
			TypeMeta:   metav1.TypeMeta{APIVersion: "storage.k8s.io/v1", Kind: "CSIDriver"},
			ObjectMeta: metav1.ObjectMeta{Name: driver.name},
			Spec:       storagev1.CSIDriverSpec{AttachRequired: new(false)},
		})
	}
	return objects
}

func storageClass(name, driver string, mode storagev1.VolumeBindingMode) *storagev1.StorageClass {
	return &storagev1.StorageClass{
		TypeMeta:          metav1.TypeMeta{APIVersion: "storage.k8s.io/v1", Kind: "StorageClass"},
		ObjectMeta:        metav1.ObjectMeta{Name: name},
		Provisioner:       driver,
		VolumeBindingMode: new(mode),
		ReclaimPolicy:     new(corev1.PersistentVolumeReclaimDelete),
	}
}

func snapshotClass() *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "snapshot.storage.k8s.io/v1",
		"kind":       "VolumeSnapshotClass",
		"metadata": map[string]any{
			"name":        SnapshotClass,
			"annotations": map[string]any{"snapshot.storage.kubernetes.io/is-default-class": "true"},
		},
		"driver":         DriverFast,
		"deletionPolicy": "Delete",
	}}
}

// probeStorage makes a volume of each driver and snapshots one, which takes every storage program to answer.
func (b *bootstrap) probeStorage(ctx context.Context) error {
	const name = "wukong-probe"
	plain := claim(name+"-plain", ClassNoSnapshot)
	source := claim(name, ClassFast)
	snapshot := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "snapshot.storage.k8s.io/v1",
		"kind":       "VolumeSnapshot",
		"metadata":   map[string]any{"namespace": KubeVirtNamespace, "name": name},
		"spec": map[string]any{
			"volumeSnapshotClassName": SnapshotClass,
			"source":                  map[string]any{"persistentVolumeClaimName": name},
		},
	}}
	if err := createAll[client.Object](ctx, b.client, plain, source, snapshot); err != nil {
		return err
	}
	if err := together(b.bound(plain), b.bound(source), b.snapshotReady(snapshot))(ctx); err != nil {
		return err
	}
	return b.removeAll(ctx, snapshot, source, plain)
}

func claim(name, class string) *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "PersistentVolumeClaim"},
		ObjectMeta: metav1.ObjectMeta{Namespace: KubeVirtNamespace, Name: name},
		Spec: corev1.PersistentVolumeClaimSpec{
			StorageClassName: new(class),
			AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources: corev1.VolumeResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Mi")},
			},
		},
	}
}

func (b *bootstrap) bound(c *corev1.PersistentVolumeClaim) func(context.Context) error {
	return func(ctx context.Context) error {
		return eventually(ctx, "a volume of class "+*c.Spec.StorageClassName, func(ctx context.Context) error {
			live := &corev1.PersistentVolumeClaim{}
			if err := b.client.Get(ctx, client.ObjectKeyFromObject(c), live); err != nil {
				return err
			}
			if live.Status.Phase != corev1.ClaimBound {
				return fmt.Errorf("the claim is %s", live.Status.Phase)
			}
			return nil
		})
	}
}

func (b *bootstrap) snapshotReady(snapshot *unstructured.Unstructured) func(context.Context) error {
	return func(ctx context.Context) error {
		return eventually(ctx, "a snapshot", func(ctx context.Context) error {
			live := &unstructured.Unstructured{}
			live.SetGroupVersionKind(snapshot.GroupVersionKind())
			if err := b.client.Get(ctx, client.ObjectKeyFromObject(snapshot), live); err != nil {
				return err
			}
			if ready, _, _ := unstructured.NestedBool(live.Object, "status", "readyToUse"); !ready {
				return fmt.Errorf("its status is %v", live.Object["status"])
			}
			return nil
		})
	}
}

// removeAll deletes objects without waiting for their finalizers.
func (b *bootstrap) removeAll(ctx context.Context, objects ...client.Object) error {
	var errs []error
	for _, object := range objects {
		if err := b.client.Delete(ctx, object); err != nil && !apierrors.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("deleting %q: %w", object.GetName(), err))
		}
	}
	return errors.Join(errs...)
}
