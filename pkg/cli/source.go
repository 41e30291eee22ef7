package cli

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
	"helm.sh/helm/v3/pkg/strvals"

	"wukong.io/wukong/pkg/apis/wukong/v1alpha1"
	"wukong.io/wukong/pkg/cli/manifest"
	"wukong.io/wukong/pkg/fleet"
)

// source is where a fleet is read from: files and single values, merged in the
// order and manner of Helm.
type source struct {
	files      []string
	json       []string
	set        []string
	setString  []string
	setFile    []string
	setLiteral []string
}

func (s *source) addFlags(flags *pflag.FlagSet) {
	flags.StringSliceVarP(&s.files, "values", "f", nil, "fleet file, or a file with a Wukong object; - is stdin; several are merged, the last wins")
	flags.StringArrayVar(&s.set, "set", nil, "set a value, as pools.web.replicas=5")
	flags.StringArrayVar(&s.setString, "set-string", nil, "set a value that is a string whatever it looks like")
	flags.StringArrayVar(&s.setFile, "set-file", nil, "set a value to the content of a file, as path=FILE")
	flags.StringArrayVar(&s.json, "set-json", nil, "set a value in JSON, as path=JSON")
	flags.StringArrayVar(&s.setLiteral, "set-literal", nil, "set a value to the text as it stands")
}

// document is one file of a fleet. A Wukong object also has a name.
type document struct {
	name, namespace string
	values          map[string]any
}

// read gives the fleet that the files and flags describe. Its name is the
// argument, else that of a Wukong object, else nothing.
func (s *source) read(env *environment, args []string) (fleet.Fleet, error) {
	if len(s.files)+len(s.set)+len(s.setString)+len(s.setFile)+len(s.json)+len(s.setLiteral) == 0 {
		return fleet.Fleet{}, usage(errors.New("no fleet file: name one with -f FILE (- is stdin), or write one with: " + env.program + " init"))
	}
	merged := document{values: map[string]any{}}
	for _, file := range s.files {
		next, err := readDocument(env, file)
		if err != nil {
			return fleet.Fleet{}, err
		}
		if next.name != "" {
			merged.name, merged.namespace = next.name, next.namespace
		}
		merged.values = mergeMaps(merged.values, next.values)
	}
	if err := s.applySets(env, merged.values); err != nil {
		return fleet.Fleet{}, usage(err)
	}
	return named(env, merged, args)
}

// named decides what the fleet is called and where it lives: what the command
// line says beats the file.
func named(env *environment, d document, args []string) (fleet.Fleet, error) {
	f := fleet.Fleet{Name: d.name, Namespace: env.namespaceFlag(), Values: d.values}
	if len(args) > 0 {
		f.Name = args[0]
	}
	if f.Namespace == "" {
		f.Namespace = d.namespace
	}
	if f.Namespace != "" {
		return f, nil
	}
	namespace, err := env.namespace()
	f.Namespace = namespace
	return f, err
}

// requireName refuses a fleet without a name: it is part of every machine's.
func requireName(env *environment, f fleet.Fleet, command string) error {
	if f.Name != "" {
		return nil
	}
	return usage(fmt.Errorf("the fleet has no name: give one, as in %q, or put the fleet into a Wukong object with metadata.name",
		env.program+" "+command+" NAME -f FILE"))
}

// nameFromFile gives a fleet without a name that of its file, for commands that
// make nothing in a cluster.
func (s *source) nameFromFile(f fleet.Fleet) fleet.Fleet {
	if f.Name != "" {
		return f
	}
	f.Name = "fleet"
	if len(s.files) > 0 && s.files[0] != "-" {
		base := filepath.Base(s.files[0])
		f.Name = strings.TrimSuffix(base, filepath.Ext(base))
	}
	return f
}

// labelOf is the value of the label that all objects of a fleet carry: its name,
// unless the file overrides it.
func labelOf(name string, values map[string]any) string {
	if override, ok := values["nameOverride"].(string); ok && override != "" {
		return override
	}
	return name
}

func readDocument(env *environment, file string) (document, error) {
	text, err := readFile(env, file)
	if err != nil {
		return document{}, fmt.Errorf("reading fleet file: %w", err)
	}
	parts, err := manifest.Split(text)
	if err != nil {
		return document{}, fmt.Errorf("reading fleet file %q: %w", file, err)
	}
	if len(parts) > 1 {
		return document{}, fmt.Errorf("reading fleet file %q: found %d YAML documents, want one: give each its own file", file, len(parts))
	}
	values, err := fleet.ParseValues(text)
	if err != nil {
		return document{}, fmt.Errorf("reading fleet file %q: %w", file, err)
	}
	d, err := unwrap(values)
	if err != nil {
		return document{}, fmt.Errorf("reading fleet file %q: %w", file, err)
	}
	return d, nil
}

func readFile(env *environment, file string) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(env.In)
	}
	return os.ReadFile(file)
}

// unwrap takes the fleet out of a Wukong object; other values are the fleet.
func unwrap(values map[string]any) (document, error) {
	_, hasVersion := values["apiVersion"]
	_, hasKind := values["kind"]
	if !hasVersion && !hasKind {
		return document{values: values}, nil
	}
	version, kind := fmt.Sprint(values["apiVersion"]), fmt.Sprint(values["kind"])
	if want := v1alpha1.SchemeGroupVersion.String(); version != want || kind != "Wukong" {
		return document{}, fmt.Errorf("found an object of apiVersion %q and kind %q, want a fleet file, or apiVersion %q and kind \"Wukong\"", version, kind, want)
	}
	for key := range values {
		switch key {
		case "apiVersion", "kind", "metadata", "spec", "status":
		default:
			return document{}, fmt.Errorf("%s: unknown key of a Wukong object, allowed are apiVersion, kind, metadata, spec: the fleet stands under spec", key)
		}
	}
	spec, ok := values["spec"].(map[string]any)
	if !ok {
		return document{}, fmt.Errorf("spec: found %s, want a map with keys such as pools and images", describe(values["spec"]))
	}
	metadata, _ := values["metadata"].(map[string]any)
	name, _ := metadata["name"].(string)
	namespace, _ := metadata["namespace"].(string)
	return document{name: name, namespace: namespace, values: spec}, nil
}

// describe says what kind of value stands where a map should.
func describe(value any) string {
	switch value := value.(type) {
	case nil:
		return "nothing"
	case []any:
		return "a list"
	case string:
		return fmt.Sprintf("%q", value)
	default:
		return fmt.Sprint(value)
	}
}

// applySets applies the flags in Helm's order.
func (s *source) applySets(env *environment, values map[string]any) error {
	steps := []struct {
		flag  string
		given []string
		apply func(string) error
	}{
		{"set-json", s.json, func(v string) error { return setJSON(v, values) }},
		{"set", s.set, func(v string) error { return strvals.ParseInto(v, values) }},
		{"set-string", s.setString, func(v string) error { return strvals.ParseIntoString(v, values) }},
		{"set-file", s.setFile, func(v string) error {
			return strvals.ParseIntoFile(v, values, func(path []rune) (any, error) {
				content, err := readFile(env, string(path))
				return string(content), err
			})
		}},
		{"set-literal", s.setLiteral, func(v string) error { return strvals.ParseLiteralInto(v, values) }},
	}
	for _, step := range steps {
		for _, value := range step.given {
			if err := step.apply(value); err != nil {
				return fmt.Errorf("parsing --%s %q: %w", step.flag, value, err)
			}
		}
	}
	return nil
}

// setJSON takes path=JSON, or a whole map, as Helm does.
func setJSON(value string, values map[string]any) error {
	if !strings.HasPrefix(strings.TrimSpace(value), "{") {
		return strvals.ParseJSON(value, values)
	}
	whole, err := fleet.ParseValues([]byte(value))
	if err != nil {
		return err
	}
	maps.Copy(values, mergeMaps(values, whole))
	return nil
}

// mergeMaps merges as Helm merges files: maps key by key, everything else is
// replaced.
func mergeMaps(under, over map[string]any) map[string]any {
	merged := maps.Clone(under)
	for key, value := range over {
		upper, isMap := value.(map[string]any)
		lower, wasMap := merged[key].(map[string]any)
		if isMap && wasMap {
			merged[key] = mergeMaps(lower, upper)
			continue
		}
		merged[key] = value
	}
	return merged
}
