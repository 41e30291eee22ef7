package webhook

import (
	"context"
	"fmt"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kubevirtv1 "kubevirt.io/api/core/v1"
	snapshotv1beta1 "kubevirt.io/api/snapshot/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"wukong.io/wukong/pkg/storage"
)

// snapshotValidator warns about the disks a snapshot would leave out: KubeVirt
// calls such a snapshot Succeeded.
type snapshotValidator struct{ handler }

// Handle implements admission.Handler.
func (v *snapshotValidator) Handle(ctx context.Context, req admission.Request) admission.Response {
	if req.Operation != admissionv1.Create {
		return admission.Allowed("")
	}
	var snapshot snapshotv1beta1.VirtualMachineSnapshot
	if err := v.decoder.DecodeRaw(req.Object, &snapshot); err != nil {
		return badRequest(err)
	}
	if snapshot.Spec.Source.Kind != "VirtualMachine" {
		return admission.Allowed("")
	}
	// The cache keeps no volumes, so the machine is read live: people and
	// policies take few snapshots, and none is on a hot path.
	var vm kubevirtv1.VirtualMachine
	key := types.NamespacedName{Namespace: req.Namespace, Name: snapshot.Spec.Source.Name}
	if err := v.reader.Get(ctx, key, &vm); err != nil {
		return admission.Allowed("").WithWarnings(fmt.Sprintf(
			"%s: no VirtualMachine %q exists in namespace %q: the snapshot waits for it until its failureDeadline",
			field.NewPath("spec", "source", "name"), key.Name, key.Namespace))
	}
	judgement := storage.Judge(storage.UseSnapshot, storage.Disks(&vm, facts{ctx: ctx, cache: v.cache}))
	return answer("VirtualMachineSnapshot", snapshot.Name, nil, storage.Messages(append(judgement.Refusals, judgement.Warnings...)))
}
