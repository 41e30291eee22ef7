package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"sigs.k8s.io/yaml"
)

// compile reads the schema as Helm 3.22 and 4.3 do.
func compile(t *testing.T) *jsonschema.Schema {
	t.Helper()
	document, err := schemaDocument(loadForTest(t))
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("file:///values.schema.json", parsed); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("file:///values.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// parse reads values as Helm does: every number is a float64.
func parse(t *testing.T, values string) any {
	t.Helper()
	var out any
	if err := yaml.Unmarshal([]byte(values), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestCatalogueIsValidAsValues(t *testing.T) {
	schema := compile(t)
	for _, path := range append(catalogue(t), "example.yaml", filepath.Join(repository, valuesFile)) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(parse(t, string(data))); err != nil {
			t.Errorf("%s: %v", filepath.Base(path), err)
		}
	}
}

func TestSchema(t *testing.T) {
	schema := compile(t)
	cases := map[string]struct {
		values string
		want   string // part of the error; none if empty
	}{
		"accepts Helm's own keys":           {values: "{global: {a: {b: 1}}, nameOverride: shop, vm-library: {global: {a: {b: 1}}}}"},
		"accepts any patch":                 {values: "pools: {a: {template: {patch: {spec: {template: null}}}}}"},
		"accepts any probe and affinity":    {values: "pools: {a: {template: {readinessProbe: {x: 1}, livenessProbe: {y: []}, placement: {affinity: {z: a}}}}}"},
		"accepts a size in bytes":           {values: "pools: {a: {template: {disks: {b: {size: 1073741824}}}}}"},
		"accepts an empty source":           {values: "pools: {a: {template: {disks: {b: {size: 1Gi, source: {empty: {}}}}}}}"},
		"rejects an unknown key":            {"imges: {}", "at '': additional properties 'imges' not allowed"},
		"rejects an unknown key deep down":  {"pools: {a: {template: {disks: {b: {source: {empty: {c: 1}}}}}}}", "at '/pools/a/template/disks/b/source/empty': additional properties 'c' not allowed"},
		"rejects an unknown key of Helm's":  {"vm-library: {a: 1}", "at '/vm-library': additional properties 'a' not allowed"},
		"rejects a quoted number":           {`pools: {a: {replicas: "3"}}`, "at '/pools/a/replicas': got string, want integer"},
		"rejects a fraction":                {"pools: {a: {template: {resources: {cpu: 1.5}}}}", "at '/pools/a/template/resources/cpu': got number, want integer"},
		"rejects a number past int32":       {"pools: {a: {updateStrategy: {partition: 9999999999}}}", "at '/pools/a/updateStrategy/partition': maximum"},
		"rejects a word that is not known":  {"expand: sever", "at '/expand': value must be one of 'client', 'server'"},
		"rejects a list for a map":          {"pools: []", "at '/pools': got array, want object"},
		"rejects a missing required key":    {"hostNetworks: {a: {}}", "at '/hostNetworks/a': missing property 'port'"},
		"rejects an odd quantity":           {"images: {a: {size: 4GiB}}", "at '/images/a/size': '4GiB' does not match pattern"},
		"rejects a patch that is no object": {"defaults: {patch: [1]}", "at '/defaults/patch': got array, want object"},
		"rejects a user named twice":        {"defaults: {accessCredentials: {sshPublicKeys: {secretName: a, users: [b, b]}}}", "items at 0 and 1 are equal"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			err := schema.Validate(parse(t, tc.values))
			switch {
			case tc.want == "" && err != nil:
				t.Errorf("found %v, want no error", err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("found %v, want an error with %q", err, tc.want)
			}
		})
	}
}

func TestKeys(t *testing.T) {
	schema := compile(t)
	cases := map[string]struct {
		field string // with %s for the key
		good  []string
		wrong []string
	}{
		"pools": {
			"{pools: {%s: {}}}",
			[]string{"a", "web", "web2", "web-eu", "a-b-c9", strings.Repeat("a", 63)},
			[]string{"", "Web", "2web", "web-2", "web-", "-web", "a--b", "a_b", "a.b", "a b", "a/b", "a\n", "\n", "é", "а", strings.Repeat("a", 64)},
		},
		"overrides": {
			"{pools: {a: {overrides: {%s: {}}}}}",
			[]string{"0", "1", "10", "99999"},
			[]string{"", "00", "01", "-1", "a", "1a", "1.0", "1 ", "1\n", "١"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			for _, key := range tc.good {
				if err := schema.Validate(parse(t, fmt.Sprintf(tc.field, strconv.Quote(key)))); err != nil {
					t.Errorf("key %q: found %v, want no error", key, err)
				}
			}
			for _, key := range tc.wrong {
				err := schema.Validate(parse(t, fmt.Sprintf(tc.field, strconv.Quote(key))))
				if err == nil || !strings.Contains(err.Error(), "under another key: keys are ") || !strings.Contains(err.Error(), name+"/") {
					t.Errorf("key %q: found %v, want an error at its path", key, err)
				}
			}
		})
	}
}
