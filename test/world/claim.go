package world

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	volumesnapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"wukong.io/wukong/test/cluster"
	"wukong.io/wukong/test/cluster/csidriver"
)

// Claim makes a claim of the default storage class whose volume begins with content.
func (w *World) Claim(ctx context.Context, key client.ObjectKey, size string, content []byte) error {
	quantity, err := resource.ParseQuantity(size)
	if err != nil {
		return fmt.Errorf("reading size %q of claim %s: %w", size, key, err)
	}
	claim := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name},
		Spec: corev1.PersistentVolumeClaimSpec{
			StorageClassName: new(cluster.ClassFast),
			AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:        corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: quantity}},
		},
	}
	if err := w.Client.Create(ctx, claim); err != nil {
		return fmt.Errorf("creating claim %s: %w", key, err)
	}
	if err := w.Bound(ctx, key); err != nil {
		return err
	}
	return w.Write(ctx, key, 0, content)
}

// Bound waits until a claim has its volume.
func (w *World) Bound(ctx context.Context, key client.ObjectKey) error {
	return One(ctx, w.Client, key, &corev1.PersistentVolumeClaimList{}, &corev1.PersistentVolumeClaim{},
		func(claim *corev1.PersistentVolumeClaim) error {
			if claim.Status.Phase != corev1.ClaimBound {
				return fmt.Errorf("the claim is %s", claim.Status.Phase)
			}
			return nil
		})
}

// Snapshot makes a VolumeSnapshot of a claim, and waits until it is ready.
func (w *World) Snapshot(ctx context.Context, key client.ObjectKey, claim string) error {
	snapshot := &volumesnapshotv1.VolumeSnapshot{
		ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name},
		Spec: volumesnapshotv1.VolumeSnapshotSpec{
			VolumeSnapshotClassName: new(cluster.SnapshotClass),
			Source:                  volumesnapshotv1.VolumeSnapshotSource{PersistentVolumeClaimName: &claim},
		},
	}
	if err := w.Client.Create(ctx, snapshot); err != nil {
		return fmt.Errorf("creating snapshot %s: %w", key, err)
	}
	return One(ctx, w.Client, key, &volumesnapshotv1.VolumeSnapshotList{}, &volumesnapshotv1.VolumeSnapshot{},
		func(s *volumesnapshotv1.VolumeSnapshot) error {
			if s.Status == nil || s.Status.ReadyToUse == nil || !*s.Status.ReadyToUse {
				return errors.New("the snapshot is not ready to use")
			}
			return nil
		})
}

// Disk is the file behind a bound claim of the storage classes fast and wffc.
func (w *World) Disk(ctx context.Context, key client.ObjectKey) (string, error) {
	claim := &corev1.PersistentVolumeClaim{}
	if err := w.Client.Get(ctx, key, claim); err != nil {
		return "", fmt.Errorf("reading claim %s: %w", key, err)
	}
	if claim.Spec.VolumeName == "" {
		return "", fmt.Errorf("claim %s has no volume yet: it is %s", key, claim.Status.Phase)
	}
	volume := &corev1.PersistentVolume{}
	if err := w.Client.Get(ctx, client.ObjectKey{Name: claim.Spec.VolumeName}, volume); err != nil {
		return "", fmt.Errorf("reading the volume of claim %s: %w", key, err)
	}
	if volume.Spec.CSI == nil || volume.Spec.CSI.Driver != cluster.DriverFast {
		return "", fmt.Errorf("the volume of claim %s is not of driver %s", key, cluster.DriverFast)
	}
	return csidriver.VolumePath(w.volumeRoot, volume.Spec.CSI.VolumeHandle), nil
}

// Digest is the sha256 of every byte behind a claim.
func (w *World) Digest(ctx context.Context, key client.ObjectKey) (string, error) {
	sum := sha256.New()
	err := w.with(ctx, key, os.O_RDONLY, func(file *os.File) error {
		_, err := io.Copy(sum, file)
		return err
	})
	return hex.EncodeToString(sum.Sum(nil)), err
}

// Begins is an error unless the bytes behind a claim begin with content.
func (w *World) Begins(ctx context.Context, key client.ObjectKey, content []byte) error {
	have, err := w.Read(ctx, key, 0, len(content))
	if err != nil {
		return err
	}
	if sha256.Sum256(have) != sha256.Sum256(content) {
		return fmt.Errorf("the first %d bytes behind claim %s are not those of the source", len(content), key)
	}
	return nil
}

// Read gives some of the bytes behind a claim.
func (w *World) Read(ctx context.Context, key client.ObjectKey, offset int64, length int) ([]byte, error) {
	content := make([]byte, length)
	err := w.with(ctx, key, os.O_RDONLY, func(file *os.File) error {
		_, err := file.ReadAt(content, offset)
		return err
	})
	return content, err
}

// Write changes bytes behind a claim, as a guest does.
func (w *World) Write(ctx context.Context, key client.ObjectKey, offset int64, content []byte) error {
	return w.with(ctx, key, os.O_WRONLY, func(file *os.File) error {
		_, err := file.WriteAt(content, offset)
		return err
	})
}

func (w *World) with(ctx context.Context, key client.ObjectKey, flag int, use func(*os.File) error) error {
	path, err := w.Disk(ctx, key)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, flag, 0)
	if err != nil {
		return fmt.Errorf("opening the volume of claim %s: %w", key, err)
	}
	if err := errors.Join(use(file), file.Close()); err != nil {
		return fmt.Errorf("using the volume of claim %s: %w", key, err)
	}
	return nil
}
