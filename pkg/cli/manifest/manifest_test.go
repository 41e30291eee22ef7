package manifest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wukong.io/wukong/pkg/cli/manifest"
)

func TestParseKeepsTheOrder(t *testing.T) {
	var text strings.Builder
	text.WriteString("# a comment before all\n---\n# nothing but a comment\n---\n")
	var want []string
	for i := range 200 {
		want = append(want, fmt.Sprintf("Pod/p-%d", i))
		fmt.Fprintf(&text, "---\n# Source: x\napiVersion: v1\nkind: Pod\nmetadata: {name: p-%d}\nspec: {number: 3}\n", i)
	}
	objects, err := manifest.Parse([]byte(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, object := range objects {
		got = append(got, object.GetKind()+"/"+object.GetName())
		if number := object.Object["spec"].(map[string]any)["number"]; number != int64(3) {
			t.Fatalf("found number %T, want int64 as the API machinery has it", number)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("objects differ (-want +got):\n%s", diff)
	}
	if kinds := manifest.Kinds(objects); len(kinds) != 1 || kinds[0].Kind != "Pod" {
		t.Errorf("found kinds %v, want Pod once", kinds)
	}
}

func TestParseNamesTheBadDocument(t *testing.T) {
	_, err := manifest.Parse([]byte("kind: Pod\n---\nkind: [\n"))
	if err == nil || !strings.Contains(err.Error(), "document 2") {
		t.Errorf("found %v, want an error that names document 2", err)
	}
}

func TestKeyOfTakesTheFleetsNamespaceWhereNoneIsGiven(t *testing.T) {
	objects, err := manifest.Parse([]byte("{apiVersion: a.b/v1, kind: K, metadata: {name: x}}\n---\n{apiVersion: v1, kind: L, metadata: {name: z, namespace: own}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []manifest.Key{{Group: "a.b", Kind: "K", Namespace: "ns", Name: "x"}, {Kind: "L", Namespace: "own", Name: "z"}}
	got := []manifest.Key{manifest.KeyOf(objects[0], "ns"), manifest.KeyOf(objects[1], "ns")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("keys differ (-want +got):\n%s", diff)
	}
}
