package cdi

import (
	"embed"
	"fmt"
	"io/fs"
	"path"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

//go:embed crds
var crdFiles embed.FS

// CRDs are CDI's definitions, generated from its API module, with what CDI's webhooks refuse whatever the
// state of the cluster added as rules. So an immutable spec stays immutable even while Run does not run.
func CRDs() ([]*apiextensionsv1.CustomResourceDefinition, error) {
	files, err := fs.Glob(crdFiles, "crds/*.yaml")
	if err != nil {
		return nil, err
	}
	var crds []*apiextensionsv1.CustomResourceDefinition
	for _, file := range files {
		data, err := crdFiles.ReadFile(file)
		if err != nil {
			return nil, err
		}
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if err := yaml.UnmarshalStrict(data, crd); err != nil {
			return nil, fmt.Errorf("decoding %q: %w", path.Base(file), err)
		}
		if err := addRules(crd); err != nil {
			return nil, err
		}
		crds = append(crds, crd)
	}
	return crds, nil
}

// rules are what CDI's webhooks say about the spec of each kind.
func rules(kind string) apiextensionsv1.ValidationRules {
	immutable := func(message string) apiextensionsv1.ValidationRule {
		return apiextensionsv1.ValidationRule{Rule: "self == oldSelf", Message: message}
	}
	switch kind {
	case "DataVolume":
		return apiextensionsv1.ValidationRules{
			immutable("Cannot update DataVolume Spec"),
			{Rule: "has(self.pvc) || has(self.storage)", Message: "Missing Data volume PVC"},
			{Rule: "!(has(self.pvc) && has(self.storage))", Message: "Duplicate storage definition, both target storage and target pvc defined"},
		}
	case "DataImportCron":
		return apiextensionsv1.ValidationRules{immutable("Cannot update DataImportCron Spec")}
	case "VolumeImportSource", "VolumeUploadSource", "VolumeCloneSource":
		return apiextensionsv1.ValidationRules{immutable("Cannot update " + kind + " Spec")}
	case "ObjectTransfer":
		return apiextensionsv1.ValidationRules{immutable("ObjectTransfer spec is immutable")}
	default:
		return nil
	}
}

func addRules(crd *apiextensionsv1.CustomResourceDefinition) error {
	wanted := rules(crd.Spec.Names.Kind)
	if wanted == nil {
		return nil
	}
	for i := range crd.Spec.Versions {
		schema := crd.Spec.Versions[i].Schema.OpenAPIV3Schema
		spec, ok := schema.Properties["spec"]
		if !ok {
			return fmt.Errorf("the schema of %q has no spec", crd.Name)
		}
		spec.XValidations = append(spec.XValidations, wanted...)
		schema.Properties["spec"] = spec
	}
	return nil
}
