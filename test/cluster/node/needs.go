package node

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// A file need is a Secret or ConfigMap without which the kubelet starts no container, written as
// "secret/name" or "configmap/name" and kept in the needs index beside the names of claims.
const (
	secretNeed    = "secret/"
	configMapNeed = "configmap/"
)

// fileNeeds are the Secrets and ConfigMaps that a Pod mounts or reads its environment from.
func fileNeeds(pod *corev1.Pod) []string {
	var needs []string
	for _, volume := range pod.Spec.Volumes {
		needs = append(needs, volumeNeeds(volume)...)
	}
	for _, container := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		needs = append(needs, environmentNeeds(container)...)
	}
	slices.Sort(needs)
	return slices.Compact(needs)
}

func volumeNeeds(volume corev1.Volume) []string {
	var needs []string
	if secret := volume.Secret; secret != nil {
		needs = need(needs, secretNeed, secret.SecretName, secret.Optional)
	}
	if config := volume.ConfigMap; config != nil {
		needs = need(needs, configMapNeed, config.Name, config.Optional)
	}
	if volume.Projected == nil {
		return needs
	}
	for _, source := range volume.Projected.Sources {
		if secret := source.Secret; secret != nil {
			needs = need(needs, secretNeed, secret.Name, secret.Optional)
		}
		if config := source.ConfigMap; config != nil {
			needs = need(needs, configMapNeed, config.Name, config.Optional)
		}
	}
	return needs
}

func environmentNeeds(container corev1.Container) []string {
	var needs []string
	for _, from := range container.EnvFrom {
		if secret := from.SecretRef; secret != nil {
			needs = need(needs, secretNeed, secret.Name, secret.Optional)
		}
		if config := from.ConfigMapRef; config != nil {
			needs = need(needs, configMapNeed, config.Name, config.Optional)
		}
	}
	for _, variable := range container.Env {
		if variable.ValueFrom == nil {
			continue
		}
		if secret := variable.ValueFrom.SecretKeyRef; secret != nil {
			needs = need(needs, secretNeed, secret.Name, secret.Optional)
		}
		if config := variable.ValueFrom.ConfigMapKeyRef; config != nil {
			needs = need(needs, configMapNeed, config.Name, config.Optional)
		}
	}
	return needs
}

func need(needs []string, kind, name string, optional *bool) []string {
	if optional != nil && *optional {
		return needs
	}
	return append(needs, kind+name)
}

// missingFile is the first need that does not exist, in the kubelet's words; "" is that all are there.
func missingFile(ctx context.Context, reader client.Reader, pod *corev1.Pod) (string, error) {
	for _, item := range fileNeeds(pod) {
		kind := configMapKind
		name, isSecret := strings.CutPrefix(item, secretNeed)
		if isSecret {
			kind = secretKind
		} else {
			name = strings.TrimPrefix(item, configMapNeed)
		}
		err := reader.Get(ctx, client.ObjectKey{Namespace: pod.Namespace, Name: name}, metadataOf(kind))
		if apierrors.IsNotFound(err) {
			return fmt.Sprintf("%s %q not found", strings.ToLower(kind), name), nil
		}
		if err != nil {
			return "", err
		}
	}
	return "", nil
}

const (
	secretKind    = "Secret"
	configMapKind = "ConfigMap"
)

// metadataOf asks for the metadata of an object alone: the kubelet needs to know that it is there.
func metadataOf(kind string) *metav1.PartialObjectMetadata {
	object := &metav1.PartialObjectMetadata{}
	object.SetGroupVersionKind(schema.GroupVersionKind{Version: "v1", Kind: kind})
	return object
}
