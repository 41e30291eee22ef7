package wait

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"wukong.io/wukong/pkg/apis/wukong/v1alpha1"
	"wukong.io/wukong/pkg/cli/manifest"
)

// Groups of the kinds that depend on each other.
const (
	groupVolumes   = "cdi.kubevirt.io"
	groupSnapshots = "snapshot.storage.k8s.io"
)

// Plan is what is waited for: the objects of a fleet and what each is made
// from, as the fleet renders them.
type Plan struct {
	objects   []expected
	consumers map[manifest.Key][]manifest.Key // of a DataVolume: the machines that use it
}

// expected is one object that is waited for.
type expected struct {
	key   manifest.Key
	image string // the key of the golden image it belongs to
	needs []manifest.Key
	watch bool
}

// NewPlan reads what is to be waited for off the rendered objects.
func NewPlan(objects []*unstructured.Unstructured, namespace string) *Plan {
	plan := &Plan{consumers: map[manifest.Key][]manifest.Key{}}
	for _, object := range objects {
		watched := Watched(object.GetKind())
		if !watched && object.GetKind() != kindDataSource {
			continue
		}
		e := expected{
			key:   manifest.KeyOf(object, namespace),
			image: object.GetLabels()[v1alpha1.LabelImage],
			needs: needs(object, namespace),
			watch: watched,
		}
		plan.objects = append(plan.objects, e)
		if e.key.Kind != kindMachine {
			continue
		}
		for _, need := range e.needs {
			if need.Kind == kindVolume {
				plan.consumers[need] = append(plan.consumers[need], e.key)
			}
		}
	}
	return plan
}

// Kinds gives the group and kind of everything that is watched.
func (p *Plan) Kinds() []manifest.Key {
	seen := map[manifest.Key]bool{}
	var kinds []manifest.Key
	for _, e := range p.objects {
		kind := manifest.Key{Group: e.key.Group, Kind: e.key.Kind}
		if e.watch && !seen[kind] {
			seen[kind] = true
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// needs gives what an object is made from.
func needs(object *unstructured.Unstructured, namespace string) []manifest.Key {
	switch object.GetKind() {
	case kindMachine:
		return machineNeeds(object, namespace)
	case kindVolume:
		return volumeNeeds(object.Object, namespace)
	case kindDataSource:
		return sourceNeeds(object.Object, namespace)
	case kindImportCron:
		return nil
	case kindVolumeSnapshot:
		name := nestedText(object, "spec", "source", "persistentVolumeClaimName")
		return appendNamed(nil, groupVolumes, kindVolume, namespace, name)
	default:
		return nil
	}
}

// machineNeeds are a machine's disks, and what the disks it makes itself are
// made from.
func machineNeeds(vm *unstructured.Unstructured, namespace string) []manifest.Key {
	var keys []manifest.Key
	volumes, _, _ := unstructured.NestedSlice(vm.Object, "spec", "template", "spec", "volumes")
	for _, volume := range volumes {
		fields, _ := volume.(map[string]any)
		name, _, _ := unstructured.NestedString(fields, "dataVolume", "name")
		keys = appendNamed(keys, groupVolumes, kindVolume, namespace, name)
	}
	templates, _, _ := unstructured.NestedSlice(vm.Object, "spec", "dataVolumeTemplates")
	for _, template := range templates {
		fields, _ := template.(map[string]any)
		keys = append(keys, volumeNeeds(fields, namespace)...)
	}
	return keys
}

// volumeNeeds are what a DataVolume, or a template of one, is cloned from.
func volumeNeeds(dv map[string]any, namespace string) []manifest.Key {
	ref, _, _ := unstructured.NestedMap(dv, "spec", "sourceRef")
	if ref != nil {
		return appendNamed(nil, groupVolumes, kindDataSource, orDefault(text(ref["namespace"]), namespace), text(ref["name"]))
	}
	return sourceNeeds(dv, namespace)
}

// sourceNeeds are the claim or snapshot that a DataSource or DataVolume names.
// A claim carries the name of the DataVolume that fills it.
func sourceNeeds(object map[string]any, namespace string) []manifest.Key {
	var keys []manifest.Key
	if pvc, _, _ := unstructured.NestedMap(object, "spec", "source", "pvc"); pvc != nil {
		keys = appendNamed(keys, groupVolumes, kindVolume, orDefault(text(pvc["namespace"]), namespace), text(pvc["name"]))
	}
	if snapshot, _, _ := unstructured.NestedMap(object, "spec", "source", "snapshot"); snapshot != nil {
		keys = appendNamed(keys, groupSnapshots, kindVolumeSnapshot, orDefault(text(snapshot["namespace"]), namespace), text(snapshot["name"]))
	}
	return keys
}

func appendNamed(keys []manifest.Key, group, kind, namespace, name string) []manifest.Key {
	if name == "" {
		return keys
	}
	return append(keys, manifest.Key{Group: group, Kind: kind, Namespace: namespace, Name: name})
}

func orDefault(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}
