package validation

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
)

// ValidateVirtualMachineUpdate refuses edits of a machine's dataVolumeTemplates
// that KubeVirt accepts and ignores, as the DataVolume of a template is made
// once: another source, a smaller size, another class or mode. A value that is
// left out on one side is no change: defaults fill it in.
//
// KubeVirt's own controllers rewrite templates when they restore a machine; do
// not ask about their edits.
func ValidateVirtualMachineUpdate(old, changed *kubevirtv1.VirtualMachine) field.ErrorList {
	var errs field.ErrorList
	eachTemplate(old, changed, func(path *field.Path, before, after *kubevirtv1.DataVolumeTemplateSpec) {
		errs = append(errs, templateSource(path, before, after)...)
		errs = append(errs, templateStorage(path, before, after)...)
	})
	return limitErrors(specPath(), errs)
}

// VirtualMachineUpdateWarnings names a template's size that grows, which
// KubeVirt ignores too.
func VirtualMachineUpdateWarnings(old, changed *kubevirtv1.VirtualMachine) []string {
	var warnings []string
	eachTemplate(old, changed, func(path *field.Path, before, after *kubevirtv1.DataVolumeTemplateSpec) {
		was, is := claimShapeOf(&before.Spec), claimShapeOf(&after.Spec)
		if was.size != nil && is.size != nil && is.size.Cmp(*was.size) > 0 {
			warnings = append(warnings, fmt.Sprintf("%s: grows from %s to %s, and KubeVirt leaves the existing disk as it is: enlarge claim %q, by kubectl patch pvc, on a StorageClass with allowVolumeExpansion",
				path.Child("spec", is.member, "resources", "requests").Key("storage"), was.size, is.size, show(after.Name)))
		}
	})
	return warnings
}

// eachTemplate visits the templates that a machine has before and after.
func eachTemplate(old, changed *kubevirtv1.VirtualMachine, visit func(path *field.Path, before, after *kubevirtv1.DataVolumeTemplateSpec)) {
	if old == nil || changed == nil {
		return
	}
	before := make(map[string]*kubevirtv1.DataVolumeTemplateSpec, len(old.Spec.DataVolumeTemplates))
	for i := range old.Spec.DataVolumeTemplates {
		before[old.Spec.DataVolumeTemplates[i].Name] = &old.Spec.DataVolumeTemplates[i]
	}
	for i := range changed.Spec.DataVolumeTemplates {
		after := &changed.Spec.DataVolumeTemplates[i]
		if was, ok := before[after.Name]; ok {
			visit(specPath().Child("dataVolumeTemplates").Index(i), was, after)
		}
	}
}

func templateSource(path *field.Path, before, after *kubevirtv1.DataVolumeTemplateSpec) field.ErrorList {
	member := ""
	switch {
	case !equality.Semantic.DeepEqual(before.Spec.Source, after.Spec.Source):
		member = "source"
	case !sameSourceRef(before.Spec.SourceRef, after.Spec.SourceRef):
		member = "sourceRef"
	default:
		return nil
	}
	return field.ErrorList{field.Forbidden(path.Child("spec", member), fmt.Sprintf("cannot change, as DataVolume %q exists and is filled once, so KubeVirt would ignore it: "+
		"name another template and volume to have a new disk made, or delete the machine to have both made anew", show(after.Name)))}
}

// sameSourceRef compares references; an empty namespace is left out.
func sameSourceRef(before, after *cdiv1.DataVolumeSourceRef) bool {
	if before == nil || after == nil {
		return before == after
	}
	if before.Kind != after.Kind || before.Name != after.Name {
		return false
	}
	unset := func(namespace *string) bool { return namespace == nil || *namespace == "" }
	return unset(before.Namespace) || unset(after.Namespace) || *before.Namespace == *after.Namespace
}

// claimShape is what of a template decides the claim that is made.
type claimShape struct {
	// member of the spec it is read from.
	member     string
	size       *resource.Quantity
	class      *string
	modes      []corev1.PersistentVolumeAccessMode
	volumeMode *corev1.PersistentVolumeMode
}

func claimShapeOf(spec *cdiv1.DataVolumeSpec) claimShape {
	var shape claimShape
	var requests corev1.ResourceList
	switch {
	case spec.Storage != nil:
		shape = claimShape{member: "storage", class: spec.Storage.StorageClassName, modes: spec.Storage.AccessModes, volumeMode: spec.Storage.VolumeMode}
		requests = spec.Storage.Resources.Requests
	case spec.PVC != nil:
		shape = claimShape{member: "pvc", class: spec.PVC.StorageClassName, modes: spec.PVC.AccessModes, volumeMode: spec.PVC.VolumeMode}
		requests = spec.PVC.Resources.Requests
	}
	if size, ok := requests[corev1.ResourceStorage]; ok {
		shape.size = &size
	}
	return shape
}

func templateStorage(path *field.Path, before, after *kubevirtv1.DataVolumeTemplateSpec) field.ErrorList {
	was, is := claimShapeOf(&before.Spec), claimShapeOf(&after.Spec)
	var errs field.ErrorList
	forbid := func(at *field.Path, from, to, advice string) {
		errs = append(errs, field.Forbidden(at, fmt.Sprintf("cannot change from %s to %s, as claim %q exists and KubeVirt would leave it as it is: %s", from, to, show(after.Name), advice)))
	}
	const move = "name another template and volume to have a new disk made, or move the volume with updateVolumesStrategy: Migration"
	at := path.Child("spec", is.member)
	if was.size != nil && is.size != nil && is.size.Cmp(*was.size) < 0 {
		forbid(at.Child("resources", "requests").Key("storage"), was.size.String(), is.size.String(), "no disk can shrink; set it back, or name another template and volume to have a new disk made")
	}
	if was.class != nil && is.class != nil && *was.class != *is.class {
		forbid(at.Child("storageClassName"), quote(*was.class), quote(*is.class), move)
	}
	if len(was.modes) > 0 && len(is.modes) > 0 && !slices.Equal(was.modes, is.modes) {
		forbid(at.Child("accessModes"), modesText(was.modes), modesText(is.modes), move)
	}
	if was.volumeMode != nil && is.volumeMode != nil && *was.volumeMode != *is.volumeMode {
		forbid(at.Child("volumeMode"), string(*was.volumeMode), string(*is.volumeMode), move)
	}
	return errs
}

func modesText(modes []corev1.PersistentVolumeAccessMode) string {
	texts := make([]string, len(modes))
	for i, mode := range modes {
		texts[i] = string(mode)
	}
	return show(strings.Join(texts, ", "))
}
