package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-tools/pkg/crd"
	"sigs.k8s.io/controller-tools/pkg/loader"
	"sigs.k8s.io/yaml"
)

// fleetKind is the kind whose spec is a fleet.
const fleetKind = "Wukong"

// writeCRDs writes a file a kind.
func writeCRDs(src *source, root string) error {
	definitions, err := customResourceDefinitions(src)
	if err != nil {
		return err
	}
	// A kind that was renamed must not leave its definition behind.
	if err := os.RemoveAll(filepath.Join(root, crdFolder)); err != nil {
		return err
	}
	for _, definition := range definitions {
		data, err := marshalCRD(definition)
		if err != nil {
			return fmt.Errorf("%s: %w", definition.Name, err)
		}
		name := fmt.Sprintf("%s/%s_%s.yaml", crdFolder, definition.Spec.Group, definition.Spec.Names.Plural)
		if err := writeFile(root, name, data); err != nil {
			return err
		}
	}
	return nil
}

// customResourceDefinitions are those of every kind of the package, by name.
func customResourceDefinitions(src *source) ([]*apiextensionsv1.CustomResourceDefinition, error) {
	metav1Package := crd.FindMetav1([]*loader.Package{src.pkg})
	if metav1Package == nil {
		return nil, fmt.Errorf("finding kinds: %s imports no metav1", src.pkg.PkgPath)
	}
	kinds := crd.FindKubeKinds(src.parser, metav1Package)
	slices.SortFunc(kinds, func(a, b schema.GroupKind) int { return cmp.Compare(a.Kind, b.Kind) })
	definitions := make([]*apiextensionsv1.CustomResourceDefinition, 0, len(kinds))
	for _, kind := range kinds {
		src.parser.NeedCRDFor(kind, nil)
		definition := src.parser.CustomResourceDefinitions[kind]
		crd.FixTopLevelMetadata(definition)
		if kind.Kind == fleetKind {
			if err := adaptFleet(&definition); err != nil {
				return nil, err
			}
		}
		definitions = append(definitions, &definition)
	}
	return definitions, packageErrors(src.pkg)
}

// adaptFleet changes what suits a job's spec but not a fleet's.
func adaptFleet(definition *apiextensionsv1.CustomResourceDefinition) error {
	for _, version := range definition.Spec.Versions {
		spec := version.Schema.OpenAPIV3Schema.Properties["spec"]
		crd.EditSchema(&spec, visitor(dropDefault))
		var errs []error
		overrides := spec.Properties["pools"].AdditionalProperties.Schema.Properties["overrides"]
		crd.EditSchema(&overrides, visitor(func(props *apiextensionsv1.JSONSchemaProps) {
			errs = append(errs, replaceRules(props))
		}))
		if err := errors.Join(errs...); err != nil {
			return fmt.Errorf("adapting overrides: %w", err)
		}
		spec.Properties["pools"].AdditionalProperties.Schema.Properties["overrides"] = overrides
		version.Schema.OpenAPIV3Schema.Properties["spec"] = spec
	}
	return nil
}

// dropDefault takes a default out of a fleet's spec. The fleet's defaults, the
// pool's template and an ordinal's overrides are merged by which keys are there;
// a default that the apiserver fills in would look like a choice and win.
func dropDefault(props *apiextensionsv1.JSONSchemaProps) {
	props.Default = nil
}

// replaceRules says "exactly one of" by oneOf, which is free. In overrides, a
// map in a map, the apiserver's estimate of CEL's cost passes its budget, and
// it would refuse the whole definition. The rule's message is lost, but rules
// are checked again with the same words when the fleet is rendered.
func replaceRules(props *apiextensionsv1.JSONSchemaProps) error {
	for _, rule := range props.XValidations {
		fields := exactlyOneOf(rule.Rule)
		if fields == nil {
			return fmt.Errorf("rule %q is not of the form exactly-one-of: find another way to say it", rule.Rule)
		}
		for _, field := range fields {
			props.OneOf = append(props.OneOf, apiextensionsv1.JSONSchemaProps{Required: []string{field}})
		}
	}
	props.XValidations = nil
	return nil
}

// presence is how controller-gen's rule for the marker ExactlyOneOf counts one
// of the fields.
var presence = regexp.MustCompile(`^\(has\(self\.(\w+)\)\?1:0\)$`)

// exactlyOneOf gives the fields of a rule that controller-gen writes for the
// marker ExactlyOneOf, and nil for any other rule.
func exactlyOneOf(rule string) []string {
	sum, found := strings.CutSuffix(rule, " == 1")
	if !found {
		return nil
	}
	var fields []string
	for term := range strings.SplitSeq(sum, "+") {
		match := presence.FindStringSubmatch(term)
		if match == nil {
			return nil
		}
		fields = append(fields, match[1])
	}
	return fields
}

// visitor calls a function for every schema.
type visitor func(*apiextensionsv1.JSONSchemaProps)

// Visit implements crd.SchemaVisitor.
func (v visitor) Visit(props *apiextensionsv1.JSONSchemaProps) crd.SchemaVisitor {
	if props != nil {
		v(props)
	}
	return v
}

// marshalCRD leaves out what only the apiserver writes.
func marshalCRD(definition *apiextensionsv1.CustomResourceDefinition) ([]byte, error) {
	data, err := yaml.Marshal(definition)
	if err != nil {
		return nil, err
	}
	var object map[string]any
	if err := yaml.Unmarshal(data, &object); err != nil {
		return nil, err
	}
	delete(object, "status")
	if metadata, ok := object["metadata"].(map[string]any); ok {
		delete(metadata, "creationTimestamp")
	}
	return yaml.Marshal(object)
}
