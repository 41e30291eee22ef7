package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestPagesAreCurrent fails when a template was changed and its page was not.
func TestPagesAreCurrent(t *testing.T) {
	pages, err := render()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join("..", "..", "docs", "catalogue")
	for name, want := range pages {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Errorf("%v: run make generate", err)
			continue
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is stale: run make generate", filepath.Join(dir, name))
		}
	}
	existing, err := filepath.Glob(filepath.Join(dir, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range existing {
		if _, wanted := pages[filepath.Base(path)]; !wanted {
			t.Errorf("%s has no template: run make generate", path)
		}
	}
}

func TestRunRemovesPagesOfTemplatesThatAreGone(t *testing.T) {
	dir := t.TempDir()
	gone := filepath.Join(dir, "gone.md")
	if err := os.WriteFile(gone, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(gone); !os.IsNotExist(err) {
		t.Errorf("%s is still there", gone)
	}
	if _, err := os.Stat(filepath.Join(dir, "image.md")); err != nil {
		t.Error(err)
	}
}

func TestParagraph(t *testing.T) {
	cases := map[string]struct{ text, want string }{
		"joins lines":              {text: "One\ntwo.", want: "One two."},
		"keeps a command":          {text: "Type:\n  kubectl get vm\nand look.", want: "Type:\n\n    kubectl get vm\n\nand look."},
		"keeps an empty line":      {text: "One.\n\nTwo.", want: "One.\n\nTwo."},
		"gives nothing of nothing": {text: "", want: ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := paragraph(tc.text); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
