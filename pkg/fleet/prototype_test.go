package fleet

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPrototypeKeepsEveryToken refuses a prototype whose copies would keep a
// token: one in a key, which copying does not replace.
func TestPrototypeKeepsEveryToken(t *testing.T) {
	renderer, err := New()
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		labels     string
		wantCopies bool
	}{
		"copies where tokens are values":         {labels: `{"a":"x-@1.n@-@1.o@"}`, wantCopies: true},
		"decodes the text where one is in a key": {labels: `{"@1.o@":"@1.n@"}`},
	} {
		t.Run(name, func(t *testing.T) {
			documents := `{"apiVersion":"v1","kind":"Secret","metadata":{"labels":` + tc.labels + `,"name":"@1.n@"}}` + "\n"
			line, err := json.Marshal(map[string]string{"documents": documents, "token": "@1."})
			if err != nil {
				t.Fatal(err)
			}
			p, err := renderer.newPrototype(string(line))
			if err != nil {
				t.Fatal(err)
			}
			if got := p.objects != nil; got != tc.wantCopies {
				t.Errorf("found copies %t, want %t", got, tc.wantCopies)
			}
			got, err := p.machine(`{"@1.n@":"web-7","@1.o@":"7"}`)
			if err != nil {
				t.Fatal(err)
			}
			want, err := renderer.decode(strings.NewReplacer("@1.n@", "web-7", "@1.o@", "7").Replace(documents))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the machine's objects (-want +got):\n%s", diff)
			}
		})
	}
}
