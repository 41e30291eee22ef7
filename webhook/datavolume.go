package webhook

import (
	"context"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"wukong.io/wukong/pkg/validation"
)

// volumeValidator checks where the DataVolumes of fleets are imported from.
type volumeValidator struct{ handler }

// Handle implements admission.Handler.
func (v *volumeValidator) Handle(_ context.Context, req admission.Request) admission.Response {
	if req.Operation != admissionv1.Create {
		return admission.Allowed("")
	}
	var volume cdiv1.DataVolume
	if err := v.decoder.DecodeRaw(req.Object, &volume); err != nil {
		return badRequest(err)
	}
	if volume.Spec.Source == nil {
		return admission.Allowed("")
	}
	errs := validation.ValidateDataVolumeSource(volume.Spec.Source, v.Policy, field.NewPath("spec", "source"))
	return answer("DataVolume", volume.Name, errs, nil)
}
