package compare

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"wukong.io/wukong/pkg/cli/manifest"
)

// Action is what would happen to an object.
type Action string

// What would happen to an object.
const (
	Create Action = "create"
	Update Action = "update"
	Delete Action = "delete"
	// Release takes an object out of the fleet and lets it live, because it is
	// to be kept.
	Release Action = "release"
)

// keepAnnotation makes Helm keep an object that its release no longer has.
const keepAnnotation = "helm.sh/resource-policy"

// Change is what would happen to one object.
type Change struct {
	Action Action
	Key    manifest.Key
	// Before and After are the parts that differ, and what stands around them,
	// as YAML. The values of Secrets are masked.
	Before, After string
	// Fields are the paths of the values that differ.
	Fields []string
}

// Input is what is compared.
type Input struct {
	Namespace string
	// Wanted is what the fleet renders now.
	Wanted []*unstructured.Unstructured
	// Previous is what the installed release rendered; nil where there is none.
	Previous []*unstructured.Unstructured
	// Live is what the cluster has of both.
	Live map[manifest.Key]*unstructured.Unstructured
}

// Changes says what would happen, in the order of the wanted objects, then of
// those that go.
func Changes(in Input) ([]Change, error) {
	previous := index(in.Previous, in.Namespace)
	wanted := index(in.Wanted, in.Namespace)
	var changes []Change
	for _, object := range in.Wanted {
		key := manifest.KeyOf(object, in.Namespace)
		change, err := compareOne(key, object, previous[key], in.live(object))
		if err != nil {
			return nil, err
		}
		if change != nil {
			changes = append(changes, *change)
		}
	}
	for _, object := range in.Previous {
		live := in.live(object)
		if wanted[manifest.KeyOf(object, in.Namespace)] != nil || live == nil {
			continue
		}
		change, err := removal(manifest.KeyOf(object, in.Namespace), object, live)
		if err != nil {
			return nil, err
		}
		changes = append(changes, change)
	}
	return changes, nil
}

// live finds an object in the cluster, also one of a kind without namespaces.
func (in Input) live(object *unstructured.Unstructured) *unstructured.Unstructured {
	key := manifest.KeyOf(object, in.Namespace)
	if found := in.Live[key]; found != nil {
		return found
	}
	key.Namespace = ""
	return in.Live[key]
}

func index(objects []*unstructured.Unstructured, namespace string) map[manifest.Key]*unstructured.Unstructured {
	byKey := make(map[manifest.Key]*unstructured.Unstructured, len(objects))
	for _, object := range objects {
		byKey[manifest.KeyOf(object, namespace)] = object
	}
	return byKey
}

func compareOne(key manifest.Key, wanted, previous, live *unstructured.Unstructured) (*Change, error) {
	want := normal(wanted)
	if live == nil {
		after, err := write(mask(key, want, nil, maskPlain))
		return &Change{Action: Create, Key: key, After: after}, err
	}
	have := project(want, normal(previous), normal(live), "")
	fields := differences("", have, want)
	if len(fields) == 0 {
		return nil, nil
	}
	haveMap, _ := have.(map[string]any)
	before, errBefore := write(mask(key, haveMap, want, maskBefore))
	after, errAfter := write(mask(key, want, haveMap, maskAfter))
	if errBefore != nil {
		return nil, errBefore
	}
	return &Change{Action: Update, Key: key, Before: before, After: after, Fields: fields}, errAfter
}

// removal shows what the fleet had set in an object that goes.
func removal(key manifest.Key, previous, live *unstructured.Unstructured) (Change, error) {
	change := Change{Action: Delete, Key: key}
	if live.GetAnnotations()[keepAnnotation] == "keep" {
		change.Action = Release
	}
	have, _ := project(normal(previous), nil, normal(live), "").(map[string]any)
	before, err := write(mask(key, have, nil, maskPlain))
	change.Before = before
	return change, err
}

// normal is an object without what no fleet sets and with Secrets as the server
// keeps them.
func normal(object *unstructured.Unstructured) map[string]any {
	if object == nil {
		return nil
	}
	content := maps.Clone(object.Object)
	delete(content, "status")
	if object.GetKind() == "Secret" && object.GroupVersionKind().Group == "" {
		content = encodeSecret(content)
	}
	return content
}

func write(object map[string]any) (string, error) {
	text, err := yaml.Marshal(object)
	if err != nil {
		return "", fmt.Errorf("writing YAML: %w", err)
	}
	return string(text), nil
}

// Difference is a value that is not as wanted.
type Difference struct {
	Path         string
	Live, Wanted any
}

// Spec gives the values of spec at which a live object is not as wanted.
func Spec(wanted, live *unstructured.Unstructured) []Difference {
	want := wanted.Object["spec"]
	have := project(want, nil, live.Object["spec"], "")
	var found []Difference
	for _, path := range differences("", have, want) {
		found = append(found, Difference{Path: path, Live: lookUp(have, path), Wanted: lookUp(want, path)})
	}
	return found
}

// lookUp follows a path through maps; within lists it gives up.
func lookUp(value any, path string) any {
	for part := range strings.SplitSeq(path, ".") {
		fields, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		value = fields[part]
	}
	return value
}

// differences gives the paths at which two values differ.
func differences(path string, a, b any) []string {
	mapA, okA := a.(map[string]any)
	mapB, okB := b.(map[string]any)
	if okA && okB {
		return mapDifferences(path, mapA, mapB)
	}
	listA, okA := a.([]any)
	listB, okB := b.([]any)
	if okA && okB && len(listA) == len(listB) {
		var paths []string
		for i := range listA {
			paths = append(paths, differences(fmt.Sprintf("%s[%d]", path, i), listA[i], listB[i])...)
		}
		return paths
	}
	if reflect.DeepEqual(a, b) {
		return nil
	}
	return []string{path}
}

func mapDifferences(path string, a, b map[string]any) []string {
	keys := slices.Collect(maps.Keys(a))
	for key := range b {
		if _, both := a[key]; !both {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	var paths []string
	for _, key := range keys {
		below := key
		if path != "" {
			below = path + "." + key
		}
		paths = append(paths, differences(below, a[key], b[key])...)
	}
	return paths
}
