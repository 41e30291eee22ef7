package badinput_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"wukong.io/wukong/test/stockhelm"
)

// node is a JSON schema, as far as this test reads it.
type node struct {
	Ref                  string           `json:"$ref"`
	Type                 any              `json:"type"`
	Enum                 []any            `json:"enum"`
	Properties           map[string]*node `json:"properties"`
	Items                *node            `json:"items"`
	AdditionalProperties json.RawMessage  `json:"additionalProperties"`
	Defs                 map[string]*node `json:"$defs"`
}

// valuesSchema is the schema of a fleet file.
type valuesSchema struct {
	root *node
}

func loadSchema(t *testing.T) valuesSchema {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(stockhelm.Chart("vm-fleet"), "values.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	var root node
	if err := json.Unmarshal(content, &root); err != nil {
		t.Fatal(err)
	}
	return valuesSchema{root: &root}
}

// resolve follows references, and gives the name of the last definition.
func (s valuesSchema) resolve(n *node, name string) (*node, string) {
	for n != nil && n.Ref != "" {
		def := strings.TrimPrefix(n.Ref, "#/$defs/")
		n = s.root.Defs[def]
		if n.isObject() {
			name = def
		}
	}
	return n, name
}

func (n *node) isObject() bool {
	return n != nil && slices.Contains(n.types(), "object")
}

// isString says whether any text may stand here, or one of a few.
func (n *node) isString() bool {
	return n != nil && slices.Contains(n.types(), "string")
}

func (n *node) types() []string {
	switch t := n.Type.(type) {
	case string:
		return []string{t}
	case []any:
		var names []string
		for _, name := range t {
			if text, ok := name.(string); ok {
				names = append(names, text)
			}
		}
		return names
	}
	return nil
}

// elements gives the schema of a map's values; nil if it is no map.
func (n *node) elements() *node {
	var inner node
	if len(n.AdditionalProperties) == 0 || json.Unmarshal(n.AdditionalProperties, &inner) != nil {
		return nil
	}
	return &inner
}

// isOpen says whether anything may stand in a map: patches and probes.
func (n *node) isOpen() bool {
	return n.isObject() && len(n.Properties) == 0 && n.elements() == nil && string(n.AdditionalProperties) != "false"
}

// stringFields names every field that holds a text, as <definition>.<field>; a
// list's item is #, a map's value *.
func (s valuesSchema) stringFields() []string {
	var fields []string
	seen := map[string]bool{}
	var walk func(n *node, name, path string)
	walk = func(n *node, name, path string) {
		before := name
		n, name = s.resolve(n, name)
		if n == nil {
			return
		}
		if name != before { // another definition: visit it once
			if seen[name] {
				return
			}
			seen[name] = true
			path = name
		}
		if n.isString() {
			fields = append(fields, path)
		}
		for key, property := range n.Properties {
			walk(property, name, path+"."+key)
		}
		if n.Items != nil {
			walk(n.Items, name, path+".#")
		}
		if inner := n.elements(); inner != nil && n.isObject() {
			walk(inner, name, path+".*")
		}
	}
	walk(s.root, "", "")
	slices.Sort(fields)
	return slices.Compact(fields)
}

// field names the field at a location in the values, as stringFields does, and
// gives its schema; the schema is nil inside an open map.
func (s valuesSchema) field(location []any) (name string, schema *node) {
	n, def := s.resolve(s.root, "")
	path := ""
	for _, step := range location {
		if n == nil {
			return path, nil
		}
		next, segment := n.step(step)
		if next == nil {
			return path + segment, nil
		}
		before := def
		n, def = s.resolve(next, def)
		path += segment
		if def != before {
			path = def
		}
	}
	return path, n
}

// step gives the schema of a member, and how its path goes on.
func (n *node) step(step any) (next *node, segment string) {
	key, isKey := step.(string)
	switch {
	case !isKey:
		return n.Items, ".#"
	case n.Properties[key] != nil:
		return n.Properties[key], "." + key
	default:
		return n.elements(), ".*"
	}
}

// dotted writes a location as the path of a value.
func dotted(location []any) string {
	steps := make([]string, len(location))
	for i, step := range location {
		switch v := step.(type) {
		case string:
			steps[i] = v
		case int:
			steps[i] = strconv.Itoa(v)
		}
	}
	return strings.Join(steps, ".")
}
