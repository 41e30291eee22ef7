package wait

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// condition is a condition of any kind of object.
type condition struct {
	status, reason, message string
}

func (c condition) isTrue() bool  { return c.status == "True" }
func (c condition) isFalse() bool { return c.status == "False" }

// findCondition gives the condition of a type; one that is not there has no
// status.
func findCondition(object *unstructured.Unstructured, kind string) condition {
	list, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, item := range list {
		fields, ok := item.(map[string]any)
		if !ok || fields["type"] != kind {
			continue
		}
		return condition{status: text(fields["status"]), reason: text(fields["reason"]), message: text(fields["message"])}
	}
	return condition{}
}

func text(value any) string {
	s, _ := value.(string)
	return s
}

func nestedText(object *unstructured.Unstructured, path ...string) string {
	value, _, _ := unstructured.NestedString(object.Object, path...)
	return value
}

func nestedInt(object *unstructured.Unstructured, path ...string) int64 {
	value, _, _ := unstructured.NestedInt64(object.Object, path...)
	return value
}

func nestedBool(object *unstructured.Unstructured, path ...string) bool {
	value, _, _ := unstructured.NestedBool(object.Object, path...)
	return value
}

func has(object *unstructured.Unstructured, path ...string) bool {
	value, found, _ := unstructured.NestedFieldNoCopy(object.Object, path...)
	return found && value != nil
}
