package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/controller-tools/pkg/crd"
	"sigs.k8s.io/controller-tools/pkg/loader"
)

const specType = "WukongSpec"

// keyRule says what the keys of a map look like.
type keyRule struct {
	wrong string // matches the keys that are wrong
	words string
}

// A key of nameKey becomes part of an object's name. Each of its words begins
// with a letter, so that <fleet>-<pool>-<ordinal> can be taken apart again.
var (
	nameKey    = keyRule{`^([^a-z]|$)|[^a-z0-9-]|-([^a-z]|$)|^.{64}`, "words of a-z and 0-9, each beginning with a letter, joined by dashes, at most 63 characters"}
	ordinalKey = keyRule{`[^0-9]|^$|^0.`, "the ordinals of machines, such as 0 or 12"}
)

// keyRules are the rules for the keys of maps, by type and field.
var keyRules = map[string]map[string]keyRule{
	specType:          {"images": nameKey, "hostNetworks": nameKey, "pools": nameKey},
	"MachineTemplate": {"disks": nameKey, "networks": nameKey},
	"Pool":            {"services": nameKey, "overrides": ordinalKey},
}

// apply restricts the keys of a map. propertyNames would be the word for it, but
// the validator in Helm 3.22 and 4.3 (santhosh-tekuri/jsonschema 6.0.3) reports
// it at the path of some other value. So what stands under a wrong key must be
// what nobody writes: the path names the key, the message says what to do. What
// else is wrong with the value is said as well.
func (r keyRule) apply(schema jsonSchema) {
	another := jsonSchema{"const": "under another key: keys are " + r.words}
	schema["patternProperties"] = jsonSchema{
		r.wrong: jsonSchema{"allOf": []any{another, schema["additionalProperties"]}},
	}
}

// jsonSchema is a draft-07 schema. encoding/json sorts its keys, so the output
// is stable.
type jsonSchema = map[string]any

// schemaWriter turns the types' schemata into one self-contained document.
type schemaWriter struct {
	src    *source
	defs   map[string]jsonSchema
	origin map[string]crd.TypeIdent // which type a definition's name stands for
}

// writeSchema writes the schema of the values of charts/vm-fleet: a WukongSpec
// and the keys that are Helm's.
func writeSchema(src *source, root string) error {
	document, err := schemaDocument(src)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false) // patterns and <pool> stay readable
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(document); err != nil {
		return err
	}
	return writeFile(root, schemaFile, out.Bytes())
}

// schemaDocument is the whole schema.
func schemaDocument(src *source) (jsonSchema, error) {
	w := &schemaWriter{src: src, defs: map[string]jsonSchema{}, origin: map[string]crd.TypeIdent{}}
	document, err := w.typeSchema(w.src.typ(specType))
	if err != nil {
		return nil, err
	}
	properties := document["properties"].(jsonSchema)
	properties["global"] = jsonSchema{
		"type":        "object",
		"description": "global values, which Helm hands to every chart.",
	}
	properties["nameOverride"] = jsonSchema{
		"type":        "string",
		"description": nameOverrideDoc,
		"maxLength":   53,
	}
	// Helm puts an entry for each subchart into the values of its parent.
	properties["vm-library"] = jsonSchema{
		"type":                 "object",
		"description":          "vm-library is Helm's own entry for the library chart, which has no values.",
		"properties":           jsonSchema{"global": jsonSchema{"type": "object"}},
		"additionalProperties": false,
	}
	document["$schema"] = "http://json-schema.org/draft-07/schema#"
	document["title"] = "Values of the vm-fleet chart: a fleet of virtual machines"
	document["$defs"] = w.defs
	return document, nil
}

// typeSchema is the schema of a named type.
func (w *schemaWriter) typeSchema(typ crd.TypeIdent) (jsonSchema, error) {
	props, err := w.src.schema(typ)
	if err != nil {
		return nil, err
	}
	return w.convert(&props, typ.Package, typ.Name)
}

// reference adds a type to the definitions and points to it.
func (w *schemaWriter) reference(ref string, pkg *loader.Package) (jsonSchema, error) {
	typ, err := w.src.resolve(ref, pkg)
	if err != nil {
		return nil, err
	}
	if known, ok := w.origin[typ.Name]; ok && known != typ {
		return nil, fmt.Errorf("naming definition of %s: %s has the name", typ, known)
	}
	if _, ok := w.origin[typ.Name]; !ok {
		w.origin[typ.Name] = typ // first, as types may be recursive
		def, err := w.typeSchema(typ)
		if err != nil {
			return nil, fmt.Errorf("converting %s: %w", typ.Name, err)
		}
		w.defs[typ.Name] = def
	}
	return jsonSchema{"$ref": "#/$defs/" + typ.Name}, nil
}

// convert translates one schema. owner is the type it stands in.
func (w *schemaWriter) convert(props *apiextensionsv1.JSONSchemaProps, pkg *loader.Package, owner string) (jsonSchema, error) {
	out, err := w.shape(props, pkg, owner)
	if err != nil {
		return nil, err
	}
	if description := firstSentence(props.Description); description != "" {
		out["description"] = description
	}
	if props.Default != nil {
		var value any
		if err := json.Unmarshal(props.Default.Raw, &value); err != nil {
			return nil, fmt.Errorf("reading default %s: %w", props.Default.Raw, err)
		}
		out["default"] = value
	}
	return out, nil
}

// shape is the part of a schema that validates.
func (w *schemaWriter) shape(props *apiextensionsv1.JSONSchemaProps, pkg *loader.Package, owner string) (jsonSchema, error) {
	bounds := constraints(props)
	switch {
	case props.Ref != nil:
		ref, err := w.reference(*props.Ref, pkg)
		if err != nil || len(bounds) == 0 {
			return ref, err
		}
		// Beside $ref, draft-07 ignores everything.
		return jsonSchema{"allOf": []any{ref, bounds}}, nil
	case props.XIntOrString:
		bounds["type"] = []string{"integer", "string"}
		return bounds, nil
	case props.XPreserveUnknownFields != nil && *props.XPreserveUnknownFields:
		return jsonSchema{"type": "object"}, nil
	case props.Type == "array":
		items, err := w.convert(props.Items.Schema, pkg, owner)
		bounds["type"], bounds["items"] = "array", items
		return bounds, err
	case props.Type == "object" && props.AdditionalProperties != nil:
		values, err := w.convert(props.AdditionalProperties.Schema, pkg, owner)
		bounds["type"], bounds["additionalProperties"] = "object", values
		return bounds, err
	case props.Type == "object":
		return w.closedObject(props, pkg, owner, bounds)
	case props.Type == "":
		return nil, fmt.Errorf("converting a schema of %s: it has no type", owner)
	}
	bounds["type"] = props.Type
	return bounds, nil
}

// closedObject is a struct: nothing but its fields is allowed.
func (w *schemaWriter) closedObject(props *apiextensionsv1.JSONSchemaProps, pkg *loader.Package, owner string, out jsonSchema) (jsonSchema, error) {
	if len(props.AllOf) > 0 {
		return nil, fmt.Errorf("converting %s: embedded structs are not supported in values", owner)
	}
	properties := jsonSchema{}
	for name := range props.Properties {
		field := props.Properties[name]
		converted, err := w.convert(&field, pkg, owner)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if rule, ok := keyRules[owner][name]; ok {
			rule.apply(converted)
		}
		properties[name] = converted
	}
	out["type"] = "object"
	out["properties"] = properties
	out["additionalProperties"] = false
	if len(props.Required) > 0 {
		out["required"] = props.Required
	}
	return out, nil
}

// constraints are the keywords that mean the same in both dialects. What is
// said in CEL is left to the templates, which report it in words.
func constraints(props *apiextensionsv1.JSONSchemaProps) jsonSchema {
	out := jsonSchema{}
	setInt := func(key string, value *int64) {
		if value != nil {
			out[key] = *value
		}
	}
	setInt("minLength", props.MinLength)
	setInt("maxLength", props.MaxLength)
	setInt("minItems", props.MinItems)
	setInt("maxItems", props.MaxItems)
	setInt("minProperties", props.MinProperties)
	setInt("maxProperties", props.MaxProperties)
	if props.Format == "int32" {
		out["minimum"], out["maximum"] = math.MinInt32, math.MaxInt32
	}
	if props.Minimum != nil {
		out["minimum"] = *props.Minimum
	}
	if props.Maximum != nil {
		out["maximum"] = *props.Maximum
	}
	if props.Pattern != "" {
		out["pattern"] = props.Pattern
	}
	if props.UniqueItems || isSet(props) {
		out["uniqueItems"] = true
	}
	if len(props.Enum) > 0 {
		out["enum"] = enumValues(props.Enum)
	}
	return out
}

func isSet(props *apiextensionsv1.JSONSchemaProps) bool {
	return props.XListType != nil && *props.XListType == "set"
}

func enumValues(values []apiextensionsv1.JSON) []json.RawMessage {
	out := make([]json.RawMessage, 0, len(values))
	for _, value := range values {
		out = append(out, json.RawMessage(value.Raw))
	}
	return out
}
