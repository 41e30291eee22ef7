// Package manifest reads the YAML of many objects into what the commands work
// with, keeping their order.
package manifest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// Key names an object in the cluster.
type Key struct {
	Group, Kind, Namespace, Name string
}

// KeyOf names an object. The namespace is the given one where the object does
// not say, as in a rendered manifest.
func KeyOf(object *unstructured.Unstructured, namespace string) Key {
	kind := object.GroupVersionKind()
	key := Key{Group: kind.Group, Kind: kind.Kind, Namespace: object.GetNamespace(), Name: object.GetName()}
	if key.Namespace == "" {
		key.Namespace = namespace
	}
	return key
}

// Parse reads the objects of a multi-document YAML text, in its order.
func Parse(text []byte) ([]*unstructured.Unstructured, error) {
	documents, err := Split(text)
	if err != nil {
		return nil, err
	}
	objects := make([]*unstructured.Unstructured, len(documents))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, document := range documents {
		group.Go(func() error {
			object, err := parse(document)
			if err != nil {
				return fmt.Errorf("parsing document %d: %w", i+1, err)
			}
			objects[i] = object
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return objects, nil
}

// parse reads one object with the types the API machinery gives, whole numbers
// as int64, so that it compares with one from the cluster.
func parse(document []byte) (*unstructured.Unstructured, error) {
	text, err := yaml.YAMLToJSON(document)
	if err != nil {
		return nil, err
	}
	var content map[string]any
	if err := utiljson.Unmarshal(text, &content); err != nil {
		return nil, err
	}
	return &unstructured.Unstructured{Object: content}, nil
}

// Split cuts a multi-document YAML text into its documents and drops those
// that hold nothing but comments.
func Split(text []byte) ([][]byte, error) {
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	var documents [][]byte
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return documents, nil
		}
		if err != nil {
			return nil, fmt.Errorf("splitting documents: %w", err)
		}
		if !blank(document) {
			documents = append(documents, document)
		}
	}
}

func blank(document []byte) bool {
	for line := range bytes.Lines(document) {
		line = bytes.TrimSpace(line)
		if len(line) > 0 && line[0] != '#' && !bytes.Equal(line, []byte("---")) {
			return false
		}
	}
	return true
}

// Kinds gives the kinds of the objects, each once, in order of appearance.
func Kinds(objects []*unstructured.Unstructured) []schema.GroupVersionKind {
	seen := map[schema.GroupVersionKind]bool{}
	var kinds []schema.GroupVersionKind
	for _, object := range objects {
		kind := object.GroupVersionKind()
		if !seen[kind] {
			seen[kind] = true
			kinds = append(kinds, kind)
		}
	}
	return kinds
}
