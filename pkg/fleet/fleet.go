package fleet

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"wukong.io/wukong/pkg/apis/wukong/v1alpha1"
)

// Fleet is a fleet to expand: where it lives, what it is called, and its
// description.
type Fleet struct {
	// Namespace the objects are made in.
	Namespace string
	// Name of the fleet: the Helm release, or the Wukong object.
	Name string
	// Values have the shape of a WukongSpec, as a fleet file has them.
	Values map[string]any
}

// Object is a rendered object.
type Object interface {
	metav1.Object
	runtime.Object
}

// ParseValues reads a fleet file. A key that stands twice is an error, as one
// of the two would be lost. Numbers stay as they are written.
func ParseValues(data []byte) (map[string]any, error) {
	data, err := onlyDocument(data)
	if err != nil {
		return nil, err
	}
	asJSON, err := yaml.YAMLToJSONStrict(data)
	if err != nil {
		return nil, fmt.Errorf("parsing fleet file: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(asJSON))
	decoder.UseNumber()
	var document any
	if err := decoder.Decode(&document); err != nil {
		return nil, fmt.Errorf("parsing fleet file: %w", err)
	}
	if document == nil {
		return map[string]any{}, nil
	}
	values, ok := document.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("parsing fleet file: found %T, want a map with keys such as pools and images", document)
	}
	return values, nil
}

// onlyDocument gives the one YAML document of a file: a parser would pass over
// all but the first.
func onlyDocument(data []byte) ([]byte, error) {
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	var found []byte
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return nil, fmt.Errorf("parsing fleet file: %w", err)
		}
		if !hasContent(document) {
			continue
		}
		if found != nil {
			return nil, errors.New("parsing fleet file: found a second YAML document after ---, must be one: put the fleets into files of their own")
		}
		found = document
	}
}

// hasContent says whether a YAML document is more than comments and markers.
func hasContent(document []byte) bool {
	for line := range bytes.Lines(document) {
		line = bytes.TrimSpace(line)
		if len(line) > 0 && line[0] != '#' && !bytes.Equal(line, []byte("---")) && !bytes.Equal(line, []byte("...")) {
			return true
		}
	}
	return false
}

// ValuesFromSpec gives a spec the shape of a fleet file.
func ValuesFromSpec(spec *v1alpha1.WukongSpec) (map[string]any, error) {
	return runtime.DefaultUnstructuredConverter.ToUnstructured(spec)
}
