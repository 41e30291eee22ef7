package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// maxAnswer bounds what is read of a health endpoint's answer.
const maxAnswer = 64 << 10

// eventually polls until the check holds. What the check says last is part of the error when ctx ends first.
func eventually(ctx context.Context, what string, check func(context.Context) error) error {
	var last error
	attempt := func(ctx context.Context) (bool, error) {
		err := check(ctx)
		if err != nil && ctx.Err() == nil {
			last = err
		}
		return err == nil, nil
	}
	if err := wait.PollUntilContextCancel(ctx, retryInterval, true, attempt); err != nil {
		return fmt.Errorf("waiting for %s: %w", what, errors.Join(err, last))
	}
	return nil
}

func newClient(config *rest.Config) (client.Client, error) {
	c, err := client.New(config, client.Options{Scheme: scheme.Scheme})
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	return c, nil
}

func awaitAPIServer(ctx context.Context, admin *rest.Config) error {
	httpClient, err := rest.HTTPClientFor(admin)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	return eventually(ctx, "the API server", func(ctx context.Context) error {
		_, err := get(ctx, httpClient, admin.Host+"/readyz")
		return err
	})
}

// get returns the body of an answer with status 200.
func get(ctx context.Context, c *http.Client, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := c.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return "", fmt.Errorf("reading the answer of %s: %w", url, err)
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s answered %s: %s", url, response.Status, body)
	}
	return string(body), nil
}

// awaitControllerManager waits for what the controllers of ServiceAccounts and certificates make in a namespace: without
// these no Pod is admitted into it.
func (b *bootstrap) awaitControllerManager(ctx context.Context) error {
	want := []client.Object{
		&corev1.ServiceAccount{}, &corev1.ConfigMap{},
	}
	names := []string{"default", "kube-root-ca.crt"}
	group, ctx := errgroup.WithContext(ctx)
	for i, object := range want {
		key := client.ObjectKey{Namespace: "default", Name: names[i]}
		group.Go(func() error {
			return eventually(ctx, "kube-controller-manager", func(ctx context.Context) error {
				return b.client.Get(ctx, key, object)
			})
		})
	}
	return group.Wait()
}

// installDefinitions creates definitions and waits until the API server serves their kinds.
func installDefinitions(ctx context.Context, admin *rest.Config, c client.Client, definitions []*unstructured.Unstructured) error {
	if err := createAll(ctx, c, definitions...); err != nil {
		return err
	}
	finder, err := discovery.NewDiscoveryClientForConfig(admin)
	if err != nil {
		return fmt.Errorf("making a discovery client: %w", err)
	}
	return eventually(ctx, "the definitions", func(context.Context) error {
		// One small document for all kinds, where the definitions themselves come to megabytes.
		served, err := servedResources(finder)
		if err != nil {
			return err
		}
		for _, definition := range definitions {
			if resource := definedResource(definition); !slices.Contains(served, resource) {
				return fmt.Errorf("%s is not served yet", resource)
			}
		}
		return nil
	})
}

func servedResources(finder discovery.DiscoveryInterface) ([]schema.GroupResource, error) {
	_, lists, err := finder.ServerGroupsAndResources()
	if err != nil && !discovery.IsGroupDiscoveryFailedError(err) {
		return nil, fmt.Errorf("listing what is served: %w", err)
	}
	var served []schema.GroupResource
	for _, list := range lists {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, fmt.Errorf("reading what is served: %w", err)
		}
		for _, resource := range list.APIResources {
			served = append(served, schema.GroupResource{Group: version.Group, Resource: resource.Name})
		}
	}
	return served, nil
}

// definedResource is the resource that a definition brings; its name is plural and group by rule.
func definedResource(definition *unstructured.Unstructured) schema.GroupResource {
	return schema.ParseGroupResource(definition.GetName())
}
