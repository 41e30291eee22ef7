// Command catalogue writes a documentation page for every file of templates/,
// and an index.
//
//	go run ./hack/catalogue docs/catalogue
//
// The folder belongs to it: a page whose template is gone is removed.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"wukong.io/wukong/templates"
)

const indexFile = "README.md"

const notice = "<!-- Generated from templates/ by hack/catalogue: edit the template, and run make generate. -->\n"

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: catalogue DIRECTORY")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(dir string) error {
	pages, err := render()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, content := range pages {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return err
		}
	}
	return prune(dir, pages)
}

// prune removes the pages of templates that are gone.
func prune(dir string, pages map[string][]byte) error {
	existing, err := filepath.Glob(filepath.Join(dir, "*.md"))
	if err != nil {
		return err
	}
	for _, path := range existing {
		if _, wanted := pages[filepath.Base(path)]; wanted {
			continue
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// page is what a page says.
type page struct {
	templates.Template
	// Makes says what the fleet is.
	Makes string
	// Before says what must exist before; empty if nothing must.
	Before string
	// Content is the file itself, without its header.
	Content string
}

// render gives the content of every page by its file's name.
func render() (map[string][]byte, error) {
	list, err := templates.List()
	if err != nil {
		return nil, err
	}
	pages := make(map[string][]byte, len(list)+1)
	index := make([]page, 0, len(list))
	for _, t := range list {
		content, err := templates.Get(t.Name)
		if err != nil {
			return nil, err
		}
		p := newPage(t, string(content))
		index = append(index, p)
		if pages[t.Name+".md"], err = execute(pageTemplate, p); err != nil {
			return nil, fmt.Errorf("rendering page %q: %w", t.Name, err)
		}
	}
	if pages[indexFile], err = execute(indexTemplate, index); err != nil {
		return nil, fmt.Errorf("rendering the index: %w", err)
	}
	return pages, nil
}

func newPage(t templates.Template, content string) page {
	makes, before, _ := strings.Cut(t.Description, "Before: ")
	return page{
		Template: t,
		Makes:    paragraph(makes),
		Before:   capitalise(paragraph(before)),
		Content:  withoutHeader(content),
	}
}

// paragraph gives a text without its line breaks, but leaves the lines of a
// command as they are.
func paragraph(text string) string {
	var out strings.Builder
	for i, line := range strings.Split(strings.TrimSpace(text), "\n") {
		switch {
		case i == 0:
		case strings.HasPrefix(line, "  "):
			out.WriteString("\n\n    ")
		case line == "":
			out.WriteString("\n\n")
		case strings.HasSuffix(out.String(), "\n\n"):
		case afterCommand(out.String()):
			out.WriteString("\n\n")
		default:
			out.WriteString(" ")
		}
		out.WriteString(strings.TrimSpace(line))
	}
	return out.String()
}

// afterCommand says whether the last line of a text is a command's.
func afterCommand(text string) bool {
	last := text[strings.LastIndex(text, "\n")+1:]
	return strings.HasPrefix(last, "    ")
}

func capitalise(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

func withoutHeader(content string) string {
	lines := strings.SplitAfter(content, "\n")
	for len(lines) > 0 && strings.HasPrefix(lines[0], "#") {
		lines = lines[1:]
	}
	return strings.Join(lines, "")
}

func execute(text string, data any) ([]byte, error) {
	parsed, err := template.New("").Parse(text)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	out.WriteString(notice)
	err = parsed.Execute(&out, data)
	return out.Bytes(), err
}

const pageTemplate = `# {{ .Title }}

{{ .Makes }}
{{- with .Before }}

## Before you install

{{ . }}
{{- end }}

## Install

` + "```sh" + `
wukong init {{ .Name }} > {{ .Name }}.yaml    # the file below; change what you like
wukong plan -f {{ .Name }}.yaml               # what it would make
helm install shop charts/vm-fleet -f {{ .Name }}.yaml
` + "```" + `

## The file

` + "```yaml" + `
{{ .Content }}` + "```" + `
`

const indexTemplate = `# Catalogue

Complete fleet files, each a values file of charts/vm-fleet. ` + "`wukong templates`" + ` lists them, and
` + "`wukong init NAME`" + ` writes one out.

| Template | What it is |
|---|---|
{{- range . }}
| [{{ .Name }}]({{ .Name }}.md) | {{ .Title }} |
{{- end }}
`
