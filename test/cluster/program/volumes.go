package program

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// volumeMaker makes the folders of a Pod's volumes.
type volumeMaker struct {
	runner *Runner
	pod    *corev1.Pod
	dir    string
}

func (v volumeMaker) find(name string) (*corev1.Volume, error) {
	for i := range v.pod.Spec.Volumes {
		if v.pod.Spec.Volumes[i].Name == name {
			return &v.pod.Spec.Volumes[i], nil
		}
	}
	return nil, errors.New("the Pod has no volume of that name")
}

// folder returns the folder that is to be mounted for a volume.
func (v volumeMaker) folder(ctx context.Context, name string) (string, error) {
	volume, err := v.find(name)
	if err != nil {
		return "", err
	}
	if volume.PersistentVolumeClaim != nil || volume.Ephemeral != nil {
		disk, err := v.disk(ctx, name)
		return filepath.Dir(disk), err
	}
	folder := filepath.Join(v.dir, name)
	if err := os.MkdirAll(folder, 0o755); err != nil || volume.EmptyDir != nil {
		return folder, err
	}
	sources, err := projections(volume)
	if err != nil {
		return "", err
	}
	for i := range sources {
		files, err := v.files(ctx, &sources[i])
		if err != nil {
			return "", err
		}
		if err := write(folder, files); err != nil {
			return "", err
		}
	}
	return folder, nil
}

// disk returns the file with the bytes of a claim.
func (v volumeMaker) disk(ctx context.Context, name string) (string, error) {
	volume, err := v.find(name)
	if err != nil {
		return "", err
	}
	claim := v.pod.Name + "-" + name // as the API server names the claim of an ephemeral volume
	if volume.PersistentVolumeClaim != nil {
		claim = volume.PersistentVolumeClaim.ClaimName
	}
	return v.runner.options.Disk(ctx, client.ObjectKey{Namespace: v.pod.Namespace, Name: claim})
}

// projections turns each kind of volume that is made of files into the most general one.
func projections(volume *corev1.Volume) ([]corev1.VolumeProjection, error) {
	switch {
	case volume.Secret != nil:
		return []corev1.VolumeProjection{{Secret: &corev1.SecretProjection{
			LocalObjectReference: corev1.LocalObjectReference{Name: volume.Secret.SecretName},
			Items:                volume.Secret.Items, Optional: volume.Secret.Optional,
		}}}, nil
	case volume.ConfigMap != nil:
		return []corev1.VolumeProjection{{ConfigMap: &corev1.ConfigMapProjection{
			LocalObjectReference: volume.ConfigMap.LocalObjectReference,
			Items:                volume.ConfigMap.Items, Optional: volume.ConfigMap.Optional,
		}}}, nil
	case volume.DownwardAPI != nil:
		return []corev1.VolumeProjection{{DownwardAPI: &corev1.DownwardAPIProjection{Items: volume.DownwardAPI.Items}}}, nil
	case volume.Projected != nil:
		return volume.Projected.Sources, nil
	default:
		return nil, errors.New("this kind of volume cannot be laid out: allowed are claims, emptyDir, secret, configMap, downwardAPI, projected")
	}
}

// files are the names and contents that one source puts into a volume.
func (v volumeMaker) files(ctx context.Context, source *corev1.VolumeProjection) (map[string][]byte, error) {
	switch {
	case source.Secret != nil:
		secret := &corev1.Secret{}
		found, err := v.read(ctx, source.Secret.Name, secret, source.Secret.Optional)
		if err != nil || !found {
			return nil, err
		}
		return choose(secret.Data, source.Secret.Items, source.Secret.Optional)
	case source.ConfigMap != nil:
		configMap := &corev1.ConfigMap{}
		found, err := v.read(ctx, source.ConfigMap.Name, configMap, source.ConfigMap.Optional)
		if err != nil || !found {
			return nil, err
		}
		return choose(contents(configMap), source.ConfigMap.Items, source.ConfigMap.Optional)
	case source.ServiceAccountToken != nil:
		token, err := v.token(ctx, source.ServiceAccountToken)
		return map[string][]byte{source.ServiceAccountToken.Path: token}, err
	case source.DownwardAPI != nil:
		return v.downward(source.DownwardAPI.Items)
	default:
		return nil, errors.New("this kind of projection cannot be laid out: allowed are secret, configMap, serviceAccountToken, downwardAPI")
	}
}

// read gets an object of the Pod's namespace, which may be missing if it is optional.
func (v volumeMaker) read(ctx context.Context, name string, object client.Object, optional *bool) (bool, error) {
	err := v.runner.options.Client.Get(ctx, client.ObjectKey{Namespace: v.pod.Namespace, Name: name}, object)
	if apierrors.IsNotFound(err) && optional != nil && *optional {
		return false, nil
	}
	return err == nil, err
}

func contents(configMap *corev1.ConfigMap) map[string][]byte {
	all := map[string][]byte{}
	for key, value := range configMap.Data {
		all[key] = []byte(value)
	}
	maps.Copy(all, configMap.BinaryData)
	return all
}

// choose takes the items of a Secret or ConfigMap, or all of it.
func choose(data map[string][]byte, items []corev1.KeyToPath, optional *bool) (map[string][]byte, error) {
	if len(items) == 0 {
		return data, nil
	}
	chosen := map[string][]byte{}
	for _, item := range items {
		content, ok := data[item.Key]
		if !ok && (optional == nil || !*optional) {
			return nil, fmt.Errorf("it has no key %q", item.Key)
		}
		if ok {
			chosen[item.Path] = content
		}
	}
	return chosen, nil
}

// token asks for a token that is bound to the Pod, as the kubelet does.
func (v volumeMaker) token(ctx context.Context, want *corev1.ServiceAccountTokenProjection) ([]byte, error) {
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: want.ExpirationSeconds,
		BoundObjectRef:    &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: v.pod.Name, UID: v.pod.UID},
	}}
	if want.Audience != "" {
		request.Spec.Audiences = []string{want.Audience}
	}
	account := v.pod.Spec.ServiceAccountName
	accounts := v.runner.options.Clientset.CoreV1().ServiceAccounts(v.pod.Namespace)
	answer, err := accounts.CreateToken(ctx, account, request, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("requesting a token of ServiceAccount %q: %w", account, err)
	}
	return []byte(answer.Status.Token), nil
}

func (v volumeMaker) downward(items []corev1.DownwardAPIVolumeFile) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, item := range items {
		if item.FieldRef == nil {
			return nil, fmt.Errorf("downward item %q: only fieldRef can be laid out", item.Path)
		}
		value, err := field(v.pod, item.FieldRef.FieldPath)
		if err != nil {
			return nil, err
		}
		files[item.Path] = []byte(value)
	}
	return files, nil
}

// write puts files into a folder and below it, never beside it.
func write(folder string, files map[string][]byte) error {
	for name, content := range files {
		if !filepath.IsLocal(name) {
			return fmt.Errorf("%w: %q", fs.ErrInvalid, name)
		}
		file := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
