package webhook

import (
	"fmt"
	"maps"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/types"

	"wukong.io/wukong/pkg/apis/wukong/v1alpha1"
)

// stampRequests settles the request annotations of a machine, and says what it
// dropped. It changes the annotations in place.
//
//   - On creation there is nothing to operate on yet, and copies of a machine
//     must not repeat what was asked of the original: requests are dropped.
//   - A new value is stamped with who asks, on which machine and when.
//   - A request that stays keeps its stamp, also when a manifest that is applied
//     again does not have it.
func stampRequests(annotations, before map[string]string, req *admissionv1.AdmissionRequest, uid types.UID, now time.Time) (warnings []string) {
	if req.Operation == admissionv1.Create {
		return dropRequests(annotations)
	}
	for _, verb := range v1alpha1.RequestVerbs() {
		key := v1alpha1.RequestAnnotation(verb)
		value, asked := annotations[key]
		old, askedBefore := before[key]
		keys := v1alpha1.StampKeys(verb).All()
		switch {
		case !asked:
			remove(annotations, keys)
		case askedBefore && value == old:
			restore(annotations, before, keys)
		default:
			remove(annotations, keys)
			maps.Copy(annotations, stampOf(req.UserInfo, uid, now).Annotations(verb))
		}
	}
	return nil
}

// revertRequests leaves requests as they were: KubeVirt's own controllers
// restore a machine with the annotations it once had, and ask for nothing.
func revertRequests(annotations, before map[string]string) {
	for _, verb := range v1alpha1.RequestVerbs() {
		restore(annotations, before, append(v1alpha1.StampKeys(verb).All(), v1alpha1.RequestAnnotation(verb)))
	}
}

// keepReports leaves what Wukong's controllers wrote as it was: a request whose
// mark of being handled goes missing would be carried out again.
func keepReports(annotations, before map[string]string) {
	keys := []string{v1alpha1.AnnotationLastOperation}
	for _, verb := range v1alpha1.RequestVerbs() {
		keys = append(keys, v1alpha1.HandledKey(verb))
	}
	restore(annotations, before, keys)
}

func dropRequests(annotations map[string]string) (warnings []string) {
	for _, verb := range v1alpha1.RequestVerbs() {
		key := v1alpha1.RequestAnnotation(verb)
		if value, ok := annotations[key]; ok {
			warnings = append(warnings, fmt.Sprintf(
				"metadata.annotations[%s]: %q was dropped: it asks for an operation on a machine that exists; set it when the machine is there", key, value))
			delete(annotations, key)
		}
	}
	for key := range annotations {
		if v1alpha1.IsStampKey(key) || v1alpha1.IsReportKey(key) {
			delete(annotations, key)
		}
	}
	return warnings
}

func stampOf(user authenticationv1.UserInfo, uid types.UID, now time.Time) v1alpha1.Stamp {
	return v1alpha1.Stamp{User: user.Username, UID: user.UID, Groups: user.Groups, For: uid, At: now}
}

func remove(annotations map[string]string, keys []string) {
	for _, key := range keys {
		delete(annotations, key)
	}
}

// restore sets annotations to what they were, also to not being there.
func restore(annotations, before map[string]string, keys []string) {
	for _, key := range keys {
		if value, ok := before[key]; ok {
			annotations[key] = value
		} else {
			delete(annotations, key)
		}
	}
}

// isServiceAccountOf says whether a user is a ServiceAccount of a namespace.
func isServiceAccountOf(user authenticationv1.UserInfo, namespace string) bool {
	return namespace != "" && strings.HasPrefix(user.Username, "system:serviceaccount:"+namespace+":")
}
