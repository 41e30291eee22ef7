package preflight

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/pager"

	"wukong.io/wukong/pkg/cli/manifest"
)

// Cluster is what preflight asks.
type Cluster struct {
	Client   dynamic.Interface
	Metadata metadata.Interface
	Mapper   apimeta.RESTMapper
}

// Facts are what the cluster has of what is needed.
type Facts struct {
	// MissingKinds are kinds the cluster does not know.
	MissingKinds []schema.GroupVersionKind
	// Classes are the storage classes by name.
	Classes map[string]Class
	// SnapshotClasses are the VolumeSnapshotClasses by name.
	SnapshotClasses map[string]SnapshotClass
	// Missing are the references that do not exist.
	Missing []manifest.Key
	// MissingSources are the namespaces of sources that do not exist.
	MissingSources []string
	// Unknown are questions the cluster would not answer, with its reason.
	Unknown []string
	// Gates are the feature gates KubeVirt has on; nil where it is not known.
	Gates map[string]bool
}

// Class is a storage class.
type Class struct {
	Provisioner string
	Default     bool
}

// SnapshotClass is a VolumeSnapshotClass.
type SnapshotClass struct {
	Driver  string
	Default bool
}

// Annotations that make a storage class the default, for all and for virtual
// machines, and for CDI the latter beats the former.
const (
	annotationDefault     = "storageclass.kubernetes.io/is-default-class"
	annotationDefaultVirt = "storageclass.kubevirt.io/is-default-virt-class"

	annotationDefaultSnapshot = "snapshot.storage.kubernetes.io/is-default-class"
)

// Gather asks the cluster for all that is needed. What a person may not read is
// noted, and no error.
func Gather(ctx context.Context, cluster Cluster, needs Needs) (Facts, error) {
	g := gatherer{cluster: cluster, needs: needs}
	for _, ask := range []func(context.Context) error{g.kinds, g.classes, g.snapshotClasses, g.sources, g.references, g.gates} {
		if err := ask(ctx); err != nil {
			return Facts{}, err
		}
	}
	return g.facts, nil
}

type gatherer struct {
	cluster Cluster
	needs   Needs
	facts   Facts
}

func (g *gatherer) kinds(context.Context) error {
	for _, kind := range g.needs.Kinds {
		_, err := g.cluster.Mapper.RESTMapping(kind.GroupKind(), kind.Version)
		if apimeta.IsNoMatchError(err) {
			g.facts.MissingKinds = append(g.facts.MissingKinds, kind)
			continue
		}
		if err != nil {
			return fmt.Errorf("asking the cluster for kind %s: %w", kind.Kind, err)
		}
	}
	return nil
}

func (g *gatherer) classes(ctx context.Context) error {
	if len(g.needs.Classes) == 0 {
		return nil
	}
	list, err := g.list(ctx, schema.GroupVersionResource{Group: "storage.k8s.io", Version: "v1", Resource: "storageclasses"}, "storage classes")
	if list == nil || err != nil {
		return err
	}
	g.facts.Classes = map[string]Class{}
	for _, item := range list.Items {
		provisioner, _ := get[string](item.Object, "provisioner")
		annotations := item.GetAnnotations()
		g.facts.Classes[item.GetName()] = Class{
			Provisioner: provisioner,
			Default:     annotations[annotationDefault] == "true" || annotations[annotationDefaultVirt] == "true",
		}
	}
	return nil
}

func (g *gatherer) snapshotClasses(ctx context.Context) error {
	if len(g.needs.Images) == 0 {
		return nil
	}
	list, err := g.list(ctx, schema.GroupVersionResource{Group: "snapshot.storage.k8s.io", Version: "v1", Resource: "volumesnapshotclasses"}, "volume snapshot classes")
	if list == nil || err != nil {
		return err
	}
	g.facts.SnapshotClasses = map[string]SnapshotClass{}
	for _, item := range list.Items {
		driver, _ := get[string](item.Object, "driver")
		g.facts.SnapshotClasses[item.GetName()] = SnapshotClass{Driver: driver, Default: item.GetAnnotations()[annotationDefaultSnapshot] == "true"}
	}
	return nil
}

// list reads all objects of a kind; nil where that is not possible.
func (g *gatherer) list(ctx context.Context, resource schema.GroupVersionResource, what string) (*unstructured.UnstructuredList, error) {
	list, err := g.cluster.Client.Resource(resource).List(ctx, metav1.ListOptions{})
	switch {
	case err == nil:
		return list, nil
	case apierrors.IsNotFound(err):
		return nil, nil // the kind is missing, which is told elsewhere
	case apierrors.IsForbidden(err):
		g.facts.Unknown = append(g.facts.Unknown, what+" could not be checked: you may not list them")
		return nil, nil
	default:
		return nil, fmt.Errorf("listing %s: %w", what, err)
	}
}

// sources asks for the namespaces that disks are cloned from. A person who may
// not read a namespace may still clone from it.
func (g *gatherer) sources(ctx context.Context) error {
	client := g.cluster.Metadata.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"})
	for _, namespace := range slices.Sorted(maps.Keys(g.needs.Sources)) {
		_, err := client.Get(ctx, namespace, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			g.facts.MissingSources = append(g.facts.MissingSources, namespace)
		case err != nil && !apierrors.IsForbidden(err):
			return fmt.Errorf("asking the cluster for namespace %q: %w", namespace, err)
		}
	}
	return nil
}

// gates reads which of KubeVirt's features are on.
func (g *gatherer) gates(ctx context.Context) error {
	if !slices.ContainsFunc(g.needs.Kinds, func(kind schema.GroupVersionKind) bool { return gateOf(kind.Kind) != "" }) {
		return nil
	}
	list, err := g.list(ctx, schema.GroupVersionResource{Group: "kubevirt.io", Version: "v1", Resource: "kubevirts"}, "KubeVirt's feature gates")
	if list == nil || err != nil || len(list.Items) == 0 {
		return err
	}
	g.facts.Gates = enabledGates(list.Items[0].Object)
	return nil
}

// manyNames is from how many names of one kind and namespace on a list is
// cheaper than asking one by one.
const manyNames = 20

// references asks for the metadata of what the fleet refers to, and no more.
func (g *gatherer) references(ctx context.Context) error {
	groups := map[manifest.Key][]manifest.Key{}
	for key := range g.needs.References {
		place := manifest.Key{Group: key.Group, Kind: key.Kind, Namespace: key.Namespace}
		groups[place] = append(groups[place], key)
	}
	for place, keys := range groups {
		if err := g.group(ctx, place, keys); err != nil {
			return err
		}
	}
	slices.SortFunc(g.facts.Missing, compareKeys)
	slices.Sort(g.facts.Unknown)
	return nil
}

func (g *gatherer) group(ctx context.Context, place manifest.Key, keys []manifest.Key) error {
	mapping, err := g.cluster.Mapper.RESTMapping(schema.GroupKind{Group: place.Group, Kind: place.Kind})
	if apimeta.IsNoMatchError(err) {
		g.facts.Missing = append(g.facts.Missing, keys...)
		return nil
	}
	if err != nil {
		return fmt.Errorf("asking the cluster for kind %s: %w", place.Kind, err)
	}
	var client metadata.ResourceInterface = g.cluster.Metadata.Resource(mapping.Resource)
	if mapping.Scope.Name() == apimeta.RESTScopeNameNamespace {
		client = g.cluster.Metadata.Resource(mapping.Resource).Namespace(place.Namespace)
	}
	ask := askEach
	if len(keys) >= manyNames {
		ask = askAll
	}
	missing, err := ask(ctx, client, keys)
	if apierrors.IsForbidden(err) {
		g.facts.Unknown = append(g.facts.Unknown, fmt.Sprintf("whether %s exists could not be checked: you may not read it", describe(keys[0])))
		return nil
	}
	if err != nil {
		return fmt.Errorf("asking the cluster for %s: %w", describe(keys[0]), err)
	}
	g.facts.Missing = append(g.facts.Missing, missing...)
	return nil
}

// askEach asks for a few names side by side.
func askEach(ctx context.Context, client metadata.ResourceInterface, keys []manifest.Key) ([]manifest.Key, error) {
	var missing []manifest.Key
	var lock sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	for _, key := range keys {
		group.Go(func() error {
			_, err := client.Get(ctx, key.Name, metav1.GetOptions{})
			if !apierrors.IsNotFound(err) {
				return err
			}
			lock.Lock()
			defer lock.Unlock()
			missing = append(missing, key)
			return nil
		})
	}
	return missing, group.Wait()
}

// askAll lists all names, page by page.
func askAll(ctx context.Context, client metadata.ResourceInterface, keys []manifest.Key) ([]manifest.Key, error) {
	wanted := map[string]manifest.Key{}
	for _, key := range keys {
		wanted[key.Name] = key
	}
	pages := pager.New(pager.SimplePageFunc(func(options metav1.ListOptions) (runtime.Object, error) { return client.List(ctx, options) }))
	err := pages.EachListItem(ctx, metav1.ListOptions{}, func(item runtime.Object) error {
		object, err := apimeta.Accessor(item)
		if err == nil {
			delete(wanted, object.GetName())
		}
		return err
	})
	missing := make([]manifest.Key, 0, len(wanted))
	for _, key := range wanted {
		missing = append(missing, key)
	}
	return missing, err
}
