package webhook

import (
	"context"
	"fmt"
	"slices"

	admissionv1 "k8s.io/api/admission/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kubevirtv1 "kubevirt.io/api/core/v1"
	snapshotv1beta1 "kubevirt.io/api/snapshot/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"wukong.io/wukong/pkg/access"
	"wukong.io/wukong/pkg/apis/wukong/v1alpha1"
	"wukong.io/wukong/pkg/storage"
	"wukong.io/wukong/pkg/validation"
)

// machineValidator checks what is asked of a machine, and the edits that
// KubeVirt and CDI would silently ignore.
type machineValidator struct{ handler }

// Handle implements admission.Handler.
func (v *machineValidator) Handle(ctx context.Context, req admission.Request) admission.Response {
	var vm, before kubevirtv1.VirtualMachine
	if req.Operation != admissionv1.Create && req.Operation != admissionv1.Update {
		return admission.Allowed("")
	}
	if err := v.decoder.DecodeRaw(req.Object, &vm); err != nil {
		return badRequest(err)
	}
	if req.Operation == admissionv1.Update {
		if err := v.decoder.DecodeRaw(req.OldObject, &before); err != nil {
			return badRequest(err)
		}
	}
	if letThrough(&req.AdmissionRequest, vm.DeletionTimestamp != nil) || isServiceAccountOf(req.UserInfo, v.KubeVirtNamespace) {
		return admission.Allowed("")
	}
	review := &machineReview{
		machineValidator: v, ctx: ctx, user: userOf(&req.AdmissionRequest), vm: &vm, before: &before,
		updating: req.Operation == admissionv1.Update,
	}
	review.check()
	return answer("VirtualMachine", vm.Name, review.errs, review.warnings)
}

// machineReview is the review of one machine. Errors and warnings gather in it.
type machineReview struct {
	*machineValidator
	ctx        context.Context //nolint:containedctx // lives for one review
	user       access.Requester
	vm, before *kubevirtv1.VirtualMachine
	updating   bool
	disks      []storage.Disk
	errs       field.ErrorList
	warnings   []string
}

func (r *machineReview) check() {
	annotations := field.NewPath("metadata", "annotations")
	if r.updating {
		r.errs = append(r.errs, validation.ValidateVirtualMachineUpdate(r.before, r.vm)...)
		r.warnings = append(r.warnings, validation.VirtualMachineUpdateWarnings(r.before, r.vm)...)
		for _, verb := range v1alpha1.RequestVerbs() {
			if value, ok := r.changed(verb); ok {
				r.checkRequest(verb, value, annotations.Key(v1alpha1.RequestAnnotation(verb)))
			}
		}
	}
	if value, ok := r.changed(v1alpha1.VerbSnapshotPolicy); ok {
		r.checkBinding(value, annotations.Key(v1alpha1.RequestAnnotation(v1alpha1.VerbSnapshotPolicy)))
	}
	if r.vm.Labels[v1alpha1.LabelManaged] != "" {
		r.checkMACs()
		r.checkReferences()
	}
}

// changed gives the value of a request annotation that is not what it was.
func (r *machineReview) changed(verb string) (string, bool) {
	key := v1alpha1.RequestAnnotation(verb)
	value, ok := r.vm.Annotations[key]
	old, had := r.before.Annotations[key]
	return value, ok && (!had || old != value)
}

// checkRequest checks a request in full: its grammar, its destination, what it
// names, and whether the machine's disks can do it.
func (r *machineReview) checkRequest(verb, value string, path *field.Path) {
	request, errs := validation.ParseRequest(verb, value, r.vm)
	if len(errs) > 0 {
		r.errs = append(r.errs, errs...)
		return
	}
	r.errs = append(r.errs, validation.ValidateRequestPolicy(request, r.Policy)...)
	r.checkRights(request, path)
	switch {
	case request.Clone != nil:
		r.checkTarget(request, path)
		use := storage.UseOfflineClone
		if request.Clone.Source.Mode == v1alpha1.CloneOnline {
			use = storage.UseOnlineClone
		}
		r.judge(use, path, value)
	case request.Export != nil:
		r.judge(storage.UseExport, path, value)
	case request.Rollback != nil:
		r.checkSnapshot(request.Rollback.Snapshot, path)
		r.judge(storage.UseRollback, path, value)
	case request.Snapshot != nil:
		r.checkNoSnapshot(request.Snapshot.Name, path)
		r.judge(storage.UseSnapshot, path, value)
	}
}

// judge refuses or warns about the disks that an operation would leave out.
func (r *machineReview) judge(use storage.Use, path *field.Path, value string) {
	if r.disks == nil {
		r.disks = storage.Disks(r.vm, facts{ctx: r.ctx, cache: r.cache})
	}
	judgement := storage.Judge(use, r.disks)
	for _, finding := range judgement.Refusals {
		r.errs = append(r.errs, field.Invalid(path, value, finding.Message))
	}
	for _, finding := range judgement.Warnings {
		r.warnings = append(r.warnings, finding.Message)
	}
}

// checkRights asks the API server what the policies cannot see: what stands
// inside an annotation. These are the only live calls of a review.
func (r *machineReview) checkRights(request validation.Request, path *field.Path) {
	denied, err := access.Denied(r.ctx, r.live, r.user, access.Beyond(request, r.vm.Namespace))
	if err != nil {
		r.errs = append(r.errs, field.InternalError(path, err))
	}
	for _, right := range denied {
		r.errs = append(r.errs, field.Forbidden(path, fmt.Sprintf("user %q may not %s", r.user.User, right.What)))
	}
}

// checkTarget refuses clones whose name is taken.
func (r *machineReview) checkTarget(request validation.Request, path *field.Path) {
	namespace := request.TargetNamespace(r.vm.Namespace)
	for _, name := range cloneNames(request.Clone.Targets) {
		var taken kubevirtv1.VirtualMachine
		if r.cache.Get(r.ctx, types.NamespacedName{Namespace: namespace, Name: name}, &taken) == nil {
			r.errs = append(r.errs, field.Invalid(path, name, fmt.Sprintf("machine %q exists in namespace %q already, must be a new name", name, namespace)))
		}
	}
}

func cloneNames(targets v1alpha1.CloneTargets) []string {
	if targets.Name != "" {
		return []string{targets.Name}
	}
	start, count := int32(0), int32(1)
	if targets.Start != nil {
		start = *targets.Start
	}
	if targets.Count != nil {
		count = *targets.Count
	}
	names := make([]string, 0, count)
	for ordinal := start; ordinal < start+count; ordinal++ {
		names = append(names, fmt.Sprintf("%s-%d", targets.NamePrefix, ordinal))
	}
	return names
}

// checkSnapshot wants a snapshot of this machine to go back to.
func (r *machineReview) checkSnapshot(name string, path *field.Path) {
	var snapshot snapshotv1beta1.VirtualMachineSnapshot
	if r.cache.Get(r.ctx, types.NamespacedName{Namespace: r.vm.Namespace, Name: name}, &snapshot) != nil {
		r.errs = append(r.errs, field.Invalid(path, name, fmt.Sprintf("no VirtualMachineSnapshot %q exists in namespace %q: wukong snapshots lists those there are", name, r.vm.Namespace)))
		return
	}
	if snapshot.Spec.Source.Name != r.vm.Name {
		r.errs = append(r.errs, field.Invalid(path, name, fmt.Sprintf("is a snapshot of machine %q, must be one of %q", snapshot.Spec.Source.Name, r.vm.Name)))
	}
	if snapshot.Status == nil || snapshot.Status.ReadyToUse == nil || !*snapshot.Status.ReadyToUse {
		r.errs = append(r.errs, field.Invalid(path, name, "is not ready to use: wait until it is, or name another"))
	}
}

func (r *machineReview) checkNoSnapshot(name string, path *field.Path) {
	var taken snapshotv1beta1.VirtualMachineSnapshot
	if r.cache.Get(r.ctx, types.NamespacedName{Namespace: r.vm.Namespace, Name: name}, &taken) == nil {
		r.errs = append(r.errs, field.Invalid(path, name, fmt.Sprintf("VirtualMachineSnapshot %q exists already, must be a new name", name)))
	}
}

// checkBinding checks a machine's binding to a SnapshotPolicy.
func (r *machineReview) checkBinding(value string, path *field.Path) {
	request, errs := validation.ParseRequest(v1alpha1.VerbSnapshotPolicy, value, r.vm)
	if len(errs) > 0 {
		r.errs = append(r.errs, errs...)
		return
	}
	var policy v1alpha1.SnapshotPolicy
	if r.cache.Get(r.ctx, types.NamespacedName{Namespace: r.vm.Namespace, Name: request.SnapshotPolicy}, &policy) != nil {
		r.warnings = append(r.warnings, fmt.Sprintf("%s: no SnapshotPolicy %q exists in namespace %q yet: no snapshots are taken until it does", path, request.SnapshotPolicy, r.vm.Namespace))
		return
	}
	use := storage.UseSnapshot
	if policy.Spec.Consistency == "Required" {
		use = storage.UseRequiredSnapshot
	}
	r.judge(use, path, value)
}

// checkMACs refuses a MAC address that another machine has: both would be on
// the network with it.
func (r *machineReview) checkMACs() {
	if r.vm.Spec.Template == nil {
		return
	}
	had := macsOf(r.before)
	path := field.NewPath("spec", "template", "spec", "domain", "devices", "interfaces")
	for i, iface := range r.vm.Spec.Template.Spec.Domain.Devices.Interfaces {
		mac := normalMAC(iface.MacAddress)
		if mac == "" || slices.Contains(had, mac) {
			continue
		}
		var others kubevirtv1.VirtualMachineList
		if r.cache.List(r.ctx, &others, client.MatchingFields{indexMAC: mac}) != nil {
			continue
		}
		for j := range others.Items {
			other := &others.Items[j]
			if other.Namespace != r.vm.Namespace || other.Name != r.vm.Name {
				r.errs = append(r.errs, field.Invalid(path.Index(i).Child("macAddress"), iface.MacAddress, fmt.Sprintf(
					"machine %q in namespace %q has it already, must be unique: leave it out to have one that follows from the machine's name", other.Name, other.Namespace)))
			}
		}
	}
}

// userOf gives the requester of a review.
func userOf(req *admissionv1.AdmissionRequest) access.Requester {
	extra := make(map[string]authorizationv1.ExtraValue, len(req.UserInfo.Extra))
	for key, values := range req.UserInfo.Extra {
		extra[key] = authorizationv1.ExtraValue(values)
	}
	return access.Requester{User: req.UserInfo.Username, UID: req.UserInfo.UID, Groups: req.UserInfo.Groups, Extra: extra}
}
