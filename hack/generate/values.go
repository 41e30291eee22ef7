package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"
)

// exampleFleet is a small fleet, shown as a comment under the values.
//
//go:embed example.yaml
var exampleFleet string

const valuesHeader = `# Values of the vm-fleet chart: a fleet of virtual machines.
# Generated from pkg/apis/wukong/v1alpha1 by make generate; do not edit.
# Every key is described in docs/reference/values.md.
# yaml-language-server: $schema=values.schema.json
`

const nameOverrideDoc = "nameOverride is the fleet's name, in place of the release's."

// commentWidth is where comments are wrapped.
const commentWidth = 100

// writeValues writes the chart's values: every top-level key with its default
// and a comment in helm-docs' style, as the charts render with missing keys
// being errors.
func writeValues(src *source, root string) error {
	typ := src.typ(specType)
	spec, err := src.schema(typ)
	if err != nil {
		return err
	}
	var out strings.Builder
	out.WriteString(valuesHeader)
	for _, name := range src.fields(typ) {
		field := spec.Properties[name]
		value := "{}"
		if field.Default != nil {
			if err := json.Unmarshal(field.Default.Raw, &value); err != nil {
				return fmt.Errorf("%s: reading default: %w", name, err)
			}
		}
		writeValue(&out, name, value, field.Description)
	}
	writeValue(&out, "nameOverride", `""`, nameOverrideDoc)
	out.WriteString("\n# A fleet of three web servers:\n#\n")
	for line := range strings.Lines(exampleFleet) {
		out.WriteString("# " + line)
	}
	return writeFile(root, valuesFile, []byte(out.String()))
}

func writeValue(out *strings.Builder, name, value, doc string) {
	fmt.Fprintf(out, "\n# -- %s\n%s: %s\n", strings.Join(wrap(doc, commentWidth-len("# -- ")), "\n# "), name, value)
}

// wrap breaks text into lines no longer than width.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
