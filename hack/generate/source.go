package main

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"golang.org/x/tools/go/packages"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/controller-tools/pkg/crd"
	crdmarkers "sigs.k8s.io/controller-tools/pkg/crd/markers"
	"sigs.k8s.io/controller-tools/pkg/loader"
	"sigs.k8s.io/controller-tools/pkg/markers"
)

// source is the parsed API package.
type source struct {
	pkg    *loader.Package
	parser *crd.Parser
}

// loadSource parses the API package as controller-gen does, so that the CRDs
// and the values schema cannot disagree about what a marker means.
func loadSource(root string) (*source, error) {
	pkg, err := loadPackage(root)
	if err != nil {
		return nil, err
	}
	registry := &markers.Registry{}
	if err := crdmarkers.Register(registry); err != nil {
		return nil, err
	}
	parser := &crd.Parser{
		Collector: &markers.Collector{Registry: registry},
		Checker:   &loader.TypeChecker{NodeFilters: []loader.NodeFilter{crd.Generator{}.CheckFilter()}},
	}
	crd.AddKnownTypes(parser)
	parser.NeedPackage(pkg)
	return &source{pkg: pkg, parser: parser}, packageErrors(pkg)
}

func loadPackage(root string) (*loader.Package, error) {
	pkgs, err := loader.LoadRootsWithConfig(&packages.Config{Dir: root}, "./"+typesFolder)
	if err != nil {
		return nil, err
	}
	if len(pkgs) != 1 {
		return nil, fmt.Errorf("finding %s: found %d packages, want 1", typesFolder, len(pkgs))
	}
	return pkgs[0], nil
}

// packageErrors gathers what the parser noted instead of returning. Type errors
// are expected: the parser type-checks no more than what declares types.
func packageErrors(pkg *loader.Package) error {
	errs := make([]error, 0, len(pkg.Errors))
	for _, e := range pkg.Errors {
		if e.Kind != packages.TypeError {
			errs = append(errs, e)
		}
	}
	return errors.Join(errs...)
}

// typ names a type of the API package.
func (s *source) typ(name string) crd.TypeIdent {
	return crd.TypeIdent{Package: s.pkg, Name: name}
}

// schema is the unflattened schema of a type: it refers to other types by name.
func (s *source) schema(typ crd.TypeIdent) (apiextensionsv1.JSONSchemaProps, error) {
	s.parser.NeedSchemaFor(typ)
	if err := packageErrors(typ.Package); err != nil {
		return apiextensionsv1.JSONSchemaProps{}, err
	}
	props, ok := s.parser.Schemata[typ]
	if !ok {
		return apiextensionsv1.JSONSchemaProps{}, fmt.Errorf("finding schema of %s: not found", typ)
	}
	return props, nil
}

// resolve gives the type that a schema reference within pkg means.
func (s *source) resolve(ref string, pkg *loader.Package) (crd.TypeIdent, error) {
	name, path, err := crd.RefParts(ref)
	if err != nil {
		return crd.TypeIdent{}, err
	}
	if path == "" {
		return crd.TypeIdent{Package: pkg, Name: name}, nil
	}
	imported := pkg.Imports()[path]
	if imported == nil {
		return crd.TypeIdent{}, fmt.Errorf("resolving %q: %s does not import %s", ref, pkg.PkgPath, path)
	}
	return crd.TypeIdent{Package: imported, Name: name}, nil
}

// fields lists a type's fields in the order of their declaration, which is the
// order people should read them in.
func (s *source) fields(typ crd.TypeIdent) []string {
	info := s.parser.LookupType(typ.Package, typ.Name)
	if info == nil {
		return nil
	}
	names := make([]string, 0, len(info.Fields))
	for _, field := range info.Fields {
		if name := jsonName(field.Tag); name != "" {
			names = append(names, name)
		}
	}
	return names
}

func jsonName(tag reflect.StructTag) string {
	name, _, _ := strings.Cut(tag.Get("json"), ",")
	if name == "-" {
		return ""
	}
	return name
}

// firstSentence shortens a description to what a tooltip can show.
func firstSentence(doc string) string {
	text := strings.Join(strings.Fields(doc), " ")
	for i := 0; i+2 < len(text); i++ {
		if text[i] == '.' && text[i+1] == ' ' && text[i+2] >= 'A' && text[i+2] <= 'Z' {
			return text[:i+1]
		}
	}
	return text
}
