package validation

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// maxDepth is how deep objects may nest in a request.
const maxDepth = 16

// jsonObject is an object's members in their order.
type jsonObject struct {
	keys   []string
	values []any
}

// decodeStrict reads JSON into out, a pointer to a struct of the API, and
// refuses what encoding/json would let pass: unknown and duplicate fields,
// field names in another case, null, and more data behind the value. Every
// mistake is named with its path.
func decodeStrict(text string, out any, path *field.Path) field.ErrorList {
	if err := checkSyntax(text); err != nil {
		// The text is not repeated: a secret may stand in it by mistake.
		return field.ErrorList{field.Invalid(path, "{…", err.Error())}
	}
	reader := jsonReader{decoder: json.NewDecoder(strings.NewReader(text))}
	reader.decoder.UseNumber()
	tree := reader.value(path, 0)
	if len(reader.errs) > 0 {
		return reader.errs
	}
	checker := shapeChecker{}
	checker.check(tree, reflect.TypeOf(out).Elem(), path)
	if len(checker.errs) > 0 {
		return checker.errs
	}
	if err := json.Unmarshal([]byte(text), out); err != nil {
		return field.ErrorList{field.Invalid(path, "{…", "must be JSON of the job's spec: "+err.Error())}
	}
	return nil
}

// checkSyntax says where JSON breaks off.
func checkSyntax(text string) error {
	decoder := json.NewDecoder(strings.NewReader(text))
	var raw json.RawMessage
	if err := decoder.Decode(&raw); err != nil {
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			return fmt.Errorf("must be valid JSON: at byte %d: %s", syntax.Offset, plain(syntax.Error()))
		}
		return errors.New("must be valid JSON: it ends in the middle of the object")
	}
	if rest := bytes.TrimSpace([]byte(text)[decoder.InputOffset():]); len(rest) > 0 {
		return fmt.Errorf("must be one JSON object: found more data behind it at byte %d, take it out", len(text)-len(rest)+1)
	}
	return nil
}

// plain takes the prefix off messages of encoding/json.
func plain(message string) string {
	return strings.TrimPrefix(message, "json: ")
}

// jsonReader reads valid JSON into a tree, and refuses nulls, duplicate fields
// and depth. It stops where there are more mistakes than are named.
type jsonReader struct {
	decoder *json.Decoder
	errs    field.ErrorList
}

func (r *jsonReader) value(path *field.Path, depth int) any {
	token, err := r.decoder.Token()
	if err != nil && !errors.Is(err, io.EOF) {
		r.errs = append(r.errs, field.Invalid(path, "", "must be valid JSON: "+plain(err.Error())))
		return nil
	}
	delim, ok := token.(json.Delim)
	if !ok {
		if token == nil {
			r.errs = append(r.errs, field.Invalid(path, "null", "must not be null: leave the field out to leave it unset"))
		}
		return token
	}
	if depth >= maxDepth {
		r.errs = append(r.errs, field.Invalid(path, delim.String(), fmt.Sprintf("must not nest deeper than %d levels", maxDepth)))
		r.skip()
		return nil
	}
	if delim == '{' {
		return r.object(path, depth)
	}
	var items []any
	for r.decoder.More() && len(r.errs) <= maxErrors {
		items = append(items, r.value(path.Index(len(items)), depth+1))
	}
	_, _ = r.decoder.Token() // the closing bracket of JSON known to be valid
	return items
}

func (r *jsonReader) object(path *field.Path, depth int) any {
	object := jsonObject{}
	seen := map[string]bool{}
	for r.decoder.More() && len(r.errs) <= maxErrors {
		token, _ := r.decoder.Token() // the key of JSON known to be valid
		key, _ := token.(string)
		child := childOf(path, key)
		if seen[key] {
			r.errs = append(r.errs, duplicate(child, key))
		}
		seen[key] = true
		object.keys = append(object.keys, key)
		object.values = append(object.values, r.value(child, depth+1))
	}
	_, _ = r.decoder.Token()
	return object
}

// skip reads to the end of an object or list that has been opened.
func (r *jsonReader) skip() {
	for depth := 1; depth > 0; {
		token, err := r.decoder.Token()
		if err != nil {
			return
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
	}
}

// childOf gives the path of a member; one that is no field name is quoted.
func childOf(path *field.Path, key string) *field.Path {
	isWord := key != "" && len(key) <= labelMax && !strings.ContainsFunc(key, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9')
	})
	if isWord {
		return path.Child(key)
	}
	return keyOf(path, key)
}

// shapeChecker compares a tree with a type of the API.
type shapeChecker struct {
	errs field.ErrorList
}

func (c *shapeChecker) wrong(path *field.Path, found any, must string) {
	c.errs = append(c.errs, field.Invalid(path, describe(found), must))
}

// describe writes what was found in a sentence's place for it.
func describe(found any) any {
	switch value := found.(type) {
	case jsonObject:
		return "an object"
	case []any:
		return "a list"
	case string:
		return show(value)
	case json.Number:
		return show(value.String())
	}
	return found
}

func (c *shapeChecker) check(tree any, kind reflect.Type, path *field.Path) {
	if kind.Kind() == reflect.Pointer {
		kind = kind.Elem()
	}
	if kind == reflect.TypeFor[metav1.Duration]() {
		c.duration(tree, path)
		return
	}
	switch kind.Kind() {
	case reflect.Struct:
		c.object(tree, kind, path)
	case reflect.Map:
		c.dictionary(tree, kind, path)
	case reflect.Slice:
		c.list(tree, kind, path)
	case reflect.String:
		c.text(tree, path)
	case reflect.Bool:
		if _, ok := tree.(bool); !ok {
			c.wrong(path, tree, "must be true or false")
		}
	case reflect.Int32, reflect.Int64:
		c.number(tree, kind, path)
	default:
		c.wrong(path, tree, "must not be set in a request")
	}
}

func (c *shapeChecker) object(tree any, kind reflect.Type, path *field.Path) {
	object, ok := tree.(jsonObject)
	if !ok {
		c.wrong(path, tree, "must be an object")
		return
	}
	fields := map[string]reflect.Type{}
	names := jsonFields(kind, fields)
	for i, key := range object.keys {
		if len(c.errs) > maxErrors {
			return
		}
		child, known := fields[key]
		if !known {
			c.errs = append(c.errs, field.Forbidden(childOf(path, key), unknownField(key, names)))
			continue
		}
		c.check(object.values[i], child, path.Child(key))
	}
}

func unknownField(key string, names []string) string {
	for _, name := range names {
		if strings.EqualFold(name, key) {
			return fmt.Sprintf("unknown field: write it %s, field names are case-sensitive", name)
		}
	}
	return "unknown field: must be one of " + strings.Join(names, ", ")
}

// jsonFields collects the fields of a struct by their JSON names, and gives the
// names in alphabetical order.
func jsonFields(kind reflect.Type, into map[string]reflect.Type) []string {
	for member := range kind.Fields() {
		name, options, _ := strings.Cut(member.Tag.Get("json"), ",")
		if name == "" && strings.Contains(options, "inline") {
			jsonFields(member.Type, into)
			continue
		}
		if name != "" && name != "-" {
			into[name] = member.Type
		}
	}
	names := make([]string, 0, len(into))
	for name := range into {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (c *shapeChecker) dictionary(tree any, kind reflect.Type, path *field.Path) {
	object, ok := tree.(jsonObject)
	if !ok {
		c.wrong(path, tree, "must be an object")
		return
	}
	for i, key := range object.keys {
		if len(c.errs) > maxErrors {
			return
		}
		c.check(object.values[i], kind.Elem(), keyOf(path, key))
	}
}

func (c *shapeChecker) list(tree any, kind reflect.Type, path *field.Path) {
	items, ok := tree.([]any)
	if !ok {
		c.wrong(path, tree, "must be a list")
		return
	}
	for i, item := range items {
		if len(c.errs) > maxErrors {
			return
		}
		c.check(item, kind.Elem(), path.Index(i))
	}
}

func (c *shapeChecker) text(tree any, path *field.Path) {
	text, ok := tree.(string)
	if !ok {
		c.wrong(path, tree, "must be a string")
		return
	}
	if hasControl(text) {
		c.wrong(path, text, "must not hold control or invisible characters")
	}
}

func (c *shapeChecker) number(tree any, kind reflect.Type, path *field.Path) {
	number, ok := tree.(json.Number)
	if !ok {
		c.wrong(path, tree, "must be a whole number")
		return
	}
	_, err := strconv.ParseInt(number.String(), 10, kind.Bits())
	if errors.Is(err, strconv.ErrRange) {
		c.wrong(path, tree, fmt.Sprintf("must be at most %d", int64(math.MaxInt64)>>(64-kind.Bits())))
		return
	}
	if err != nil {
		c.wrong(path, tree, "must be a whole number, written with digits alone")
	}
}

func (c *shapeChecker) duration(tree any, path *field.Path) {
	text, ok := tree.(string)
	if !ok {
		c.wrong(path, tree, "must be a duration in quotation marks, such as \"5m\"")
		return
	}
	if _, err := time.ParseDuration(text); err != nil {
		c.wrong(path, text, "must be a duration such as 90s, 5m or 1h30m")
	}
}
