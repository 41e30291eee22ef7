package main

import (
	"fmt"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/controller-tools/pkg/crd"
	"sigs.k8s.io/controller-tools/pkg/loader"
)

const valuesPageHeader = `# Values of the vm-fleet chart

<!-- Generated from pkg/apis/wukong/v1alpha1 by make generate; do not edit. -->

The top level of the chart's values is a ` + "`WukongSpec`" + `. Beside it stand ` + "`nameOverride`" + `, the fleet's
name in place of the release's, and Helm's own ` + "`global`" + `.

A name in angle brackets is a key of your choice. What is bold is required where the object around it is set.
`

// page is a section of the reference: a type that several paths share, or the
// root.
type page struct {
	typ    string
	title  string
	prefix string
}

// pages are the sections in reading order. A type that is not listed is
// described in place.
var pages = []page{
	{specType, "The fleet", ""},
	{"Image", "Images", "images.<image>"},
	{"ImportSource", "Import sources", "<importSource>"},
	{"HostNetwork", "Host networks", "hostNetworks.<hostNetwork>"},
	{"Pool", "Pools", "pools.<pool>"},
	{"MachineTemplate", "Machine templates", "<template>"},
	{"Disk", "Disks", "<template>.disks.<disk>"},
	{"Network", "Networks", "<template>.networks.<network>"},
	{"CloudInit", "Cloud-init", "<template>.cloudInit"},
	{"CloneSource", "Clone sources", "<cloneSource>"},
	{"SnapshotPolicySpec", "Snapshot policies", "pools.<pool>.snapshotPolicy"},
	{"ExportTarget", "Export targets", "pools.<pool>.exportTarget"},
}

// keyNames are what a map's keys are called in a path.
var keyNames = map[string]string{
	"images": "<image>", "hostNetworks": "<hostNetwork>", "pools": "<pool>", "overrides": "<ordinal>",
	"services": "<service>", "disks": "<disk>", "networks": "<network>", "files": "<path>",
}

// referenceWriter writes the reference of the values.
type referenceWriter struct {
	src *source
	out strings.Builder
}

// writeValuesPage writes every key by its path, with its type, default, what is
// allowed and what it means.
func writeValuesPage(src *source, root string) error {
	w := &referenceWriter{src: src}
	w.out.WriteString(valuesPageHeader)
	for _, p := range pages {
		if err := w.section(p); err != nil {
			return fmt.Errorf("%s: %w", p.typ, err)
		}
	}
	return writeFile(root, valuesPageFile, []byte(w.out.String()))
}

func (w *referenceWriter) section(p page) error {
	typ := w.src.typ(p.typ)
	props, err := w.src.schema(typ)
	if err != nil {
		return err
	}
	fmt.Fprintf(&w.out, "\n## %s\n\n%s\n\n", p.title, strings.Join(strings.Fields(props.Description), " "))
	w.out.WriteString("| Key | Type | Default | Allowed | Description |\n|---|---|---|---|---|\n")
	return w.rows(typ, p.prefix)
}

// rows writes the fields of a type, and below each the fields of its own.
func (w *referenceWriter) rows(typ crd.TypeIdent, prefix string) error {
	props, err := w.src.schema(typ)
	if err != nil {
		return err
	}
	required := map[string]bool{}
	for _, name := range props.Required {
		required[name] = true
	}
	for _, name := range w.src.fields(typ) {
		field, ok := props.Properties[name]
		if !ok {
			continue
		}
		if err := w.row(&field, typ.Package, join(prefix, name), required[name]); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func (w *referenceWriter) row(field *apiextensionsv1.JSONSchemaProps, pkg *loader.Package, path string, required bool) error {
	target, inner, err := w.target(field, pkg)
	if err != nil {
		return err
	}
	key := "`" + path + "`"
	if required {
		key = "**" + key + "**"
	}
	description := strings.ReplaceAll(strings.Join(strings.Fields(field.Description), " "), "<", `\<`)
	cells := []string{key, w.typeName(field, target, inner), defaultText(field), allowedText(field, target), description}
	for i, cell := range cells {
		cells[i] = strings.ReplaceAll(cell, "|", `\|`)
	}
	fmt.Fprintf(&w.out, "| %s |\n", strings.Join(cells, " | "))
	if inner.Name == "" || sectionOf(inner.Name) != nil {
		return nil
	}
	return w.rows(inner, path+elementPath(field, path))
}

// target follows a field to the schema of its values, and to the struct whose
// fields stand below it, if any.
func (w *referenceWriter) target(field *apiextensionsv1.JSONSchemaProps, pkg *loader.Package) (*apiextensionsv1.JSONSchemaProps, crd.TypeIdent, error) {
	switch {
	case field.Type == "array" && field.Items != nil && field.Items.Schema != nil:
		return w.target(field.Items.Schema, pkg)
	case field.AdditionalProperties != nil && field.AdditionalProperties.Schema != nil:
		return w.target(field.AdditionalProperties.Schema, pkg)
	case field.Ref == nil:
		return field, crd.TypeIdent{}, nil
	}
	typ, err := w.src.resolve(*field.Ref, pkg)
	if err != nil {
		return nil, crd.TypeIdent{}, err
	}
	props, err := w.src.schema(typ)
	if err != nil {
		return nil, crd.TypeIdent{}, err
	}
	if len(props.Properties) == 0 {
		return &props, crd.TypeIdent{}, nil
	}
	return &props, typ, nil
}

// typeName is a type in words, with a link where it has a section.
func (w *referenceWriter) typeName(field, target *apiextensionsv1.JSONSchemaProps, inner crd.TypeIdent) string {
	name := target.Type
	switch {
	case target.XIntOrString:
		name = "quantity"
	case sectionOf(inner.Name) != nil:
		name = fmt.Sprintf("[%s](#%s)", inner.Name, anchor(sectionOf(inner.Name).title))
	}
	switch {
	case field.Type == "array":
		return "list of " + name
	case field.AdditionalProperties != nil:
		return "map of " + name
	}
	return name
}

func sectionOf(typ string) *page {
	for i := range pages {
		if pages[i].typ == typ {
			return &pages[i]
		}
	}
	return nil
}

func anchor(title string) string {
	return strings.ReplaceAll(strings.ToLower(title), " ", "-")
}

func join(prefix, name string) string {
	if prefix == "" {
		return name
	}
	return prefix + "." + name
}

// elementPath is what a list or map adds to the paths below it.
func elementPath(field *apiextensionsv1.JSONSchemaProps, path string) string {
	switch {
	case field.Type == "array":
		return "[]"
	case field.AdditionalProperties == nil:
		return ""
	}
	if name := keyNames[path[strings.LastIndex(path, ".")+1:]]; name != "" {
		return "." + name
	}
	return ".<name>"
}

func defaultText(field *apiextensionsv1.JSONSchemaProps) string {
	if field.Default == nil {
		return ""
	}
	return "`" + strings.Trim(string(field.Default.Raw), `"`) + "`"
}

// allowedText is what a value may be, as far as the schema says.
func allowedText(field, target *apiextensionsv1.JSONSchemaProps) string {
	var parts []string
	for _, props := range unique(field, target) {
		parts = append(parts, bounds(props)...)
	}
	return strings.Join(parts, "; ")
}

func unique(a, b *apiextensionsv1.JSONSchemaProps) []*apiextensionsv1.JSONSchemaProps {
	if a == b {
		return []*apiextensionsv1.JSONSchemaProps{a}
	}
	return []*apiextensionsv1.JSONSchemaProps{a, b}
}

func bounds(props *apiextensionsv1.JSONSchemaProps) []string {
	var parts []string
	if len(props.Enum) > 0 {
		values := make([]string, 0, len(props.Enum))
		for _, value := range props.Enum {
			values = append(values, "`"+strings.Trim(string(value.Raw), `"`)+"`")
		}
		parts = append(parts, strings.Join(values, ", "))
	}
	if props.Minimum != nil || props.Maximum != nil {
		parts = append(parts, rangeText(props.Minimum, props.Maximum, ""))
	}
	if props.Pattern != "" && !props.XIntOrString {
		parts = append(parts, "`"+props.Pattern+"`")
	}
	// Bounds on lengths guard the apiserver; only the ones that people meet
	// are worth their space.
	if props.MinItems != nil || props.MaxItems != nil {
		parts = append(parts, rangeText(props.MinItems, props.MaxItems, " items"))
	}
	if props.MaxProperties != nil || props.MinProperties != nil {
		parts = append(parts, rangeText(props.MinProperties, props.MaxProperties, " keys"))
	}
	if props.MaxLength != nil {
		parts = append(parts, rangeText(nil, props.MaxLength, " characters"))
	}
	return parts
}

func rangeText[T int64 | float64](low, high *T, unit string) string {
	switch {
	case low != nil && high != nil:
		return fmt.Sprintf("%d to %d%s", int64(*low), int64(*high), unit)
	case high != nil:
		return fmt.Sprintf("at most %d%s", int64(*high), unit)
	default:
		return fmt.Sprintf("at least %d%s", int64(*low), unit)
	}
}
