package compare

import (
	"encoding/base64"
	"maps"
	"math"

	"k8s.io/apimachinery/pkg/api/resource"
)

// project gives the part of live that the wanted object speaks of, in the
// words of wanted where both mean the same, so that the two can be compared as
// text. previous is what the fleet wanted before, or nil.
func project(wanted, previous, live any, path string) any {
	if wantedMap, ok := wanted.(map[string]any); ok {
		liveMap, isMap := live.(map[string]any)
		if !isMap {
			return live
		}
		previousMap, _ := previous.(map[string]any)
		return projectMap(wantedMap, previousMap, liveMap)
	}
	if wantedList, ok := wanted.([]any); ok {
		liveList, isList := live.([]any)
		if !isList {
			return live
		}
		previousList, _ := previous.([]any)
		return projectList(wantedList, previousList, liveList, path)
	}
	if same(wanted, live, path) {
		return wanted
	}
	return live
}

func projectMap(wanted, previous, live map[string]any) map[string]any {
	result := map[string]any{}
	for key, value := range wanted {
		liveValue, exists := live[key]
		switch {
		case exists:
			result[key] = project(value, previous[key], liveValue, key)
		case empty(value):
			result[key] = value // null and {} say nothing, and the server drops them
		}
	}
	for key, value := range previous {
		if _, still := wanted[key]; still {
			continue
		}
		if liveValue, exists := live[key]; exists && !empty(value) {
			result[key] = project(value, nil, liveValue, key)
		}
	}
	return result
}

// projectList compares place by place. Items beyond those wanted are somebody
// else's additions: an update would take them away, so they are shown whole.
func projectList(wanted, previous, live []any, path string) []any {
	result := make([]any, len(live))
	for i, item := range live {
		if i >= len(wanted) {
			result[i] = item
			continue
		}
		var before any
		if i < len(previous) {
			before = previous[i]
		}
		result[i] = project(wanted[i], before, item, path)
	}
	return result
}

// empty says that a value sets nothing.
func empty(value any) bool {
	switch value := value.(type) {
	case nil:
		return true
	case map[string]any:
		for _, item := range value {
			if !empty(item) {
				return false
			}
		}
		return true
	case []any:
		return len(value) == 0
	default:
		return false
	}
}

// same says that two values mean the same although they may be written in
// different ways.
func same(a, b any, key string) bool {
	if a == b {
		return true
	}
	numberA, okA := number(a)
	numberB, okB := number(b)
	if okA && okB {
		return numberA == numberB
	}
	return isQuantity(key) && sameQuantity(a, b)
}

func number(value any) (float64, bool) {
	switch value := value.(type) {
	case int64:
		return float64(value), true
	case float64:
		return value, !math.IsNaN(value)
	default:
		return 0, false
	}
}

// isQuantity knows the fields that hold quantities, which come back from the
// server in their canonical form: 1024Mi as 1Gi.
func isQuantity(key string) bool {
	switch key {
	case "cpu", "memory", "storage", "guest", "maxGuest", "ephemeral-storage":
		return true
	default:
		return false
	}
}

func sameQuantity(a, b any) bool {
	quantityA, errA := quantity(a)
	quantityB, errB := quantity(b)
	return errA == nil && errB == nil && quantityA.Cmp(quantityB) == 0
}

func quantity(value any) (resource.Quantity, error) {
	if n, ok := value.(int64); ok {
		return *resource.NewQuantity(n, resource.DecimalSI), nil
	}
	text, _ := value.(string)
	return resource.ParseQuantity(text)
}

// encodeSecret gives a Secret the form the server keeps it in.
func encodeSecret(object map[string]any) map[string]any {
	plain, ok := object["stringData"].(map[string]any)
	if !ok {
		return object
	}
	data, _ := object["data"].(map[string]any)
	data = maps.Clone(data)
	if data == nil {
		data = map[string]any{}
	}
	for key, value := range plain {
		text, _ := value.(string)
		data[key] = base64.StdEncoding.EncodeToString([]byte(text))
	}
	object = maps.Clone(object)
	delete(object, "stringData")
	object["data"] = data
	return object
}
