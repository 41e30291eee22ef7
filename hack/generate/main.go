// Command generate writes everything that follows from the Go types in
// pkg/apis: deepcopy code, custom resource definitions, the values schema and
// the commented values of charts/vm-fleet, and the reference of its values.
//
// Usage: go -C hack/generate run . -root ../..
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

// Where generated files stand, from the root of the repository.
const (
	typesFolder    = "pkg/apis/wukong/v1alpha1"
	crdFolder      = "charts/wukong/files/crds"
	schemaFile     = "charts/vm-fleet/values.schema.json"
	valuesFile     = "charts/vm-fleet/values.yaml"
	valuesPageFile = "docs/reference/values.md"
)

func main() {
	root := flag.String("root", "../..", "root of the repository")
	flag.Parse()
	if err := generate(*root); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

// generate writes every output. Deepcopy code comes first, as the types are
// whole only with it.
func generate(root string) error {
	if err := writeDeepCopy(root); err != nil {
		return fmt.Errorf("writing deepcopy code: %w", err)
	}
	src, err := loadSource(root)
	if err != nil {
		return fmt.Errorf("loading types: %w", err)
	}
	steps := []struct {
		what  string
		write func(src *source, root string) error
	}{
		{"custom resource definitions", writeCRDs},
		{"values schema", writeSchema},
		{"values", writeValues},
		{"values reference", writeValuesPage},
	}
	for _, step := range steps {
		if err := step.write(src, root); err != nil {
			return fmt.Errorf("writing %s: %w", step.what, err)
		}
	}
	return nil
}

// writeFile writes one output and makes its folder.
func writeFile(root, name string, data []byte) error {
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}
