// Package templates is the catalogue: complete fleet files, one for every disk
// source and a few real fleets. Each is a values file of charts/vm-fleet that
// can be installed as it stands.
//
// A file begins with a comment: its first line is the title, and what follows
// up to the first line that is no comment describes it.
package templates

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

//go:embed *.yaml
var files embed.FS

const extension = ".yaml"

// Template is a file of the catalogue.
type Template struct {
	// Name is the file's name without its extension.
	Name string
	// Title says in a few words what the fleet is.
	Title string
	// Description says what it makes, and what must exist before.
	Description string
}

// List gives the catalogue, in the order of the names.
func List() ([]Template, error) {
	entries, err := fs.Glob(files, "*"+extension)
	if err != nil {
		return nil, fmt.Errorf("listing templates: %w", err)
	}
	list := make([]Template, 0, len(entries))
	for _, entry := range entries {
		content, err := files.ReadFile(entry)
		if err != nil {
			return nil, fmt.Errorf("reading template %q: %w", entry, err)
		}
		t, err := parse(strings.TrimSuffix(entry, extension), string(content))
		if err != nil {
			return nil, err
		}
		list = append(list, t)
	}
	return list, nil
}

// Get gives the content of the named template.
func Get(name string) ([]byte, error) {
	content, err := files.ReadFile(name + extension)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		return nil, fmt.Errorf("no template is called %q: must be one of %s", name, strings.Join(names(), ", "))
	}
	if err != nil {
		return nil, fmt.Errorf("reading template %q: %w", name, err)
	}
	return content, nil
}

// names gives the names of all templates, for a message.
func names() []string {
	entries, err := fs.Glob(files, "*"+extension)
	if err != nil {
		return nil
	}
	for i, entry := range entries {
		entries[i] = strings.TrimSuffix(entry, extension)
	}
	return entries
}

// parse reads a template's title and description from the comment it begins with.
func parse(name, content string) (Template, error) {
	var lines []string
	for line := range strings.Lines(content) {
		text, isComment := strings.CutPrefix(strings.TrimRight(line, "\n"), "#")
		if !isComment {
			break
		}
		lines = append(lines, strings.TrimPrefix(text, " "))
	}
	if len(lines) < 3 || lines[0] == "" || lines[1] != "" {
		return Template{}, fmt.Errorf("template %q must begin with a comment: a title, an empty line, and a description", name)
	}
	return Template{
		Name:        name,
		Title:       lines[0],
		Description: strings.TrimSpace(strings.Join(lines[2:], "\n")),
	}, nil
}
