package cluster

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Definitions of other projects. All but NMState's are copies of what the modules in go.mod carry, which a test holds them to.
//
//go:embed crds/*.yaml
var definitionFiles embed.FS

const (
	// createParallel is how many objects are created at once.
	createParallel = 16
	// retryInterval is how often something is asked for again that is not there yet.
	retryInterval = 50 * time.Millisecond
)

// embeddedDefinitions returns the definitions in crds.
func embeddedDefinitions() ([]*unstructured.Unstructured, error) {
	entries, err := definitionFiles.ReadDir("crds")
	if err != nil {
		return nil, fmt.Errorf("listing the embedded definitions: %w", err)
	}
	var objects []*unstructured.Unstructured
	for _, entry := range entries {
		content, err := definitionFiles.ReadFile("crds/" + entry.Name())
		if err != nil {
			return nil, fmt.Errorf("reading an embedded definition: %w", err)
		}
		decoded, err := decode(content)
		if err != nil {
			return nil, fmt.Errorf("decoding %q: %w", entry.Name(), err)
		}
		objects = append(objects, decoded...)
	}
	return objects, nil
}

// decode reads the objects of a YAML stream.
func decode(content []byte) ([]*unstructured.Unstructured, error) {
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4096)
	var objects []*unstructured.Unstructured
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
}

// readList reads the items of a List in a JSON file.
func readList(path string) ([]*unstructured.Unstructured, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading manifests: %w", err)
	}
	var list struct {
		Items []map[string]any `json:"items"`
	}
	if err := json.Unmarshal(content, &list); err != nil {
		return nil, fmt.Errorf("decoding %q: %w", path, err)
	}
	objects := make([]*unstructured.Unstructured, 0, len(list.Items))
	for _, item := range list.Items {
		object := &unstructured.Unstructured{Object: item}
		// What a Go type prints for a field that is not set; a server-side object may not carry it.
		unstructured.RemoveNestedField(object.Object, "status")
		unstructured.RemoveNestedField(object.Object, "metadata", "creationTimestamp")
		objects = append(objects, object)
	}
	return objects, nil
}

// toUnstructured turns typed objects, which carry their kind, into unstructured ones.
func toUnstructured(object runtime.Object) (*unstructured.Unstructured, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, fmt.Errorf("converting %T: %w", object, err)
	}
	unstructured.RemoveNestedField(content, "status")
	return &unstructured.Unstructured{Object: content}, nil
}

// ofKind returns the objects of one kind, and the others.
func ofKind(objects []*unstructured.Unstructured, kinds ...string) (matching, others []*unstructured.Unstructured) {
	for _, object := range objects {
		matches := false
		for _, kind := range kinds {
			matches = matches || object.GetKind() == kind
		}
		if matches {
			matching = append(matching, object)
			continue
		}
		others = append(others, object)
	}
	return matching, others
}

// createAll creates objects side by side, and tries again while the API server is not ready for one of them.
func createAll[T client.Object](ctx context.Context, c client.Client, objects ...T) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(createParallel)
	for _, object := range objects {
		group.Go(func() error { return create(ctx, c, object) })
	}
	return group.Wait()
}

func create(ctx context.Context, c client.Client, object client.Object) error {
	var last error
	attempt := func(ctx context.Context) (bool, error) {
		err := c.Create(ctx, object)
		if err == nil || apierrors.IsAlreadyExists(err) {
			return true, nil
		}
		if isTransient(err) {
			last = err
			return false, nil
		}
		return false, err
	}
	if err := wait.PollUntilContextCancel(ctx, retryInterval, true, attempt); err != nil {
		return fmt.Errorf("creating %s %q: %w", object.GetObjectKind().GroupVersionKind().Kind, object.GetName(), errors.Join(err, last))
	}
	return nil
}

// isTransient tells the errors of an API server that is still starting from those of a wrong object.
func isTransient(err error) bool {
	var dial *net.OpError
	return apimeta.IsNoMatchError(err) || apierrors.IsNotFound(err) || apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) ||
		apierrors.IsTooManyRequests(err) || apierrors.IsServiceUnavailable(err) || apierrors.IsInternalError(err) ||
		errors.As(err, &dial) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, io.EOF)
}

func namespace(name string) *corev1.Namespace {
	return &corev1.Namespace{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"},
		ObjectMeta: metav1.ObjectMeta{Name: name},
	}
}

func configMap(name string, data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Namespace: KubeVirtNamespace, Name: name},
		Data:       data,
	}
}
