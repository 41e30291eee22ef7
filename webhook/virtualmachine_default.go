package webhook

import (
	"context"
	"encoding/json"
	"fmt"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/types"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"wukong.io/wukong/pkg/defaults"
)

// machineDefaulter stamps requests on machines, drops them where they cannot
// count, and fills in defaults for machines that opt in.
//
// It works on decoded JSON and not on KubeVirt's types: fields that a newer
// KubeVirt has and our types do not must survive.
type machineDefaulter struct{ handler }

// Handle implements admission.Handler.
func (d *machineDefaulter) Handle(ctx context.Context, req admission.Request) admission.Response {
	if req.Operation != admissionv1.Create && req.Operation != admissionv1.Update {
		return admission.Allowed("")
	}
	vm, err := decodeMap(req.Object.Raw)
	if err != nil {
		return badRequest(err)
	}
	var before map[string]any
	if req.Operation == admissionv1.Update {
		if before, err = decodeMap(req.OldObject.Raw); err != nil {
			return badRequest(err)
		}
	}
	metadata := metadataOf(vm)
	if letThrough(&req.AdmissionRequest, metadata["deletionTimestamp"] != nil) {
		return admission.Allowed("")
	}
	warnings := d.settleRequests(&req.AdmissionRequest, metadata, metadataOf(before))
	if defaults.Managed(vm) {
		defaults.VirtualMachine(vm, before, d.facts(ctx))
	}
	changed, err := json.Marshal(vm)
	if err != nil {
		return badRequest(fmt.Errorf("encoding the machine: %w", err))
	}
	return admission.PatchResponseFromRaw(req.Object.Raw, changed).WithWarnings(warnings...)
}

func (d *machineDefaulter) settleRequests(req *admissionv1.AdmissionRequest, metadata, before map[string]any) []string {
	annotations, old := annotationsOf(metadata), annotationsOf(before)
	uid, _ := metadata["uid"].(string)
	var warnings []string
	if req.Operation == admissionv1.Update && isServiceAccountOf(req.UserInfo, d.KubeVirtNamespace) {
		revertRequests(annotations, old)
	} else {
		warnings = stampRequests(annotations, old, req, types.UID(uid), d.Clock.Now())
	}
	if req.Operation == admissionv1.Update && req.UserInfo.Username != d.ControllersUser {
		keepReports(annotations, old)
	}
	setAnnotations(metadata, annotations)
	return warnings
}

// facts reads what defaults need from the caches.
func (d *machineDefaulter) facts(ctx context.Context) defaults.Facts {
	facts := defaults.Facts{ClaimProperties: func(class string) ([]string, string, bool) {
		return d.claimProperties(ctx, class)
	}}
	var installations kubevirtv1.KubeVirtList
	if err := d.cache.List(ctx, &installations); err == nil {
		for i := range installations.Items {
			if strategy := installations.Items[i].Spec.Configuration.EvictionStrategy; strategy != nil {
				facts.EvictionStrategy = string(*strategy)
			}
		}
	}
	return facts
}

// claimProperties gives what the StorageProfile of a class recommends.
func (d *machineDefaulter) claimProperties(ctx context.Context, class string) (accessModes []string, volumeMode string, ok bool) {
	if class == "" {
		for _, c := range (facts{ctx: ctx, cache: d.cache}).StorageClasses() {
			if c.VirtDefault || (c.Default && class == "") {
				class = c.Name
			}
		}
	}
	var profile cdiv1.StorageProfile
	if err := d.cache.Get(ctx, types.NamespacedName{Name: class}, &profile); err != nil || len(profile.Status.ClaimPropertySets) == 0 {
		return nil, "", false
	}
	best := profile.Status.ClaimPropertySets[0]
	for _, mode := range best.AccessModes {
		accessModes = append(accessModes, string(mode))
	}
	if best.VolumeMode != nil {
		volumeMode = string(*best.VolumeMode)
	}
	return accessModes, volumeMode, len(accessModes) > 0
}

func decodeMap(raw []byte) (map[string]any, error) {
	var object map[string]any
	if err := json.Unmarshal(raw, &object); err != nil {
		return nil, fmt.Errorf("decoding the object: %w", err)
	}
	return object, nil
}

func metadataOf(object map[string]any) map[string]any {
	metadata, ok := object["metadata"].(map[string]any)
	if !ok {
		return map[string]any{}
	}
	return metadata
}

func annotationsOf(metadata map[string]any) map[string]string {
	found := map[string]string{}
	annotations, _ := metadata["annotations"].(map[string]any)
	for key, value := range annotations {
		if text, ok := value.(string); ok {
			found[key] = text
		}
	}
	return found
}

func setAnnotations(metadata map[string]any, annotations map[string]string) {
	if len(annotations) == 0 {
		delete(metadata, "annotations")
		return
	}
	out := make(map[string]any, len(annotations))
	for key, value := range annotations {
		out[key] = value
	}
	metadata["annotations"] = out
}
