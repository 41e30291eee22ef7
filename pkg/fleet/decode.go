package fleet

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kubevirtv1 "kubevirt.io/api/core/v1"
	kjson "sigs.k8s.io/json"

	"wukong.io/wukong/pkg/apis/wukong/v1alpha1"
)

// decode turns lines of JSON into typed objects. A field the type does not
// have is an error: the templates and the types would have parted.
func (r *Renderer) decode(text string) ([]Object, error) {
	var objects []Object
	var machines *prototype
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		var more []Object
		var err error
		switch {
		case line == "":
			continue
		case strings.HasPrefix(line, prototypeMark):
			machines, err = r.newPrototype(line)
		case strings.HasPrefix(line, machineMark):
			more, err = machines.machine(line)
		default:
			more = make([]Object, 1)
			more[0], err = r.decodeObject(line)
		}
		if err != nil {
			return nil, err
		}
		objects = append(objects, more...)
	}
	return objects, nil
}

func (r *Renderer) decodeObject(line string) (Object, error) {
	gvk, err := peekKind(line)
	if err != nil {
		return nil, err
	}
	if gvk.Kind == "VirtualMachine" {
		return decodeMachine(line)
	}
	created, err := r.scheme.New(gvk)
	if runtime.IsNotRegisteredError(err) {
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON([]byte(line)); err != nil {
			return nil, fmt.Errorf("decoding %s: %w", gvk.Kind, err)
		}
		return object, nil
	}
	if err != nil {
		return nil, fmt.Errorf("decoding %s: %w", gvk.Kind, err)
	}
	object, ok := created.(Object)
	if !ok {
		return nil, fmt.Errorf("decoding %s: %T is not an object", gvk.Kind, created)
	}
	if err := unmarshalStrict(line, object); err != nil {
		return nil, fmt.Errorf("decoding %s %q: %w", gvk.Kind, object.GetName(), err)
	}
	return object, nil
}

func unmarshalStrict(line string, into any) error {
	strictErrs, err := kjson.UnmarshalStrict([]byte(line), into, kjson.DisallowUnknownFields)
	return errors.Join(append(strictErrs, err)...)
}

// machine is a VirtualMachine to decode into. KubeVirt's own type of
// spec.template.spec decodes itself, and passes unknown fields over; the same
// type under another name does not.
type machine struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              machineSpec `json:"spec"`
}

type machineSpec struct {
	kubevirtv1.VirtualMachineSpec `json:",inline"`
	Template                      machineTemplate `json:"template"`
}

type machineTemplate struct {
	metav1.ObjectMeta `json:"metadata"`
	Spec              machineInstanceSpec `json:"spec"`
}

type machineInstanceSpec kubevirtv1.VirtualMachineInstanceSpec

func decodeMachine(line string) (Object, error) {
	var from machine
	if err := unmarshalStrict(line, &from); err != nil {
		return nil, &machineError{labels: from.Labels, err: err}
	}
	vm := &kubevirtv1.VirtualMachine{
		TypeMeta:   from.TypeMeta,
		ObjectMeta: from.ObjectMeta,
		Spec:       from.Spec.VirtualMachineSpec,
	}
	vm.Spec.Template = &kubevirtv1.VirtualMachineInstanceTemplateSpec{
		ObjectMeta: from.Spec.Template.ObjectMeta,
		Spec:       kubevirtv1.VirtualMachineInstanceSpec(from.Spec.Template.Spec),
	}
	return vm, nil
}

// machineError is a rendered machine that is no VirtualMachine.
type machineError struct {
	labels map[string]string
	err    error
}

func (e *machineError) Error() string {
	return fmt.Sprintf("decoding VirtualMachine %q: %v", e.labels[v1alpha1.LabelVM], e.err)
}

func (e *machineError) Unwrap() error { return e.err }

// peekKind reads apiVersion and kind, which stand first as the keys are
// sorted.
func peekKind(line string) (schema.GroupVersionKind, error) {
	rest, ok := strings.CutPrefix(line, `{"apiVersion":"`)
	if ok {
		apiVersion, after, _ := strings.Cut(rest, `","kind":"`)
		if kind, _, ok := strings.Cut(after, `"`); ok {
			return schema.FromAPIVersionAndKind(apiVersion, kind), nil
		}
	}
	return schema.GroupVersionKind{}, fmt.Errorf("decoding rendered object: found no apiVersion and kind in %.60q", line)
}

// toInt reads a number of any type that YAML, JSON or --set give; what is no
// whole number is 0, as the schema has refused it already.
func toInt(value any) int {
	switch n := value.(type) {
	case int:
		return n
	case int32:
		return int(n)
	case int64:
		return int(n)
	case float64:
		if n == math.Trunc(n) && math.Abs(n) < 1<<53 {
			return int(n)
		}
	case json.Number:
		if i, err := n.Int64(); err == nil {
			return int(i)
		}
		if f, err := n.Float64(); err == nil {
			return toInt(f)
		}
	}
	return 0
}
