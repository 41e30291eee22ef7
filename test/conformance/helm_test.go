// Package conformance_test holds pkg/fleet, stock helm 3 and stock helm 4
// against each other: one chart, one result.
package conformance_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"wukong.io/wukong/pkg/fleet"
	"wukong.io/wukong/templates"
	"wukong.io/wukong/test/fleettest"
	"wukong.io/wukong/test/stockhelm"
)

// randomFleets is how many fleets are compared beside the catalogue.
const randomFleets = 40

// fleetCase is a fleet to compare.
type fleetCase struct {
	name      string
	namespace string
	release   string
	values    []byte
}

// catalogue gives the files of the catalogue.
func catalogue(t *testing.T) []fleetCase {
	t.Helper()
	list, err := templates.List()
	if err != nil {
		t.Fatal(err)
	}
	cases := make([]fleetCase, 0, len(list))
	for _, template := range list {
		values, err := templates.Get(template.Name)
		if err != nil {
			t.Fatal(err)
		}
		cases = append(cases, fleetCase{name: template.Name, namespace: "prod", release: "shop", values: values})
	}
	return cases
}

// random gives random fleets.
func random(t *testing.T) []fleetCase {
	t.Helper()
	cases := make([]fleetCase, 0, randomFleets)
	for seed := range uint64(randomFleets) {
		f := fleettest.Fleet(seed)
		values, err := yaml.Marshal(f.Values)
		if err != nil {
			t.Fatal(err)
		}
		cases = append(cases, fleetCase{name: fmt.Sprintf("seed-%d", seed), namespace: f.Namespace, release: f.Name, values: values})
	}
	return cases
}

func TestHelmAndEngineAreOne(t *testing.T) {
	if testing.Short() {
		t.Skip("runs helm for every fleet")
	}
	renderer, err := fleet.New()
	if err != nil {
		t.Fatal(err)
	}
	cases := append(catalogue(t), random(t)...)
	for _, helm := range stockhelm.Programs(t) {
		for _, tc := range cases {
			t.Run(helm.Name+"/"+tc.name, func(t *testing.T) {
				t.Parallel()
				compare(t, helm, renderer, tc)
			})
		}
	}
}

func compare(t *testing.T, helm stockhelm.Program, renderer *fleet.Renderer, tc fleetCase) {
	t.Helper()
	manifests, err := helm.Template(t, stockhelm.Rendering{
		Chart: stockhelm.Chart("vm-fleet"), Namespace: tc.namespace, Release: tc.release, Values: tc.values,
	})
	if err != nil {
		t.Fatal(err)
	}
	values, err := fleet.ParseValues(tc.values)
	if err != nil {
		t.Fatal(err)
	}
	f := fleet.Fleet{Namespace: tc.namespace, Name: tc.release, Values: values}
	want := read(t, manifests)

	ours, err := renderer.Manifests(t.Context(), f, fleet.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, read(t, ours)); diff != "" {
		t.Errorf("the engine's manifests differ (-helm +engine):\n%s", diff)
	}

	objects, err := renderer.Render(t.Context(), f, fleet.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(typed(t, want), texts(t, objects)); diff != "" {
		t.Errorf("the engine's objects differ (-helm +engine):\n%s", diff)
	}
}

// read gives the objects of manifests by their identity.
func read(t *testing.T, manifests []byte) map[string]map[string]any {
	t.Helper()
	objects, err := stockhelm.Objects(manifests)
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]map[string]any, len(objects))
	for _, o := range objects {
		id := identity(&o)
		if _, twice := found[id]; twice {
			t.Errorf("%s is there twice", id)
		}
		found[id] = o.Object
	}
	return found
}

func identity(o fleet.Object) string {
	return fmt.Sprintf("%s %s/%s", o.GetObjectKind().GroupVersionKind(), o.GetNamespace(), o.GetName())
}

// typed reads helm's objects into their types, where an unknown field is an
// error, and gives what they say.
func typed(t *testing.T, objects map[string]map[string]any) map[string]string {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := fleet.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	found := make(map[string]string, len(objects))
	for id, content := range objects {
		o := &unstructured.Unstructured{Object: content}
		created, err := scheme.New(o.GroupVersionKind())
		switch {
		case runtime.IsNotRegisteredError(err):
			created = o
		case err != nil:
			t.Fatal(err)
		default:
			if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(content, created, true); err != nil {
				t.Errorf("%s does not fit its type: %v", id, err)
			}
		}
		found[id] = text(t, created)
	}
	return found
}

func texts(t *testing.T, objects []fleet.Object) map[string]string {
	t.Helper()
	found := make(map[string]string, len(objects))
	for _, o := range objects {
		found[identity(o)] = text(t, o)
	}
	return found
}

func text(t *testing.T, o any) string {
	t.Helper()
	data, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestNewChartRestartsNothing is E7: another version of the chart changes no
// machine's spec.
func TestNewChartRestartsNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("runs helm for every fleet")
	}
	newer := newerCharts(t)
	for _, helm := range stockhelm.Programs(t) {
		for _, tc := range catalogue(t) {
			t.Run(helm.Name+"/"+tc.name, func(t *testing.T) {
				t.Parallel()
				run := stockhelm.Rendering{Chart: stockhelm.Chart("vm-fleet"), Namespace: tc.namespace, Release: tc.release, Values: tc.values}
				before := machineSpecs(t, helm, run, "vm-fleet-0.1.0")
				run.Chart = newer
				after := machineSpecs(t, helm, run, "vm-fleet-9.8.7")
				if diff := cmp.Diff(before, after); diff != "" {
					t.Errorf("a new chart changes machines (-old +new):\n%s", diff)
				}
			})
		}
	}
}

// newerCharts copies the charts and gives them another version.
func newerCharts(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"vm-fleet", "vm-library"} {
		if err := os.CopyFS(filepath.Join(dir, name), os.DirFS(stockhelm.Chart(name))); err != nil && !errors.Is(err, os.ErrExist) {
			t.Fatal(err)
		}
		file := filepath.Join(dir, name, "Chart.yaml")
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		changed := strings.ReplaceAll(string(content), "0.1.0", "9.8.7")
		if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "vm-fleet")
}

// machineSpecs gives the specs of the machines of a run, and checks the chart
// that they came from.
func machineSpecs(t *testing.T, helm stockhelm.Program, run stockhelm.Rendering, chart string) map[string]any {
	t.Helper()
	manifests, err := helm.Template(t, run)
	if err != nil {
		t.Fatal(err)
	}
	specs := map[string]any{}
	for id, object := range read(t, manifests) {
		o := unstructured.Unstructured{Object: object}
		if got := o.GetLabels()["helm.sh/chart"]; got != chart {
			t.Errorf("%s is from chart %q, want %q", id, got, chart)
		}
		if o.GetKind() == "VirtualMachine" {
			specs[id] = object["spec"]
		}
	}
	return specs
}
