package main

import (
	"io"
	"os"
	"path/filepath"

	"sigs.k8s.io/controller-tools/pkg/deepcopy"
	"sigs.k8s.io/controller-tools/pkg/genall"
	"sigs.k8s.io/controller-tools/pkg/loader"
	"sigs.k8s.io/controller-tools/pkg/markers"
)

// writeDeepCopy runs controller-gen's object generator.
func writeDeepCopy(root string) error {
	pkg, err := loadPackage(root)
	if err != nil {
		return err
	}
	generator := deepcopy.Generator{}
	registry := &markers.Registry{}
	if err := generator.RegisterMarkers(registry); err != nil {
		return err
	}
	ctx := &genall.GenerationContext{
		Collector:  &markers.Collector{Registry: registry},
		Checker:    &loader.TypeChecker{NodeFilters: []loader.NodeFilter{generator.CheckFilter()}},
		Roots:      []*loader.Package{pkg},
		OutputRule: toFolder(filepath.Join(root, typesFolder)),
	}
	if err := generator.Generate(ctx); err != nil {
		return err
	}
	return packageErrors(pkg)
}

// toFolder writes every artifact of a generator into one folder.
type toFolder string

// Open implements genall.OutputRule.
func (f toFolder) Open(_ *loader.Package, itemPath string) (io.WriteCloser, error) {
	return os.Create(filepath.Join(string(f), itemPath))
}
