package e2e

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"wukong.io/wukong/test/stockhelm"
)

// oneDisk is a machine with one empty disk, which is kept unless a value says otherwise.
const oneDisk = `
pools:
  one:
    template:
      resources: {memory: 64Mi}
      disks:
        data: {size: 8Mi, source: {empty: {}}}
`

// deletes makes the disks of oneDisk go with their machine.
func deletes() []string {
	return []string{"pools.one.retentionPolicy.whenDeleted=Delete", "pools.one.retentionPolicy.whenScaled=Delete"}
}

var _ = Describe("A change of the retention policy", func() {
	withBothHelms("from Retain to Delete hands the disk over to its machine", func(ctx SpecContext, helm func() stockhelm.Helm) {
		d := deploy(ctx, helm(), newNamespace(ctx), "hand", oneDisk)
		d.running(ctx, "one", 1)
		disks, instances, note := d.disks(ctx), d.instances(ctx), []byte("written by a guest")
		disk := d.object("hand-one-0-data")
		Expect(shared.world.Write(ctx, disk, 0, note)).To(Succeed())

		d.upgrade(ctx, deletes()...)
		Eventually(ctx, func() (bool, error) {
			volume := &cdiv1.DataVolume{}
			err := shared.world.Client.Get(ctx, disk, volume)
			owner := metav1.GetControllerOf(volume)
			return owner != nil && owner.Kind == "VirtualMachine" && owner.Name == "hand-one-0", err
		}).Should(BeTrue(), "the machine owns its disk")
		Expect(d.disks(ctx)).To(Equal(disks))
		Expect(d.instances(ctx)).To(Equal(instances))
		Expect(shared.world.Begins(ctx, disk, note)).To(Succeed())

		d.uninstall(ctx)
		wantDisks(ctx, d)
	})

	withBothHelms("is refused by Wukong's policy, and changes nothing", func(ctx SpecContext, helm func() stockhelm.Helm) {
		d := deploy(ctx, helm(), newNamespace(ctx), "policy", oneDisk)
		d.running(ctx, "one", 1)
		disks, instances := d.disks(ctx), d.instances(ctx)
		enforceRetention(ctx, d)

		Expect(d.tryUpgrade(ctx, deletes()...)).To(MatchError(ContainSubstring("cannot be made to go with it")))
		Expect(d.disks(ctx)).To(Equal(disks))
		Expect(d.instances(ctx)).To(Equal(instances))
		volume := &cdiv1.DataVolume{}
		Expect(shared.world.Client.Get(ctx, d.object("policy-one-0-data"), volume)).To(Succeed())
		Expect(volume.OwnerReferences).To(BeEmpty())

		By("going on with the policy as it was")
		d.upgrade(ctx)
		d.running(ctx, "one", 1)
		d.uninstall(ctx)
		d.running(ctx, "one", 0)
		Expect(d.disks(ctx)).To(Equal(disks))
	})

	withBothHelms("from Delete to Retain is refused, and changes nothing", func(ctx SpecContext, helm func() stockhelm.Helm) {
		d := deploy(ctx, helm(), newNamespace(ctx), "stay", oneDisk, deletes()...)
		d.running(ctx, "one", 1)
		before, disks, instances := d.installed(ctx), d.disks(ctx), d.instances(ctx)

		d.release.Set = nil
		Expect(d.tryUpgrade(ctx)).To(MatchError(ContainSubstring("invalid ownership metadata")))
		Expect(d.disks(ctx)).To(Equal(disks))
		Expect(d.instances(ctx)).To(Equal(instances))
		for id, object := range d.installed(ctx) {
			was := before[id]
			Expect(object.GetGeneration()).To(Equal(was.GetGeneration()), id)
		}
	})
})

// enforceRetention puts the chart's policy into force for the fleet's namespace, and waits until it is.
func enforceRetention(ctx context.Context, d deployment) {
	GinkgoHelper()
	manifests, err := shared.helm3.Run(ctx, "template", "wukong", stockhelm.Chart("wukong"),
		"--kube-version", "1.36.0", "--show-only", "templates/policies/retention.yaml")
	Expect(err).NotTo(HaveOccurred())
	name := "retention-" + d.release.Namespace
	selector := map[string]any{"matchLabels": map[string]any{"kubernetes.io/metadata.name": d.release.Namespace}}
	for _, object := range objects(manifests) {
		object.SetName(name)
		if object.GetKind() == "ValidatingAdmissionPolicyBinding" {
			Expect(unstructured.SetNestedField(object.Object, name, "spec", "policyName")).To(Succeed())
			Expect(unstructured.SetNestedMap(object.Object, selector, "spec", "matchResources", "namespaceSelector")).To(Succeed())
		}
		Expect(shared.world.Client.Create(ctx, &object)).To(Succeed())
		DeferCleanup(func(ctx SpecContext) {
			Expect(shared.world.Client.Delete(ctx, &object)).To(Succeed())
		}, NodeTimeout(patience))
	}
	Eventually(ctx, func() error {
		machine := &kubevirtv1.VirtualMachine{}
		Expect(shared.world.Client.Get(ctx, d.object("policy-one-0"), machine)).To(Succeed())
		made := kubevirtv1.DataVolumeTemplateSpec{ObjectMeta: metav1.ObjectMeta{Name: "policy-one-0-data"}}
		made.Spec.Source = &cdiv1.DataVolumeSource{Blank: &cdiv1.DataVolumeBlankImage{}}
		made.Spec.Storage = &cdiv1.StorageSpec{}
		machine.Spec.DataVolumeTemplates = append(machine.Spec.DataVolumeTemplates, made)
		return shared.world.Client.Update(ctx, machine, client.DryRunAll)
	}).Should(MatchError(ContainSubstring("outlives its machine")))
}
