package fleet_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"wukong.io/wukong/pkg/fleet"
	"wukong.io/wukong/test/fleettest"
)

// TestCopiesAreWhatIsWritten compares the objects, most of which are copies of
// a pool's prototype, with the manifests, in which each machine is written.
func TestCopiesAreWhatIsWritten(t *testing.T) {
	renderer, err := fleet.New()
	if err != nil {
		t.Fatal(err)
	}
	scheme := runtime.NewScheme()
	if err := fleet.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(someFleets) {
		input := fleettest.Fleet(seed)
		objects, err := renderer.Render(t.Context(), input, fleet.Options{InCluster: true})
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		manifests, err := renderer.Manifests(t.Context(), input, fleet.Options{InCluster: true})
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		var got []string
		for _, object := range objects {
			got = append(got, asText(t, object))
		}
		if diff := cmp.Diff(written(t, scheme, manifests), got); diff != "" {
			t.Errorf("seed %d: the objects differ from the manifests (-manifests +objects):\n%s", seed, diff)
		}
	}
}

// written gives the objects of manifests as JSON.
func written(t *testing.T, scheme *runtime.Scheme, manifests []byte) []string {
	t.Helper()
	var lines []string
	for document := range strings.SplitSeq("\n"+string(manifests), "\n---\n") {
		if strings.TrimSpace(document) == "" {
			continue
		}
		var kind struct{ APIVersion, Kind string }
		if err := yaml.Unmarshal([]byte(document), &kind); err != nil {
			t.Fatal(err)
		}
		into, err := scheme.New(schema.FromAPIVersionAndKind(kind.APIVersion, kind.Kind))
		if runtime.IsNotRegisteredError(err) {
			untyped := map[string]any{}
			if err := yaml.Unmarshal([]byte(document), &untyped); err != nil {
				t.Fatal(err)
			}
			lines = append(lines, asText(t, untyped))
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.UnmarshalStrict([]byte(document), into); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, asText(t, into))
	}
	return lines
}

func asText(t *testing.T, object any) string {
	t.Helper()
	data, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}
