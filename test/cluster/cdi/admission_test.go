package cdi_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"wukong.io/wukong/test/cluster"
)

var _ = Describe("Admission", func() {
	var namespace string
	BeforeEach(func(ctx SpecContext) { namespace = suite.namespace(ctx) })

	DescribeTable("refuses", func(ctx SpecContext, want string, change func(*cdiv1.DataVolume)) {
		dv := volume(namespace, "bad", blank())
		change(dv)
		Expect(suite.Create(ctx, dv)).To(MatchError(ContainSubstring(want)))
	},
		Entry("no storage", "Missing Data volume PVC", func(dv *cdiv1.DataVolume) { dv.Spec.Storage = nil }),
		Entry("two forms of storage", "Duplicate storage definition", func(dv *cdiv1.DataVolume) {
			dv.Spec.PVC = &corev1.PersistentVolumeClaimSpec{}
		}),
		Entry("no size", "Storage size is missing", func(dv *cdiv1.DataVolume) {
			dv.Spec.Storage.Resources = corev1.VolumeResourceRequirements{}
		}),
		Entry("a tiny size", "Storage size should be at least 1MiB", func(dv *cdiv1.DataVolume) {
			dv.Spec.Storage.Resources = sized("1Ki")
		}),
		Entry("no source", "either Source or SourceRef", func(dv *cdiv1.DataVolume) { dv.Spec.Source = nil }),
		Entry("an empty source", "Missing Data volume source", func(dv *cdiv1.DataVolume) { dv.Spec.Source = &cdiv1.DataVolumeSource{} }),
		Entry("two sources", "Multiple Data volume sources", func(dv *cdiv1.DataVolume) {
			dv.Spec.Source.Upload = &cdiv1.DataVolumeSourceUpload{}
		}),
		Entry("a source and a sourceRef", "either Source or SourceRef", func(dv *cdiv1.DataVolume) {
			dv.Spec.SourceRef = &cdiv1.DataVolumeSourceRef{Kind: "DataSource", Name: "x"}
		}),
		Entry("another scheme", "Invalid source URL scheme", func(dv *cdiv1.DataVolume) { dv.Spec.Source = fromHTTP("ftp://host/x") }),
		Entry("a malformed checksum", "Invalid checksum", func(dv *cdiv1.DataVolume) {
			dv.Spec.Source = fromHTTP("http://host/x")
			dv.Spec.Source.HTTP.Checksum = "sha256:abc"
		}),
		Entry("no access mode in the pvc form", "at least 1 access mode is required", func(dv *cdiv1.DataVolume) {
			dv.Spec.Storage = nil
			dv.Spec.PVC = &corev1.PersistentVolumeClaimSpec{Resources: sized("16Mi")}
		}),
	)

	It("keeps every spec as it is", func(ctx SpecContext) {
		dv := volume(namespace, "fixed", blank())
		suite.succeed(ctx, dv)
		dv.Spec.Storage.Resources = sized("32Mi")
		Expect(suite.Update(ctx, dv)).To(MatchError(ContainSubstring("Cannot update DataVolume Spec")))
	}, SpecTimeout(patience))

	It("says what a storage profile lacks", func(ctx SpecContext) {
		dv := volume(namespace, "unknown", blank())
		dv.Spec.Storage.StorageClassName = new(legacyClass)
		Expect(suite.Create(ctx, dv)).To(Succeed())
		Eventually(ctx, func(g Gomega) {
			g.Expect(suite.phase(ctx, dv)()).To(BeEmpty())
			g.Expect(conditionOf(dv, cdiv1.DataVolumeBound).Reason).To(Equal("ErrClaimNotValid"))
			g.Expect(conditionOf(dv, cdiv1.DataVolumeBound).Message).To(Equal("no accessMode specified in StorageProfile " + legacyClass))
		}).Should(Succeed())
	}, SpecTimeout(patience))

	It("describes every storage class", func(ctx SpecContext) {
		recognized := func(name string) (metav1.ConditionStatus, cdiv1.StorageProfileStatus) {
			profile := &cdiv1.StorageProfile{}
			Expect(suite.Get(ctx, keyOf(name), profile)).To(Succeed())
			return metav1.ConditionStatus(profile.Status.Conditions[0].Status), profile.Status
		}
		known, fast := recognized(cluster.ClassFast)
		Expect(known).To(Equal(metav1.ConditionTrue))
		Expect(*fast.SnapshotClass).To(Equal(cluster.SnapshotClass))
		Expect(*fast.CloneStrategy).To(Equal(cdiv1.CloneStrategySnapshot))
		unknown, plain := recognized(legacyClass)
		Expect(unknown).To(Equal(metav1.ConditionFalse))
		Expect(plain.SnapshotClass).To(BeNil())
		Expect(*plain.CloneStrategy).To(Equal(cdiv1.CloneStrategyHostAssisted))
	}, SpecTimeout(patience))
})
