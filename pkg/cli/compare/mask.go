package compare

import (
	"maps"
	"reflect"

	"wukong.io/wukong/pkg/cli/manifest"
)

// What stands for a value of a Secret. Where it changes the two sides differ in
// a word, never in the value.
const (
	maskPlain  = "***"
	maskBefore = "*** (before)"
	maskAfter  = "*** (after)"
)

// mask hides the values of a Secret. other is the other side of the change, or
// nil, and word stands for a value that is not the same there.
func mask(key manifest.Key, object, other map[string]any, word string) map[string]any {
	if key.Kind != "Secret" || key.Group != "" || object == nil {
		return object
	}
	data, ok := object["data"].(map[string]any)
	if !ok {
		return object
	}
	otherData, _ := other["data"].(map[string]any)
	hidden := make(map[string]any, len(data))
	for name, value := range data {
		hidden[name] = maskPlain
		if other != nil && !reflect.DeepEqual(value, otherData[name]) {
			hidden[name] = word
		}
	}
	object = maps.Clone(object)
	object["data"] = hidden
	return object
}
