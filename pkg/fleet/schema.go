package fleet

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

const schemaURL = "file:///values.schema.json"

func compileSchema(data []byte) (*jsonschema.Schema, error) {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("parsing values schema: %w", err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource(schemaURL, document); err != nil {
		return nil, fmt.Errorf("loading values schema: %w", err)
	}
	compiled, err := compiler.Compile(schemaURL)
	if err != nil {
		return nil, fmt.Errorf("compiling values schema: %w", err)
	}
	return compiled, nil
}

// checkSchema checks the shape of values, and says in words what is wrong.
func checkSchema(schema *jsonschema.Schema, values map[string]any) ErrorList {
	if values == nil {
		values = map[string]any{}
	}
	err := schema.Validate(plain(values))
	if err == nil {
		return nil
	}
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return ErrorList{{Message: err.Error()}}
	}
	checker := schemaChecker{schema: schema, values: values}
	checker.walk(invalid)
	return checker.errs.sorted()
}

type schemaChecker struct {
	schema *jsonschema.Schema
	values map[string]any
	errs   ErrorList
}

// walk reports the leaves of a tree of errors; the branches say no more than
// which schema a leaf belongs to.
func (c *schemaChecker) walk(err *jsonschema.ValidationError) {
	if len(err.Causes) == 0 {
		c.leaf(err)
		return
	}
	for _, cause := range err.Causes {
		c.walk(cause)
	}
}

func (c *schemaChecker) add(location []string, message string) {
	c.errs = append(c.errs, &Error{Path: dotted(location), Message: message})
}

func (c *schemaChecker) leaf(err *jsonschema.ValidationError) {
	at := err.InstanceLocation
	switch k := err.ErrorKind.(type) {
	case *kind.AdditionalProperties:
		for _, property := range k.Properties {
			c.add(append(slices.Clone(at), property), "is no key here, must be one of "+strings.Join(c.allowedKeys(at), ", "))
		}
	case *kind.Required:
		for _, missing := range k.Missing {
			c.add(append(slices.Clone(at), missing), "found none, must be set")
		}
	case *kind.Type:
		c.add(at, fmt.Sprintf("found %s (%s), must be %s", show(c.at(at)), typeName(k.Got), typeNames(k.Want)))
	case *kind.Enum:
		c.add(at, fmt.Sprintf("found %s, must be one of %s", show(k.Got), showAll(k.Want)))
	case *kind.Const:
		// The schema says of a bad key that its value must be a sentence that
		// tells how to rename it: validators name the path of the value.
		c.add(at, fmt.Sprintf("found the key %s, must be %v", show(at[len(at)-1]), k.Want))
	case *kind.Pattern:
		c.add(at, fmt.Sprintf("found %s, must match %s", show(k.Got), k.Want))
	default:
		c.add(at, c.bound(err, at))
	}
}

// bound describes an error about a size.
func (c *schemaChecker) bound(err *jsonschema.ValidationError, at []string) string {
	found := show(c.at(at))
	switch k := err.ErrorKind.(type) {
	case *kind.Minimum:
		return fmt.Sprintf("found %s, must be at least %s", found, number(k.Want))
	case *kind.Maximum:
		return fmt.Sprintf("found %s, must be at most %s", found, number(k.Want))
	case *kind.MinLength:
		return fmt.Sprintf("found %s, must have at least %d characters", found, k.Want)
	case *kind.MaxLength:
		return fmt.Sprintf("found %s with %d characters, must have at most %d", found, k.Got, k.Want)
	case *kind.MinItems:
		return fmt.Sprintf("found %d items, must have at least %d", k.Got, k.Want)
	case *kind.MaxItems:
		return fmt.Sprintf("found %d items, must have at most %d", k.Got, k.Want)
	case *kind.MinProperties:
		return fmt.Sprintf("found %d keys, must have at least %d", k.Got, k.Want)
	case *kind.MaxProperties:
		return fmt.Sprintf("found %d keys, must have at most %d", k.Got, k.Want)
	case *kind.UniqueItems:
		return fmt.Sprintf("found the same item at %d and %d, must be unique", k.Duplicates[0], k.Duplicates[1])
	}
	return fmt.Sprintf("found %s: %s", found, strings.TrimSpace(err.Error()))
}

// schemaAt follows a location through the schema.
func (c *schemaChecker) schemaAt(location []string) *jsonschema.Schema {
	at := follow(c.schema)
	for _, step := range location {
		if at == nil {
			return nil
		}
		switch {
		case at.Properties[step] != nil:
			at = follow(at.Properties[step])
		case at.Items != nil:
			items, _ := at.Items.(*jsonschema.Schema)
			at = follow(items)
		default:
			more, _ := at.AdditionalProperties.(*jsonschema.Schema)
			at = follow(more)
		}
	}
	return at
}

func follow(schema *jsonschema.Schema) *jsonschema.Schema {
	for schema != nil && schema.Ref != nil {
		schema = schema.Ref
	}
	return schema
}

func (c *schemaChecker) allowedKeys(location []string) []string {
	at := c.schemaAt(location)
	if at == nil || len(at.Properties) == 0 {
		return []string{"(none)"}
	}
	keys := slices.Sorted(maps.Keys(at.Properties))
	return slices.DeleteFunc(keys, func(key string) bool { return key == "vm-library" })
}

// at gives the value at a location.
func (c *schemaChecker) at(location []string) any {
	var value any = c.values
	for _, step := range location {
		switch v := value.(type) {
		case map[string]any:
			value = v[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(v) {
				return nil
			}
			value = v[i]
		default:
			return nil
		}
	}
	return value
}

// dotted writes a location as a path: pools.web.template.accessModes[0].
func dotted(location []string) string {
	var path strings.Builder
	for _, step := range location {
		if _, err := strconv.Atoi(step); err == nil && !strings.HasSuffix(path.String(), ".overrides") && path.Len() > 0 {
			fmt.Fprintf(&path, "[%s]", step)
			continue
		}
		if path.Len() > 0 {
			path.WriteByte('.')
		}
		path.WriteString(oneLine(step))
	}
	return path.String()
}

func oneLine(text string) string {
	if plainKey.MatchString(text) {
		return text
	}
	return show(text)
}

//nolint:gochecknoglobals // a compiled constant
var plainKey = regexp.MustCompile(`^[A-Za-z0-9_./-]{1,80}$`)

// show quotes a value for a message, on one line and not at any length.
func show(value any) string {
	var text string
	switch v := value.(type) {
	case nil:
		return "nothing (null)"
	case string:
		text = strconv.Quote(v)
	case map[string]any, []any:
		data, err := json.Marshal(v)
		if err != nil {
			return fmt.Sprintf("a %T", v)
		}
		text = string(data)
	default:
		text = fmt.Sprint(v)
	}
	if len(text) > 80 {
		return text[:76] + "..."
	}
	return text
}

func showAll(values []any) string {
	shown := make([]string, len(values))
	for i, value := range values {
		shown[i] = fmt.Sprint(value)
	}
	return strings.Join(shown, ", ")
}

func typeName(name string) string {
	switch name {
	case "object":
		return "a map"
	case "array":
		return "a list"
	case "string":
		return "text"
	case "integer":
		return "a whole number"
	case "boolean":
		return "true or false"
	case "null":
		return "no value"
	}
	return "a " + name
}

func typeNames(types []string) string {
	names := make([]string, len(types))
	for i, name := range types {
		names[i] = typeName(name)
	}
	return strings.Join(names, " or ")
}

func number(rat *big.Rat) string {
	if rat.IsInt() {
		return rat.Num().String()
	}
	return rat.FloatString(3)
}

// plain gives values in the types the validator knows: it takes no int32.
func plain(value any) any {
	switch v := value.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, inner := range v {
			out[key] = plain(inner)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, inner := range v {
			out[i] = plain(inner)
		}
		return out
	case []string:
		out := make([]any, len(v))
		for i, inner := range v {
			out[i] = inner
		}
		return out
	}
	return value
}

// sorted orders mistakes by their paths and drops what is said twice.
func (l ErrorList) sorted() ErrorList {
	slices.SortFunc(l, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Message, b.Message))
	})
	return slices.CompactFunc(l, func(a, b *Error) bool { return *a == *b })
}
