package cdi

import (
	"context"
	"errors"
	"fmt"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Why a clone copies every byte although a faster way was wanted.
const (
	fallbackModes        = "The volume modes of source and target are incompatible"
	fallbackNoSnapshots  = "No VolumeSnapshotClass found"
	fallbackNoExpansion  = "No volume expansion is possible"
	fallbackProvisioners = "Provisioners are incompatible"
	fallbackNoMatch      = "The storageclass provisioner does not match the volumesnapshotcontent driver"
)

// chooseStrategy picks how to clone; an empty strategy is that it cannot be said yet.
func (c *cloning) chooseStrategy(ctx context.Context) (strategy cdiv1.CDICloneStrategy, fallback string, err error) {
	class, err := c.class(ctx, c.target.Spec.StorageClassName)
	if err != nil {
		return "", "", err
	}
	if class == nil {
		return "", "", errors.New("target storage class not found")
	}
	if c.from.kind == kindSnapshot {
		return c.strategyForSnapshot(ctx, class)
	}
	origin := &corev1.PersistentVolumeClaim{}
	found, err := c.get(ctx, c.from.namespace, c.from.name, origin)
	if err != nil || !found {
		return "", "", err
	}
	if err := fits(origin, c.target); err != nil {
		c.event(c.target, corev1.EventTypeWarning, "ErrIncompatiblePVC", err.Error())
		return "", "", err
	}
	return c.strategyForClaim(ctx, class, origin)
}

// fits refuses a target that asks for less than its source.
func fits(origin, target *corev1.PersistentVolumeClaim) error {
	have := origin.Spec.Resources.Requests[corev1.ResourceStorage]
	want := target.Spec.Resources.Requests[corev1.ResourceStorage]
	if want.Cmp(have) < 0 {
		return fmt.Errorf("target resources requests storage size is smaller than the source: %s < %s", want.String(), have.String())
	}
	return nil
}

func (c *cloning) strategyForClaim(ctx context.Context, class *storagev1.StorageClass, origin *corev1.PersistentVolumeClaim) (cdiv1.CDICloneStrategy, string, error) {
	if !isBound(origin) {
		return "", "", nil
	}
	profile := &cdiv1.StorageProfile{}
	if err := c.Get(ctx, client.ObjectKey{Name: class.Name}, profile); err != nil {
		return "", "", err
	}
	wanted := cdiv1.CloneStrategySnapshot
	if profile.Status.CloneStrategy != nil {
		wanted = *profile.Status.CloneStrategy
	}
	if wanted == cdiv1.CloneStrategyHostAssisted {
		return wanted, "", nil
	}
	same, err := c.sameDriver(ctx, origin, class)
	if err != nil {
		return "", "", err
	}
	snapshotClass, err := c.snapshotClass(ctx, class.Provisioner, profile.Status.SnapshotClass)
	if err != nil {
		return "", "", err
	}
	capacity := origin.Status.Capacity[corev1.ResourceStorage]
	switch {
	case wanted == cdiv1.CloneStrategySnapshot && (snapshotClass == "" || !same):
		return cdiv1.CloneStrategyHostAssisted, fallbackNoSnapshots, nil
	case !same:
		return cdiv1.CloneStrategyHostAssisted, fallbackProvisioners, nil
	case isBlock(origin.Spec.VolumeMode) != isBlock(c.target.Spec.VolumeMode):
		return cdiv1.CloneStrategyHostAssisted, fallbackModes, nil
	case c.mustGrow(class, capacity):
		return cdiv1.CloneStrategyHostAssisted, fallbackNoExpansion, nil
	default:
		return wanted, "", nil
	}
}

// mustGrow says that the target is larger than its source and the class cannot make it so.
func (c *cloning) mustGrow(class *storagev1.StorageClass, have resource.Quantity) bool {
	want := c.target.Spec.Resources.Requests[corev1.ResourceStorage]
	expands := class.AllowVolumeExpansion != nil && *class.AllowVolumeExpansion
	return have.Cmp(want) < 0 && !expands
}

func (c *cloning) sameDriver(ctx context.Context, origin *corev1.PersistentVolumeClaim, class *storagev1.StorageClass) (bool, error) {
	volume := &corev1.PersistentVolume{}
	if err := c.Get(ctx, client.ObjectKey{Name: origin.Spec.VolumeName}, volume); err != nil {
		return false, err
	}
	return volume.Spec.CSI != nil && volume.Spec.CSI.Driver == class.Provisioner, nil
}

func (c *cloning) strategyForSnapshot(ctx context.Context, class *storagev1.StorageClass) (cdiv1.CDICloneStrategy, string, error) {
	snapshot := &snapshotv1.VolumeSnapshot{}
	found, err := c.get(ctx, c.from.namespace, c.from.name, snapshot)
	if err != nil || !found || snapshot.Status == nil || snapshot.Status.BoundVolumeSnapshotContentName == nil || snapshot.Status.RestoreSize == nil {
		return "", "", err
	}
	content := &snapshotv1.VolumeSnapshotContent{}
	if err := c.Get(ctx, client.ObjectKey{Name: *snapshot.Status.BoundVolumeSnapshotContentName}, content); err != nil {
		return "", "", err
	}
	sourceMode := (*corev1.PersistentVolumeMode)(nil)
	if mode := content.Spec.SourceVolumeMode; mode != nil {
		sourceMode = mode
	}
	switch {
	case content.Spec.Driver != class.Provisioner:
		return cdiv1.CloneStrategyHostAssisted, fallbackNoMatch, nil
	case c.mustGrow(class, *snapshot.Status.RestoreSize):
		return cdiv1.CloneStrategyHostAssisted, fallbackNoExpansion, nil
	case isBlock(sourceMode) != isBlock(c.target.Spec.VolumeMode):
		return cdiv1.CloneStrategyHostAssisted, fallbackModes, nil
	default:
		return cdiv1.CloneStrategySnapshot, "", nil
	}
}

// classOfSnapshot is a storage class of the snapshot's own driver.
func (e *env) classOfSnapshot(ctx context.Context, snapshot *snapshotv1.VolumeSnapshot) (string, error) {
	if snapshot.Status == nil || snapshot.Status.BoundVolumeSnapshotContentName == nil {
		return "", fmt.Errorf("snapshot %q is not bound", snapshot.Name)
	}
	content := &snapshotv1.VolumeSnapshotContent{}
	if err := e.Get(ctx, client.ObjectKey{Name: *snapshot.Status.BoundVolumeSnapshotContentName}, content); err != nil {
		return "", err
	}
	var classes storagev1.StorageClassList
	if err := e.List(ctx, &classes); err != nil {
		return "", err
	}
	for _, class := range classes.Items {
		if class.Provisioner == content.Spec.Driver {
			return class.Name, nil
		}
	}
	return "", fmt.Errorf("no storage class of driver %q", content.Spec.Driver)
}

// sourceReady says whether a claim can be copied: it is bound, filled, and no Pod writes to it.
func (p *populators) sourceReady(ctx context.Context, target *corev1.PersistentVolumeClaim, from cloneFrom) (bool, error) {
	origin := &corev1.PersistentVolumeClaim{}
	found, err := p.get(ctx, from.namespace, from.name, origin)
	if err != nil || !found || !isBound(origin) {
		return false, err
	}
	pod, err := p.usedBy(ctx, from.namespace, from.name)
	if err != nil {
		return false, err
	}
	if pod != "" {
		p.event(target, corev1.EventTypeWarning, reasonInUse,
			fmt.Sprintf("pod %s/%s using PersistentVolumeClaim %s", from.namespace, pod, from.name))
		return false, nil
	}
	populated, err := cdiv1.IsPopulated(origin, func(name, namespace string) (*cdiv1.DataVolume, error) {
		dv := &cdiv1.DataVolume{}
		return dv, p.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, dv)
	})
	return populated, client.IgnoreNotFound(err)
}
