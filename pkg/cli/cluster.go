package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/kube"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage/driver"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/pager"

	"wukong.io/wukong/pkg/apis/wukong/v1alpha1"
	"wukong.io/wukong/pkg/cli/manifest"
)

// listsAtOnce is how many kinds are listed side by side.
const listsAtOnce = 4

// cluster is what commands read from a cluster.
type cluster struct {
	dynamic  dynamic.Interface
	metadata metadata.Interface
	mapper   apimeta.RESTMapper
}

func (e *environment) cluster() (*cluster, error) {
	config, err := e.connection()
	if err != nil {
		return nil, err
	}
	mapper, err := e.config.ToRESTMapper()
	if err != nil {
		return nil, fmt.Errorf("preparing to ask the cluster for its kinds: %w", err)
	}
	dynamicClient, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making a client for %s: %w", config.Host, err)
	}
	metadataClient, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making a client for %s: %w", config.Host, err)
	}
	return &cluster{dynamic: dynamicClient, metadata: metadataClient, mapper: mapper}, nil
}

// connection says how to reach the cluster. Where nobody says, client-go falls
// back to port 8080 of this machine, and its error helps nobody.
func (e *environment) connection() (*rest.Config, error) {
	config, err := e.config.ToRESTConfig()
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	raw, err := e.config.ToRawKubeConfigLoader().RawConfig()
	if err == nil && len(raw.Clusters) == 0 && *e.config.APIServer == "" && strings.HasPrefix(config.Host, "http://localhost") {
		return nil, errors.New("found no cluster to talk to: name a kubeconfig with --kubeconfig or the variable KUBECONFIG")
	}
	return config, nil
}

// objects are objects of the cluster by name.
type objects map[manifest.Key]*unstructured.Unstructured

// ofFleet lists the fleet's objects of some kinds by its label, page by page.
// A kind the cluster does not know has none.
func (c *cluster) ofFleet(ctx context.Context, kinds []schema.GroupKind, namespace, fleet string) (objects, error) {
	found := objects{}
	var lock sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(listsAtOnce)
	for _, kind := range kinds {
		group.Go(func() error {
			return c.each(ctx, kind, namespace, fleetSelector(fleet), func(object *unstructured.Unstructured) {
				lock.Lock()
				defer lock.Unlock()
				found[manifest.KeyOf(object, "")] = object
			})
		})
	}
	return found, group.Wait()
}

// fleetSelector selects the objects of a fleet, or those of any fleet.
func fleetSelector(fleet string) string {
	if fleet == "" {
		return v1alpha1.LabelFleet
	}
	return labels.SelectorFromSet(labels.Set{v1alpha1.LabelFleet: fleet}).String()
}

// each calls visit for the objects of a kind.
func (c *cluster) each(ctx context.Context, kind schema.GroupKind, namespace, selector string, visit func(*unstructured.Unstructured)) error {
	client, err := c.client(kind, namespace)
	if apimeta.IsNoMatchError(err) {
		return nil
	}
	if err != nil {
		return err
	}
	pages := pager.New(pager.SimplePageFunc(func(options metav1.ListOptions) (runtime.Object, error) {
		return client.List(ctx, options)
	}))
	err = pages.EachListItem(ctx, metav1.ListOptions{LabelSelector: selector}, func(item runtime.Object) error {
		object, ok := item.(*unstructured.Unstructured)
		if !ok {
			return fmt.Errorf("found %T in a list of %s", item, kind.Kind)
		}
		visit(object)
		return nil
	})
	if err != nil {
		return fmt.Errorf("listing %s: %w", kind.Kind, err)
	}
	return nil
}

// client gives access to the objects of a kind in a namespace, or in none
// where the kind has none.
func (c *cluster) client(kind schema.GroupKind, namespace string) (dynamic.ResourceInterface, error) {
	mapping, err := c.mapper.RESTMapping(kind)
	if apimeta.IsNoMatchError(err) {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("asking the cluster for kind %s: %w", kind.Kind, err)
	}
	client := c.dynamic.Resource(mapping.Resource)
	if mapping.Scope.Name() != apimeta.RESTScopeNameNamespace {
		return client, nil
	}
	return client.Namespace(namespace), nil
}

// get reads one object; nil where it does not exist.
func (c *cluster) get(ctx context.Context, key manifest.Key) (*unstructured.Unstructured, error) {
	client, err := c.client(schema.GroupKind{Group: key.Group, Kind: key.Kind}, key.Namespace)
	if apimeta.IsNoMatchError(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	object, err := client.Get(ctx, key.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s %q: %w", key.Kind, key.Name, err)
	}
	return object, nil
}

// helm prepares Helm's actions for a namespace. Releases are stored where stock
// helm stores them, so that each sees the other's.
func (e *environment) helm(namespace string) (*action.Configuration, error) {
	if _, err := e.connection(); err != nil {
		return nil, err
	}
	configuration := new(action.Configuration)
	err := configuration.Init(e.config, namespace, e.getenv("HELM_DRIVER"), func(format string, args ...any) {
		if e.debug {
			e.say("helm: "+format, args...)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("preparing Helm: %w", err)
	}
	if client, ok := configuration.KubeClient.(*kube.Client); ok {
		client.Namespace = namespace
	}
	return configuration, nil
}

// currentRelease gives the release an upgrade would start from: the deployed
// one, else the last. It is nil where there is none.
func currentRelease(configuration *action.Configuration, name string) (*release.Release, error) {
	current, err := configuration.Releases.Deployed(name)
	if errors.Is(err, driver.ErrNoDeployedReleases) || errors.Is(err, driver.ErrReleaseNotFound) {
		current, err = configuration.Releases.Last(name)
	}
	if errors.Is(err, driver.ErrReleaseNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the release of fleet %q: %w", name, err)
	}
	return current, nil
}
