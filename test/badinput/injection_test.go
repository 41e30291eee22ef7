package badinput_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"wukong.io/wukong/pkg/fleet"
)

// payload is a text that a careless template would let out of its place.
type payload struct {
	name string
	text string
}

func payloads() []payload {
	return []payload{
		{"quotes", `a"b'c`},
		{"line", "a\nb: c"},
		{"template", "{{ .Release.Name }}{{ fail `x` }}"},
		{"anchor", "&a *a"},
		{"alias", "*a"},
		{"tag", "!!binary aGk="},
		{"document", "a\n---\nkind: Secret\napiVersion: v1\n"},
		{"document at the start", "---\nkind: Secret"},
		{"flow", "}, evil: {a: [b]"},
		{"comment", "a #b: c"},
		{"directive", "%YAML 1.2"},
		{"escape", `a\nb\u0041\`},
		{"spaces", "  a  "},
		{"tabs and returns", "a\tb\r\nc\r"},
		{"bell", "a\x07b"},
		{"escape sequence", "\x1b[31ma"},
		{"nul", "a\x00b"},
		{"bool", "yes"},
		{"null", "null"},
		{"octal", "0123"},
		{"float", "1e3"},
		{"sexagesimal", "12:34:56"},
		{"date", "2024-01-01"},
		{"merge", "<<"},
		{"shell", "$(reboot) `reboot` ${X}"},
		{"format", "%s%d%!n"},
		{"unknown token", "@@nosuch@@"},
		{"inner token", "@0123456789ab.n@"},
		{"no value", "<no value>"},
		{"right to left", "a\u202eb\u200b\ufeffc"},
		{"line separators", "a\u0085b\u2028c\u2029d"},
		{"emoji", "🐒 é 日本"},
		{"a MiB", strings.Repeat("A", 1<<20)},
	}
}

// base is a valid fleet whose texts each appear once.
type base struct {
	name   string
	values map[string]any
}

func loadBases(t *testing.T) []base {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "injection", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var bases []base
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		values, err := fleet.ParseValues(content)
		if err != nil {
			t.Fatal(err)
		}
		bases = append(bases, base{name: strings.TrimSuffix(filepath.Base(file), ".yaml"), values: values})
	}
	return append(bases, moved(t, bases)...)
}

// moved gives the machine of machine.yaml from the defaults, and from an
// override.
func moved(t *testing.T, bases []base) []base {
	t.Helper()
	i := slices.IndexFunc(bases, func(b base) bool { return b.name == "machine" })
	if i < 0 {
		t.Fatal("testdata/injection/machine.yaml is missing")
	}
	template := at(bases[i].values, []any{"pools", "web", "template"})
	return []base{
		{name: "defaults", values: map[string]any{
			"defaults": template, "pools": map[string]any{"web": map[string]any{}},
		}},
		{name: "override", values: map[string]any{
			"pools": map[string]any{"web": map[string]any{
				"template":  map[string]any{"resources": map[string]any{"memory": "1Gi"}},
				"overrides": map[string]any{"0": template},
			}},
		}},
	}
}

// place is a text in a base: a value, or a key of a map.
type place struct {
	location []any
	field    string
	text     string
	isKey    bool
	isEnum   bool
}

// places finds every text of a base.
func places(schema valuesSchema, values map[string]any) []place {
	var found []place
	var walk func(value any, location []any)
	walk = func(value any, location []any) {
		name, s := schema.field(location)
		switch v := value.(type) {
		case map[string]any:
			free := s == nil || len(s.Properties) == 0
			for key, inner := range v {
				next := append(slices.Clip(location), key)
				if free && s != nil && !s.isOpen() {
					found = append(found, place{location: next, field: name + " (a key)", text: key, isKey: true})
				}
				walk(inner, next)
			}
		case []any:
			for i, inner := range v {
				walk(inner, append(slices.Clip(location), i))
			}
		case string:
			found = append(found, place{location: location, field: name, text: v, isEnum: s != nil && len(s.Enum) > 0})
		}
	}
	walk(values, nil)
	slices.SortFunc(found, func(a, b place) int { return strings.Compare(dotted(a.location), dotted(b.location)) })
	return found
}

// TestEveryTextFieldIsCovered fails when the types get a field that no base
// sets.
func TestEveryTextFieldIsCovered(t *testing.T) {
	schema := loadSchema(t)
	covered := map[string]bool{}
	for _, b := range loadBases(t) {
		for _, p := range places(schema, b.values) {
			covered[p.field] = true
		}
	}
	fields := schema.stringFields()
	if len(fields) < 100 {
		t.Fatalf("found %d text fields in the schema, too few: %q", len(fields), fields)
	}
	for _, field := range fields {
		// A pool's policy selects the pool, and may name nothing else.
		if strings.HasPrefix(field, "LabelSelector") || field == "SnapshotPolicySpec.virtualMachines.#" {
			continue
		}
		if !covered[field] {
			t.Errorf("no file of testdata/injection sets %s", field)
		}
	}
}

// TestNoTextBreaksOut puts every payload into every text field: either that
// field is named in an error, or the objects are those of the base with the
// payload in the text's place, and nothing else is different.
func TestNoTextBreaksOut(t *testing.T) {
	renderer, err := fleet.New()
	if err != nil {
		t.Fatal(err)
	}
	schema := loadSchema(t)
	for _, b := range loadBases(t) {
		list := payloads()
		if testing.Short() || b.name == "defaults" || b.name == "override" {
			list = list[:8]
		}
		sound := objectsOf(t, renderer, b.values)
		for _, p := range places(schema, b.values) {
			t.Run(b.name+"/"+dotted(p.location), func(t *testing.T) {
				t.Parallel()
				for _, load := range list {
					inject(t, renderer, b, p, load, sound)
				}
			})
		}
	}
}

func inject(t *testing.T, renderer *fleet.Renderer, b base, p place, load payload, sound any) {
	t.Helper()
	values := p.put(b.values, load.text)
	got, err := render(t, renderer, values)
	if p.isName() && goodName.MatchString(load.text) {
		return // another name is another machine
	}
	if err == nil {
		want := replaceText(sound, p.text, load.text)
		if !reflect.DeepEqual(want, got) {
			t.Errorf("%s: %s broke out:\n%s", load.name, p.field, firstDifference(want, got))
		}
		return
	}
	var list fleet.ErrorList
	if !errors.As(err, &list) {
		t.Errorf("%s: want a list of mistakes, got: %.300v", load.name, err)
		return
	}
	if len(err.Error()) > 20_000 {
		t.Errorf("%s: the message has %d bytes", load.name, len(err.Error()))
	}
	if !slices.ContainsFunc(fromList(list), p.blames) {
		t.Errorf("%s: no mistake is at %s: %.600v", load.name, dotted(p.location), err)
	}
}

// blames says whether a mistake is about this place. What is too long may be
// so together with its neighbours.
func (p place) blames(m mistake) bool {
	around := dotted(p.location[:len(p.location)-1])
	return near(m, dotted(p.location)) || p.isKey && near(m, around) ||
		plainPath(m.path) == plainPath(around) && strings.Contains(m.message, "in all")
}

//nolint:gochecknoglobals // compiled once
var goodName = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z][a-z0-9]*)*$`)

// isName says whether the text is a part of objects' names, and so of their
// identity.
func (p place) isName() bool {
	if dotted(p.location) == "nameOverride" {
		return true
	}
	if !p.isKey {
		return false
	}
	switch p.location[len(p.location)-2] {
	case "pools", "images", "hostNetworks", "disks", "networks", "services":
		return true
	}
	return false
}

// put gives a copy of the values with a text in this place.
func (p place) put(values map[string]any, text string) map[string]any {
	changed, ok := deepCopy(values).(map[string]any)
	if !ok {
		return nil
	}
	last := p.location[len(p.location)-1]
	switch holder := at(changed, p.location[:len(p.location)-1]).(type) {
	case map[string]any:
		key, _ := last.(string)
		if p.isKey {
			value := holder[key]
			delete(holder, key)
			holder[text] = value
		} else {
			holder[key] = text
		}
	case []any:
		if i, ok := last.(int); ok {
			holder[i] = text
		}
	}
	return changed
}

func at(value any, location []any) any {
	for _, step := range location {
		switch v := value.(type) {
		case map[string]any:
			key, _ := step.(string)
			value = v[key]
		case []any:
			i, _ := step.(int)
			value = v[i]
		}
	}
	return value
}

func deepCopy(value any) any {
	switch v := value.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, inner := range v {
			out[key] = deepCopy(inner)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, inner := range v {
			out[i] = deepCopy(inner)
		}
		return out
	}
	return value
}

func objectsOf(t *testing.T, renderer *fleet.Renderer, values map[string]any) any {
	t.Helper()
	objects, err := render(t, renderer, values)
	if err != nil {
		t.Fatalf("the base is not valid: %v", err)
	}
	return objects
}

// render gives a fleet's objects as plain values, with what stands in them as
// text read too.
func render(t *testing.T, renderer *fleet.Renderer, values map[string]any) (any, error) {
	t.Helper()
	f := fleet.Fleet{Namespace: "prod", Name: "shop", Values: values}
	objects, err := renderer.Render(t.Context(), f, fleet.Options{Parallelism: 1})
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(objects)
	if err != nil {
		return nil, err
	}
	var plain []any
	if err := json.Unmarshal(data, &plain); err != nil {
		return nil, err
	}
	for _, object := range plain {
		unpack(object)
	}
	return maskHashes(plain), nil
}

// unpack reads the documents that stand in an object as text.
func unpack(object any) {
	read := func(holder map[string]any, key, start string) {
		text, ok := holder[key].(string)
		if !ok || !strings.HasPrefix(text, start) { // raw
			return
		}
		var inner any
		if err := yaml.Unmarshal([]byte(text), &inner); err == nil {
			if _, isText := inner.(string); !isText && inner != nil {
				holder[key] = inner
			}
		}
	}
	o, _ := object.(map[string]any)
	switch o["kind"] {
	case "Secret":
		if data, ok := o["stringData"].(map[string]any); ok {
			read(data, "userdata", "#cloud-config\n")
			read(data, "networkdata", "ethernets:\n")
		}
	case "NetworkAttachmentDefinition":
		if spec, ok := o["spec"].(map[string]any); ok {
			read(spec, "config", "{")
		}
	}
}

//nolint:gochecknoglobals // compiled once
var hashed = regexp.MustCompile(`^((?:shop|wkfleet)-.*-)[0-9a-f]{8}$`)

// maskHashes hides the hashes in names, which are other ones for other specs.
func maskHashes(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			v[key] = maskHashes(inner)
		}
	case []any:
		for i, inner := range v {
			v[i] = maskHashes(inner)
		}
	case string:
		return hashed.ReplaceAllString(v, "${1}HASH")
	}
	return value
}

// replaceText gives a copy with one text in another's place, wherever it is a
// whole word.
func replaceText(value any, old, text string) any {
	word := regexp.MustCompile(`(^|[^A-Za-z0-9])` + regexp.QuoteMeta(old) + `($|[^A-Za-z0-9])`)
	replacement := "${1}" + strings.ReplaceAll(text, "$", "$$") + "${2}"
	var replace func(value any) any
	replace = func(value any) any {
		switch v := value.(type) {
		case map[string]any:
			out := make(map[string]any, len(v))
			for key, inner := range v {
				out[word.ReplaceAllString(key, replacement)] = replace(inner)
			}
			return out
		case []any:
			out := make([]any, len(v))
			for i, inner := range v {
				out[i] = replace(inner)
			}
			return out
		case string:
			return word.ReplaceAllString(v, replacement)
		}
		return value
	}
	return replace(value)
}

// firstDifference says where two values differ.
func firstDifference(want, got any) string {
	var find func(a, b any, path string) string
	find = func(a, b any, path string) string {
		left, leftIsMap := a.(map[string]any)
		right, rightIsMap := b.(map[string]any)
		if leftIsMap && rightIsMap {
			for key := range left {
				if d := find(left[key], right[key], path+"."+key); d != "" {
					return d
				}
			}
			for key := range right {
				if _, ok := left[key]; !ok {
					return fmt.Sprintf("%s.%.60s: new", path, key)
				}
			}
			return ""
		}
		first, firstIsList := a.([]any)
		second, secondIsList := b.([]any)
		if firstIsList && secondIsList && len(first) == len(second) {
			for i := range first {
				if d := find(first[i], second[i], fmt.Sprintf("%s[%d]", path, i)); d != "" {
					return d
				}
			}
			return ""
		}
		if !reflect.DeepEqual(a, b) {
			return fmt.Sprintf("%.300s:\n  want %.300q\n  got  %.300q", path, fmt.Sprint(a), fmt.Sprint(b))
		}
		return ""
	}
	return find(want, got, "")
}
