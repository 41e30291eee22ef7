package fleet

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

//nolint:gochecknoglobals // a test flag
var update = flag.Bool("update", false, "write what is rendered to the golden files")

// TestGolden compares whole renderings with testdata/<case>/want.yaml. The
// cases are few, to be read; the catalogue and the properties cover the rest.
func TestGolden(t *testing.T) {
	inputs, err := filepath.Glob("testdata/*/input.yaml")
	if err != nil || len(inputs) == 0 {
		t.Fatalf("finding cases: %v, found %d", err, len(inputs))
	}
	renderer := newRenderer(t)
	for _, input := range inputs {
		dir := filepath.Dir(input)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			fleet := Fleet{Namespace: "prod", Name: "shop", Values: readValues(t, input)}
			got, err := renderer.Manifests(t.Context(), fleet, Options{})
			if list, ok := errors.AsType[ErrorList](err); ok {
				got = []byte(list.Error() + "\n")
			} else if err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join(dir, "want.yaml")
			if *update {
				if err := os.WriteFile(golden, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("rendering differs (-want +got), run with -update if it should:\n%s", diff)
			}
		})
	}
}

func newRenderer(t testing.TB) *Renderer {
	t.Helper()
	renderer, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return renderer
}

func readValues(t testing.TB, path string) map[string]any {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, string(data))
}

func parse(t testing.TB, text string) map[string]any {
	t.Helper()
	values, err := ParseValues([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return values
}
