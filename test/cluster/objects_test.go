package cluster

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// handWritten are the definitions that no module carries.
func handWritten() map[string]bool {
	return map[string]bool{"nmstate.io_nodenetworkconfigurationpolicies.yaml": true}
}

// origin is the file in a module that a definition is a copy of.
func origin(file string) (module, path string) {
	if strings.HasPrefix(file, "k8s.cni.cncf.io_") {
		return "github.com/k8snetworkplumbingwg/network-attachment-definition-client", "artifacts/networks-crd.yaml"
	}
	return "github.com/kubernetes-csi/external-snapshotter/client/v8", filepath.Join("config/crd", file)
}

func TestDefinitionsAreThoseOfTheModules(t *testing.T) {
	entries, err := definitionFiles.ReadDir("crds")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if handWritten()[entry.Name()] {
			continue
		}
		got, err := definitionFiles.ReadFile("crds/" + entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		module, path := origin(entry.Name())
		folder, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
		if err != nil {
			t.Fatalf("finding %s: %v", module, err)
		}
		want, err := os.ReadFile(filepath.Join(string(bytes.TrimSpace(folder)), path))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("crds/%s is not what %s has: copy it again (-want +got):\n%s", entry.Name(), module, diff)
		}
	}
}

func TestSortingByKindLosesNothing(t *testing.T) {
	objects, err := decode([]byte("kind: A\n---\nkind: B\n---\n---\nkind: A\n"))
	if err != nil {
		t.Fatal(err)
	}
	matching, others := ofKind(objects, "A", "C")
	if len(objects) != 3 || len(matching) != 2 || len(others) != 1 || others[0].GetKind() != "B" {
		t.Errorf("ofKind() = %v and %v of %v", matching, others, objects)
	}
}
