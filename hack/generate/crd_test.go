package main

import (
	"strings"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
)

const repository = "../.."

func loadForTest(t *testing.T) *source {
	t.Helper()
	src, err := loadSource(repository)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// The apiserver refuses a definition whose CEL rules may cost too much or whose
// schema is not structural; better to learn that here than at install.
func TestCRDsAreAcceptedByTheApiserver(t *testing.T) {
	definitions, err := customResourceDefinitions(loadForTest(t))
	if err != nil {
		t.Fatal(err)
	}
	if want := 6; len(definitions) != want {
		t.Errorf("found %d kinds, want %d", len(definitions), want)
	}
	for _, definition := range definitions {
		apiextensionsv1.SetDefaults_CustomResourceDefinition(definition)
		apiextensionsv1.SetDefaults_CustomResourceDefinitionSpec(&definition.Spec)
		definition.Status.StoredVersions = []string{"v1alpha1"}
		var internal apiextensions.CustomResourceDefinition
		if err := apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(definition, &internal, nil); err != nil {
			t.Fatal(err)
		}
		for _, e := range validation.ValidateCustomResourceDefinition(t.Context(), &internal) {
			t.Errorf("%s: %v", definition.Spec.Names.Kind, e)
		}
	}
}

// Defaults in a fleet's spec would look like choices when templates are merged.
func TestOnlyFleetsHaveNoDefaults(t *testing.T) {
	definitions, err := customResourceDefinitions(loadForTest(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, definition := range definitions {
		data, err := marshalCRD(definition)
		if err != nil {
			t.Fatal(err)
		}
		kind := definition.Spec.Names.Kind
		// A default is a scalar; the property named default is a map.
		has := strings.Contains(string(data), " default: ")
		if want := kind != fleetKind; has != want {
			t.Errorf("%s: has defaults: %t, want %t", kind, has, want)
		}
	}
}
