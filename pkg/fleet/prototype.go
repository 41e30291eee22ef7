package fleet

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// prototypeMark begins the line that holds the documents of a pool's machine
// with tokens in place of what differs between machines, and machineMark a
// line of one machine's values of the tokens.
const (
	prototypeMark = `{"documents":`
	machineMark   = `{"@`
)

// prototype is a machine of a pool. Its objects are decoded once; each machine
// is a copy in which the tokens are replaced. That gives what decoding each
// machine's text gives, in a fraction of the time.
type prototype struct {
	renderer *Renderer
	// Documents are the objects' lines of JSON.
	Documents string `json:"documents"`
	// Token is what every token begins with.
	Token   string `json:"token"`
	objects []Object
	places  [][]place
}

// place is a string of an object that holds tokens.
type place struct {
	// path leads there by the indices of fields and elements.
	path []int
	// key is that of the entry, if the path leads to a map.
	key string
	// parts are text and tokens by turns.
	parts []string
}

// newPrototype decodes a prototype. Where a token would be lost, or something
// does not decode, it has no objects, and machines are decoded one by one.
func (r *Renderer) newPrototype(line string) (*prototype, error) {
	p := &prototype{renderer: r}
	if err := json.Unmarshal([]byte(line), p); err != nil {
		return nil, fmt.Errorf("decoding a pool's machine: %w", err)
	}
	objects, err := r.decode(p.Documents)
	if err != nil {
		return p, nil //nolint:nilerr // the error of the machine itself says more
	}
	found := 0
	for _, object := range objects {
		finder := finder{token: p.Token}
		finder.walk(reflect.ValueOf(object), nil)
		p.places = append(p.places, finder.places)
		found += finder.tokens
	}
	if found == strings.Count(p.Documents, p.Token) {
		p.objects = objects
	}
	return p, nil
}

// machine gives the objects of one machine.
func (p *prototype) machine(line string) ([]Object, error) {
	values := map[string]string{}
	if err := json.Unmarshal([]byte(line), &values); err != nil {
		return nil, fmt.Errorf("decoding the values of a machine: %w", err)
	}
	if p.objects == nil {
		text := p.Documents
		for token, value := range values {
			text = strings.ReplaceAll(text, token, value)
		}
		return p.renderer.decode(text)
	}
	objects := make([]Object, len(p.objects))
	for i, from := range p.objects {
		object, ok := from.DeepCopyObject().(Object)
		if !ok {
			return nil, fmt.Errorf("copying %T: the copy is not an object", from)
		}
		to := reflect.ValueOf(object)
		for _, place := range p.places[i] {
			place.set(to, values)
		}
		objects[i] = object
	}
	return objects, nil
}

// set replaces the tokens of a place.
func (p place) set(object reflect.Value, values map[string]string) {
	at := object
	for _, i := range p.path {
		at = deref(at)
		if at.Kind() == reflect.Struct {
			at = at.Field(i)
		} else {
			at = at.Index(i)
		}
	}
	at = deref(at)
	text := p.text(values)
	if at.Kind() == reflect.Map {
		at.SetMapIndex(reflect.ValueOf(p.key).Convert(at.Type().Key()), reflect.ValueOf(text).Convert(at.Type().Elem()))
		return
	}
	at.SetString(text)
}

// text gives the parts with the tokens' values. A string that is one token is
// the value itself, so that the objects of a machine share it.
func (p place) text(values map[string]string) string {
	if len(p.parts) == 3 && p.parts[0] == "" && p.parts[2] == "" {
		return values[p.parts[1]]
	}
	parts := slices.Clone(p.parts)
	for i := 1; i < len(parts); i += 2 {
		parts[i] = values[parts[i]]
	}
	return strings.Join(parts, "")
}

func deref(v reflect.Value) reflect.Value {
	for v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	return v
}

// finder finds the strings of an object that hold tokens.
type finder struct {
	token  string
	places []place
	tokens int
}

func (f *finder) walk(v reflect.Value, path []int) {
	v = deref(v)
	switch v.Kind() { //nolint:exhaustive // nothing else holds text
	case reflect.String:
		f.add(place{path: path}, v.String())
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				f.walk(v.Field(i), append(slices.Clone(path), i))
			}
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			f.walk(v.Index(i), append(slices.Clone(path), i))
		}
	case reflect.Map:
		f.entries(v, path)
	}
}

// entries finds tokens in the values of a map of strings. One in a key, or
// deeper, is not found, and so not counted.
func (f *finder) entries(v reflect.Value, path []int) {
	if v.Type().Key().Kind() != reflect.String || v.Type().Elem().Kind() != reflect.String {
		return
	}
	entries := map[string]string{}
	for key, value := range v.Seq2() {
		entries[key.String()] = value.String()
	}
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		f.add(place{path: path, key: key}, entries[key])
	}
}

// add notes a place if its text has tokens: the token's beginning, a name and
// an @.
func (f *finder) add(p place, text string) {
	if !strings.Contains(text, f.token) {
		return
	}
	for {
		before, after, ok := strings.Cut(text, f.token)
		p.parts = append(p.parts, before)
		if !ok {
			break
		}
		name, rest, _ := strings.Cut(after, "@")
		p.parts = append(p.parts, f.token+name+"@")
		f.tokens++
		text = rest
	}
	f.places = append(f.places, p)
}
