package main

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"
)

// admission checks a fleet's spec as the apiserver does: shape, then CEL.
type admission struct {
	shape validation.SchemaValidator
	rules *cel.Validator
}

func newAdmission(t *testing.T) admission {
	t.Helper()
	definitions, err := customResourceDefinitions(loadForTest(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, definition := range definitions {
		if definition.Spec.Names.Kind != fleetKind {
			continue
		}
		spec := definition.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"]
		var internal apiextensions.JSONSchemaProps
		if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(&spec, &internal, nil); err != nil {
			t.Fatal(err)
		}
		shape, _, err := validation.NewSchemaValidator(&internal)
		if err != nil {
			t.Fatal(err)
		}
		structural, err := structuralschema.NewStructural(&internal)
		if err != nil {
			t.Fatal(err)
		}
		return admission{shape, cel.NewValidator(structural, false, celconfig.PerCallLimit)}
	}
	t.Fatalf("finding kind %s: not found", fleetKind)
	return admission{}
}

func (a admission) errors(t *testing.T, fleet string) []string {
	t.Helper()
	var spec map[string]any
	if err := yaml.Unmarshal([]byte(fleet), &spec); err != nil {
		t.Fatal(err)
	}
	found := validation.ValidateCustomResource(nil, spec, a.shape)
	byRule, _ := a.rules.Validate(t.Context(), nil, nil, spec, nil, math.MaxInt64)
	messages := make([]string, 0, len(found)+len(byRule))
	for _, e := range append(found, byRule...) {
		messages = append(messages, e.Error())
	}
	return messages
}

func TestFleetRules(t *testing.T) {
	admit := newAdmission(t)
	disk := func(source string) string {
		return "pools: {web: {template: {disks: {root: {size: 1Gi, source: " + source + "}}}}}"
	}
	override := func(source string) string {
		return `pools: {web: {overrides: {"0": {disks: {root: {size: 1Gi, source: ` + source + "}}}}}}"
	}
	http := "{import: {http: {url: 'https://example.com/a.qcow2'}}}"
	cases := map[string]struct {
		fleet string
		want  string // part of the one error; none if empty
	}{
		"accepts an import":                           {fleet: disk(http)},
		"accepts an import in an override":            {fleet: override(http)},
		"accepts an empty disk":                       {fleet: disk("{empty: {}}")},
		"rejects two sources":                         {disk("{empty: {}, image: fedora}"), "exactly one of the fields in [image import pvc clone empty] must be set"},
		"rejects two sources in an override":          {override("{empty: {}, image: fedora}"), "must validate one and only one schema (oneOf)"},
		"rejects no source":                           {disk("{}"), "exactly one of the fields in [image import pvc clone empty] must be set"},
		"rejects two import sources":                  {disk("{import: {upload: {}, http: {url: 'https://example.com'}}}"), "exactly one of the fields in [registry http"},
		"rejects an image that is imported and found": {"images: {a: {importSource: {upload: {}}, dataSource: {name: a}}}", "exactly one of importSource and dataSource must be set"},
		"rejects a clone of two things":               {"pools: {a: {cloneSource: {virtualMachine: {name: a}, snapshot: {name: b}}}}", "exactly one of virtualMachine and snapshot must be set"},
		"rejects an unknown run strategy":             {"pools: {a: {template: {runStrategy: Sometimes}}}", "Unsupported value"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			found := admit.errors(t, tc.fleet)
			switch {
			case tc.want == "" && len(found) > 0:
				t.Errorf("found errors %q, want none", found)
			case tc.want != "" && (len(found) != 1 || !strings.Contains(found[0], tc.want)):
				t.Errorf("found errors %q, want one with %q", found, tc.want)
			}
		})
	}
}

// The same file is the chart's values and the spec of a Wukong object.
func TestCatalogueIsValidAsSpec(t *testing.T) {
	admit := newAdmission(t)
	for _, path := range catalogue(t) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, message := range admit.errors(t, string(data)) {
			t.Errorf("%s: %s", filepath.Base(path), message)
		}
	}
}

func catalogue(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(repository, "templates", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) == 0 {
		t.Fatal("found no fleet in templates/")
	}
	return paths
}
