package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"wukong.io/wukong/pkg/apis/wukong/v1alpha1"
	"wukong.io/wukong/pkg/fleet"
	"wukong.io/wukong/pkg/validation"
)

// jobStamper stamps jobs with who asks for them. Wukong's controllers copy the
// stamp of the machine whose annotation asked.
type jobStamper struct{ handler }

// Handle implements admission.Handler.
func (s *jobStamper) Handle(_ context.Context, req admission.Request) admission.Response {
	if req.Operation != admissionv1.Create || req.UserInfo.Username == s.ControllersUser {
		return admission.Allowed("")
	}
	job, err := decodeMap(req.Object.Raw)
	if err != nil {
		return badRequest(err)
	}
	metadata := metadataOf(job)
	annotations := annotationsOf(metadata)
	for key := range annotations {
		if v1alpha1.IsStampKey(key) {
			delete(annotations, key)
		}
	}
	maps.Copy(annotations, stampOf(req.UserInfo, "", s.Clock.Now()).Annotations(""))
	setAnnotations(metadata, annotations)
	job["metadata"] = metadata
	changed, err := json.Marshal(job)
	if err != nil {
		return badRequest(fmt.Errorf("encoding the job: %w", err))
	}
	return admission.PatchResponseFromRaw(req.Object.Raw, changed)
}

// ownValidator checks Wukong's own kinds.
type ownValidator struct {
	handler
	renderer *fleet.Renderer
}

// Handle implements admission.Handler.
func (v *ownValidator) Handle(ctx context.Context, req admission.Request) admission.Response {
	if req.Operation != admissionv1.Create && req.Operation != admissionv1.Update {
		return admission.Allowed("")
	}
	check, known := v.checks(ctx)[req.Kind.Kind]
	if !known {
		return admission.Allowed("")
	}
	errs, err := check(req)
	if err != nil {
		return badRequest(err)
	}
	return answer(req.Kind.Kind, req.Name, errs, nil)
}

type check func(admission.Request) (field.ErrorList, error)

// checks are the checks of every kind.
func (v *ownValidator) checks(ctx context.Context) map[string]check {
	return map[string]check{
		"CloneJob": func(req admission.Request) (field.ErrorList, error) {
			return validated(v.decoder, req, validation.ValidateCloneJob, validation.ValidateCloneJobUpdate)
		},
		"ExportJob": func(req admission.Request) (field.ErrorList, error) {
			return validated(v.decoder, req, func(job *v1alpha1.ExportJob) field.ErrorList {
				return validation.ValidateExportJob(job, v.Policy)
			}, validation.ValidateExportJobUpdate)
		},
		"ImportJob": func(req admission.Request) (field.ErrorList, error) {
			return validated(v.decoder, req, func(job *v1alpha1.ImportJob) field.ErrorList {
				return validation.ValidateImportJob(job, v.Policy)
			}, validation.ValidateImportJobUpdate)
		},
		"RollbackJob": func(req admission.Request) (field.ErrorList, error) {
			return validated(v.decoder, req, validation.ValidateRollbackJob, validation.ValidateRollbackJobUpdate)
		},
		"SnapshotPolicy": func(req admission.Request) (field.ErrorList, error) {
			return validated(v.decoder, req, validation.ValidateSnapshotPolicy, validation.ValidateSnapshotPolicyUpdate)
		},
		"Wukong": func(req admission.Request) (field.ErrorList, error) {
			return validated(v.decoder, req, func(w *v1alpha1.Wukong) field.ErrorList {
				return append(validation.ValidateWukong(w, v.Policy), v.expand(ctx, w)...)
			}, func(before, now *v1alpha1.Wukong) field.ErrorList {
				return validation.ValidateWukongUpdate(&before.Spec, &now.Spec)
			})
		},
	}
}

// expand checks a fleet as the chart does, by the same templates.
func (v *ownValidator) expand(ctx context.Context, w *v1alpha1.Wukong) field.ErrorList {
	spec := field.NewPath("spec")
	values, err := fleet.ValuesFromSpec(&w.Spec)
	if err != nil {
		return field.ErrorList{field.InternalError(spec, err)}
	}
	err = v.renderer.ValidateInCluster(ctx, fleet.Fleet{Namespace: w.Namespace, Name: w.Name, Values: values})
	var mistakes fleet.ErrorList
	if err != nil && !errors.As(err, &mistakes) {
		return field.ErrorList{field.InternalError(spec, err)}
	}
	var errs field.ErrorList
	for _, mistake := range mistakes {
		errs = append(errs, field.Invalid(spec.Child(mistake.Path), field.OmitValueType{}, mistake.Message))
	}
	return errs
}

// validated decodes an object, and on update what it was, and checks it.
func validated[T any, P interface {
	*T
	runtime.Object
}](decoder admission.Decoder, req admission.Request, create func(P) field.ErrorList, update func(before, now P) field.ErrorList) (field.ErrorList, error) {
	now := P(new(T))
	if err := decoder.DecodeRaw(req.Object, now); err != nil {
		return nil, err
	}
	if deleting(req.Object.Raw) {
		return nil, nil
	}
	errs := create(now)
	if req.Operation != admissionv1.Update {
		return errs, nil
	}
	before := P(new(T))
	if err := decoder.DecodeRaw(req.OldObject, before); err != nil {
		return nil, err
	}
	return append(errs, update(before, now)...), nil
}

// deleting says whether an object is on its way out.
func deleting(raw []byte) bool {
	object, err := decodeMap(raw)
	return err == nil && metadataOf(object)["deletionTimestamp"] != nil
}
