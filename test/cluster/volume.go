package cluster

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"wukong.io/wukong/test/cluster/csidriver"
)

// Disk returns the file that holds the bytes of a claim's volume.
func (c *Cluster) Disk(ctx context.Context, claim client.ObjectKey) (string, error) {
	return diskOf(ctx, c.client, c.dirs, claim)
}

func diskOf(ctx context.Context, c client.Client, dirs folders, key client.ObjectKey) (string, error) {
	claim := &corev1.PersistentVolumeClaim{}
	if err := c.Get(ctx, key, claim); err != nil {
		return "", fmt.Errorf("reading claim %q: %w", key, err)
	}
	if claim.Spec.VolumeName == "" {
		return "", fmt.Errorf("claim %q is %s: it has no volume yet", key, claim.Status.Phase)
	}
	volume := &corev1.PersistentVolume{}
	if err := c.Get(ctx, client.ObjectKey{Name: claim.Spec.VolumeName}, volume); err != nil {
		return "", fmt.Errorf("reading the volume of claim %q: %w", key, err)
	}
	if volume.Spec.CSI == nil {
		return "", fmt.Errorf("the volume of claim %q is not of a CSI driver", key)
	}
	return csidriver.VolumePath(dirs.volumeRoot(volume.Spec.CSI.Driver), volume.Spec.CSI.VolumeHandle), nil
}
