package cdi

import (
	"context"
	"fmt"
	"math"
	"slices"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
)

const mebibyte = 1 << 20

// claimNotValidError is a DataVolume from which no claim can be made until somebody changes something.
type claimNotValidError string

func (e claimNotValidError) Error() string { return string(e) }

// renderSpec is the spec of the claim: as it is written, or filled in from the StorageProfile.
func (d *dataVolumes) renderSpec(ctx context.Context, v *volume) (*corev1.PersistentVolumeClaimSpec, error) {
	if v.dv.Spec.PVC != nil {
		return v.dv.Spec.PVC.DeepCopy(), nil
	}
	if v.dv.Spec.Storage == nil {
		return nil, claimNotValidError("datavolume one of {pvc, storage} field is required")
	}
	storage := v.dv.Spec.Storage.DeepCopy()
	spec := &corev1.PersistentVolumeClaimSpec{
		AccessModes: storage.AccessModes, Selector: storage.Selector, Resources: storage.Resources,
		VolumeName: storage.VolumeName, StorageClassName: storage.StorageClassName, VolumeMode: storage.VolumeMode,
		DataSource: storage.DataSource, DataSourceRef: storage.DataSourceRef,
	}
	class, err := d.class(ctx, spec.StorageClassName)
	if err != nil {
		return nil, err
	}
	if class == nil && len(spec.AccessModes) == 0 {
		return nil, claimNotValidError("DataVolume.storage spec is missing accessMode and no storageClass to choose profile")
	}
	if class != nil {
		spec.StorageClassName = &class.Name
		if err := d.fillModes(ctx, spec, class.Name); err != nil {
			return nil, err
		}
	}
	return spec, d.fillSize(ctx, v, spec)
}

// fillModes takes the missing access and volume mode from the first fitting set of the StorageProfile.
func (d *dataVolumes) fillModes(ctx context.Context, spec *corev1.PersistentVolumeClaimSpec, class string) error {
	profile := &cdiv1.StorageProfile{}
	found, err := d.get(ctx, "", class, profile)
	if err != nil {
		return err
	}
	if !found {
		return fmt.Errorf("cannot get StorageProfile: %q does not exist yet", class)
	}
	sets := profile.Status.ClaimPropertySets
	at := slices.IndexFunc(sets, func(set cdiv1.ClaimPropertySet) bool { return fitsModes(spec, set) })
	switch {
	case len(spec.AccessModes) > 0 && at < 0:
		return nil // Kubernetes' own default volume mode
	case len(spec.AccessModes) > 0:
		spec.VolumeMode = orMode(spec.VolumeMode, sets[at].VolumeMode)
		return nil
	case at < 0:
		return claimNotValidError("no accessMode specified in StorageProfile " + class)
	}
	spec.AccessModes = sets[at].AccessModes
	spec.VolumeMode = orMode(spec.VolumeMode, sets[at].VolumeMode)
	return nil
}

func fitsModes(spec *corev1.PersistentVolumeClaimSpec, set cdiv1.ClaimPropertySet) bool {
	if spec.VolumeMode != nil && set.VolumeMode != nil && *spec.VolumeMode != *set.VolumeMode {
		return false
	}
	return len(spec.AccessModes) == 0 || slices.ContainsFunc(spec.AccessModes, func(mode corev1.PersistentVolumeAccessMode) bool {
		return slices.Contains(set.AccessModes, mode)
	})
}

func orMode(have, otherwise *corev1.PersistentVolumeMode) *corev1.PersistentVolumeMode {
	if have != nil && *have != "" {
		return have
	}
	return otherwise
}

// fillSize adds the overhead of a file system, or takes the size of what is cloned if none is given.
func (d *dataVolumes) fillSize(ctx context.Context, v *volume, spec *corev1.PersistentVolumeClaimSpec) error {
	if spec.Resources.Requests == nil {
		spec.Resources.Requests = corev1.ResourceList{}
	}
	size, given := spec.Resources.Requests[corev1.ResourceStorage]
	if given {
		if size.Value() < mebibyte {
			return claimNotValidError("PVC Spec is not valid - storage size should be at least 1MiB")
		}
		if !isBlock(spec.VolumeMode) {
			size = *resource.NewQuantity(inflate(size.Value(), d.overhead), resource.BinarySI)
		}
		spec.Resources.Requests[corev1.ResourceStorage] = size
		return nil
	}
	size, err := d.sourceSize(ctx, v)
	if err != nil {
		return err
	}
	if size.IsZero() {
		return claimNotValidError("PVC Spec is not valid - missing storage size")
	}
	spec.Resources.Requests[corev1.ResourceStorage] = size
	return nil
}

// sourceSize is the size of the claim or snapshot that is cloned; zero is that it is not known.
func (d *dataVolumes) sourceSize(ctx context.Context, v *volume) (resource.Quantity, error) {
	kind, namespace, name := cloneSource(v.source, v.dv.Namespace)
	if kind == kindSnapshot {
		snapshot := &snapshotv1.VolumeSnapshot{}
		found, err := d.get(ctx, namespace, name, snapshot)
		if err != nil || !found {
			return resource.Quantity{}, err
		}
		if advised, err := resource.ParseQuantity(snapshot.Annotations[annAdvisedSize]); err == nil {
			return advised, nil
		}
		if snapshot.Status == nil || snapshot.Status.RestoreSize == nil {
			return resource.Quantity{}, fmt.Errorf("snapshot %q has no restoreSize yet", name)
		}
		return *snapshot.Status.RestoreSize, nil
	}
	claim := &corev1.PersistentVolumeClaim{}
	if kind == "" {
		return resource.Quantity{}, nil
	}
	found, err := d.get(ctx, namespace, name, claim)
	if err != nil || !found {
		return resource.Quantity{}, err
	}
	return claim.Spec.Resources.Requests[corev1.ResourceStorage], nil
}

func isBlock(mode *corev1.PersistentVolumeMode) bool {
	return mode != nil && *mode == corev1.PersistentVolumeBlock
}

// inflate is the size a file system volume needs to hold an image.
func inflate(size int64, overhead float64) int64 {
	aligned := (size + mebibyte - 1) / mebibyte * mebibyte
	return int64(math.Ceil(float64(aligned) * (1 + overhead)))
}

// usable is the size of the largest image that a file system volume holds.
func usable(size int64, overhead float64) int64 {
	return int64(math.Ceil(float64(size)/(1+overhead))) / mebibyte * mebibyte
}
