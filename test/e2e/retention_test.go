package e2e

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

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
