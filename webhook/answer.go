package webhook

import (
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// maxWarnings bounds what a review says: clients print every warning.
const maxWarnings = 10

// answer allows, with warnings, or refuses with every mistake at once and a
// cause for each field. A refusal for want of a right answers 403, others 422.
func answer(kind, name string, errs field.ErrorList, warnings []string) admission.Response {
	if len(warnings) > maxWarnings {
		warnings = warnings[:maxWarnings]
	}
	if len(errs) == 0 {
		return admission.Allowed("").WithWarnings(warnings...)
	}
	status := apierrors.NewInvalid(schema.GroupKind{Kind: kind}, name, errs).Status()
	if errs[0].Type == field.ErrorTypeForbidden {
		status.Code = http.StatusForbidden
		status.Reason = metav1.StatusReasonForbidden
	}
	response := admission.Response{}
	response.Allowed = false
	response.Result = &status
	return response.WithWarnings(warnings...)
}
