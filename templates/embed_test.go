package templates_test

import (
	"slices"
	"strings"
	"testing"

	"wukong.io/wukong/templates"
)

func TestListDescribesEveryTemplate(t *testing.T) {
	list, err := templates.List()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, template := range list {
		names = append(names, template.Name)
		if strings.HasSuffix(template.Title, ".") || strings.Contains(template.Title, "\n") {
			t.Errorf("the title of %s must be one line without a full stop: %q", template.Name, template.Title)
		}
		if !strings.HasSuffix(template.Description, ".") && !strings.Contains(template.Description, "Before: ") {
			t.Errorf("the description of %s must be sentences: %q", template.Name, template.Description)
		}
	}
	if !slices.IsSorted(names) {
		t.Errorf("names are not sorted: %q", names)
	}
	for _, want := range []string{
		"image", "http-import", "pvc", "clone-pvc", "clone-vm", "empty", "mixed-sources", "multus-static-ip",
		"nmstate-bridge", "classroom", "ci-runners", "db-cluster", "windows",
	} {
		if !slices.Contains(names, want) {
			t.Errorf("template %q is missing from %q", want, names)
		}
	}
}

func TestGet(t *testing.T) {
	cases := map[string]struct {
		name     string
		wantPart string
		wantErr  string
	}{
		"gives a template's content": {name: "classroom", wantPart: "replicas: 40"},
		"names what there is":        {name: "clasroom", wantErr: `no template is called "clasroom": must be one of ci-runners, classroom, `},
		"stays inside the catalogue": {name: "../go", wantErr: `no template is called "../go"`},
		"refuses no name at all":     {name: "", wantErr: `no template is called ""`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			content, err := templates.Get(tc.name)
			switch {
			case tc.wantErr == "" && err != nil:
				t.Fatal(err)
			case tc.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tc.wantErr)):
				t.Fatalf("got error %v, want %q", err, tc.wantErr)
			case !strings.Contains(string(content), tc.wantPart):
				t.Errorf("the content does not have %q", tc.wantPart)
			}
		})
	}
}
