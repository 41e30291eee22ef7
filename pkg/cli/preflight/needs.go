package preflight

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"wukong.io/wukong/pkg/apis/wukong/v1alpha1"
	"wukong.io/wukong/pkg/cli/manifest"
)

// Needs is what a fleet needs of its cluster.
type Needs struct {
	Namespace string
	// Kinds of the objects of the fleet.
	Kinds []schema.GroupVersionKind
	// Classes are the storage classes by name, "" being the default one, each
	// with an object that names it.
	Classes map[string]string
	// Images that are cloned from a snapshot.
	Images []Image
	// Sources are other namespaces that disks are cloned from, each with an
	// object that does.
	Sources map[string]string
	// References are objects that must exist beside the fleet, each with the
	// first object that names it.
	References map[manifest.Key]string
}

// Image is a golden image that is cloned from a snapshot of its disk.
type Image struct {
	Name string
	// Class is the storage class of the image's disk, "" being the default.
	Class string
	// SnapshotClass is the VolumeSnapshotClass the fleet names, if it does.
	SnapshotClass string
}

// Collect reads what the objects of a fleet need.
func Collect(objects []*unstructured.Unstructured, namespace string) Needs {
	c := collector{
		needs: Needs{
			Namespace: namespace, Kinds: manifest.Kinds(objects),
			Classes: map[string]string{}, Sources: map[string]string{}, References: map[manifest.Key]string{},
		},
		volumeClass: map[string]string{},
	}
	for _, object := range objects {
		c.collect(object)
	}
	for i, image := range c.needs.Images {
		c.needs.Images[i].Class = c.volumeClass[image.Class]
	}
	slices.SortFunc(c.needs.Images, func(a, b Image) int { return cmp.Compare(a.Name, b.Name) })
	c.dropOwn(objects)
	return c.needs
}

// collector gathers needs object by object.
type collector struct {
	needs       Needs
	volumeClass map[string]string // storage class by name of the DataVolume
}

func (c *collector) collect(object *unstructured.Unstructured) {
	user := object.GetKind() + " " + object.GetName()
	switch object.GetKind() {
	case "VirtualMachine":
		c.machine(object.Object, user)
	case "DataVolume":
		c.volumeClass[object.GetName()] = c.volume(object.Object, user)
	case "DataImportCron":
		if template, ok := get[map[string]any](object.Object, "spec", "template"); ok {
			c.volume(template, user)
		}
	case "VolumeSnapshot":
		c.snapshot(object)
	case "CloneJob":
		c.cloneSource(object.Object, user)
	case "VirtualMachineSnapshot":
		name, _ := get[string](object.Object, "spec", "source", "name")
		c.refer("kubevirt.io", "VirtualMachine", "", name, user)
	}
}

// refer notes that user names an object. The namespace is the fleet's where
// none is given.
func (c *collector) refer(group, kind, namespace, name, user string) {
	if name == "" {
		return
	}
	if namespace == "" && !strings.Contains(kind, "Cluster") {
		namespace = c.needs.Namespace
	}
	key := manifest.Key{Group: group, Kind: kind, Namespace: namespace, Name: name}
	if _, known := c.needs.References[key]; !known {
		c.needs.References[key] = user
	}
}

func (c *collector) machine(vm map[string]any, user string) {
	c.sizing(vm, user, "instancetype", "VirtualMachineClusterInstancetype")
	c.sizing(vm, user, "preference", "VirtualMachineClusterPreference")
	for _, network := range items(vm, "spec", "template", "spec", "networks") {
		if name, ok := get[string](network, "multus", "networkName"); ok {
			namespace, short, found := strings.Cut(name, "/")
			if !found {
				namespace, short = "", name
			}
			c.refer("k8s.cni.cncf.io", "NetworkAttachmentDefinition", namespace, short, user)
		}
	}
	for _, volume := range items(vm, "spec", "template", "spec", "volumes") {
		c.machineVolume(volume, user)
	}
	for _, credential := range items(vm, "spec", "template", "spec", "accessCredentials") {
		for _, kind := range []string{"sshPublicKey", "userPassword"} {
			name, _ := get[string](credential, kind, "source", "secret", "secretName")
			c.refer("", "Secret", "", name, user)
		}
	}
	for _, template := range items(vm, "spec", "dataVolumeTemplates") {
		c.volume(template, user)
	}
}

func (c *collector) sizing(vm map[string]any, user, field, defaultKind string) {
	name, _ := get[string](vm, "spec", field, "name")
	kind, _ := get[string](vm, "spec", field, "kind")
	c.refer("instancetype.kubevirt.io", canonicalKind(cmp.Or(kind, defaultKind)), "", name, user)
}

// canonicalKind undoes KubeVirt's tolerance of lower-case kinds.
func canonicalKind(kind string) string {
	for _, known := range []string{
		"VirtualMachineInstancetype", "VirtualMachineClusterInstancetype", "VirtualMachinePreference", "VirtualMachineClusterPreference",
	} {
		if strings.EqualFold(kind, known) {
			return known
		}
	}
	return kind
}

func (c *collector) machineVolume(volume map[string]any, user string) {
	claim, _ := get[string](volume, "persistentVolumeClaim", "claimName")
	c.refer("", "PersistentVolumeClaim", "", claim, user)
	for _, cloudInit := range []string{"cloudInitNoCloud", "cloudInitConfigDrive"} {
		for _, ref := range []string{"secretRef", "networkDataSecretRef"} {
			name, _ := get[string](volume, cloudInit, ref, "name")
			c.refer("", "Secret", "", name, user)
		}
	}
	secret, _ := get[string](volume, "sysprep", "secret", "name")
	c.refer("", "Secret", "", secret, user)
	config, _ := get[string](volume, "sysprep", "configMap", "name")
	c.refer("", "ConfigMap", "", config, user)
}

// volume notes what a DataVolume, or a template of one, needs, and gives its
// storage class.
func (c *collector) volume(dv map[string]any, user string) string {
	class, ok := get[string](dv, "spec", "storage", "storageClassName")
	if !ok {
		class, _ = get[string](dv, "spec", "pvc", "storageClassName")
	}
	if _, known := c.needs.Classes[class]; !known {
		c.needs.Classes[class] = user
	}
	c.named(dv, user, "cdi.kubevirt.io", "DataSource", "spec", "sourceRef")
	c.named(dv, user, "", "PersistentVolumeClaim", "spec", "source", "pvc")
	c.named(dv, user, "snapshot.storage.k8s.io", "VolumeSnapshot", "spec", "source", "snapshot")
	source, _ := get[map[string]any](dv, "spec", "source")
	for _, kind := range slices.Sorted(maps.Keys(source)) {
		fields, _ := source[kind].(map[string]any)
		secret, _ := fields["secretRef"].(string)
		c.refer("", "Secret", "", secret, user)
		config, _ := fields["certConfigMap"].(string)
		c.refer("", "ConfigMap", "", config, user)
	}
	return class
}

func (c *collector) named(object map[string]any, user, group, kind string, path ...string) {
	ref, _ := get[map[string]any](object, path...)
	name, _ := ref["name"].(string)
	namespace, _ := ref["namespace"].(string)
	c.refer(group, kind, namespace, name, user)
	if _, known := c.needs.Sources[namespace]; !known && namespace != "" && namespace != c.needs.Namespace {
		c.needs.Sources[namespace] = user
	}
}

// snapshot notes an image that is cloned from a snapshot. Its class is looked
// up once every DataVolume has been seen; until then the name of its
// DataVolume stands there.
func (c *collector) snapshot(object *unstructured.Unstructured) {
	image, ok := object.GetLabels()[v1alpha1.LabelImage]
	if !ok {
		return
	}
	volume, _ := get[string](object.Object, "spec", "source", "persistentVolumeClaimName")
	class, _ := get[string](object.Object, "spec", "volumeSnapshotClassName")
	c.needs.Images = append(c.needs.Images, Image{Name: image, Class: volume, SnapshotClass: class})
}

func (c *collector) cloneSource(job map[string]any, user string) {
	c.named(job, user, "kubevirt.io", "VirtualMachine", "spec", "source", "virtualMachine")
	c.named(job, user, "snapshot.kubevirt.io", "VirtualMachineSnapshot", "spec", "source", "snapshot")
}

// dropOwn forgets references to what the fleet makes itself. A claim carries
// the name of the DataVolume that fills it.
func (c *collector) dropOwn(objects []*unstructured.Unstructured) {
	for _, object := range objects {
		key := manifest.KeyOf(object, c.needs.Namespace)
		delete(c.needs.References, key)
		if key.Kind == "DataVolume" {
			delete(c.needs.References, manifest.Key{Kind: "PersistentVolumeClaim", Namespace: key.Namespace, Name: key.Name})
		}
	}
}

// get follows a path through maps.
func get[T any](object map[string]any, path ...string) (T, bool) {
	value, found, err := unstructured.NestedFieldNoCopy(object, path...)
	typed, ok := value.(T)
	return typed, found && err == nil && ok
}

// items gives the maps of a list.
func items(object map[string]any, path ...string) []map[string]any {
	list, _ := get[[]any](object, path...)
	maps := make([]map[string]any, 0, len(list))
	for _, item := range list {
		if fields, ok := item.(map[string]any); ok {
			maps = append(maps, fields)
		}
	}
	return maps
}

// describe names what is referred to.
func describe(key manifest.Key) string {
	if key.Namespace == "" {
		return fmt.Sprintf("%s %q", key.Kind, key.Name)
	}
	return fmt.Sprintf("%s %q in namespace %q", key.Kind, key.Name, key.Namespace)
}
