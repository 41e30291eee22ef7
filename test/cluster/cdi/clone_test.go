package cdi_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"wukong.io/wukong/test/cluster"
)

var _ = Describe("Clone", func() {
	var namespace string
	var data []byte
	BeforeEach(func(ctx SpecContext) {
		namespace = suite.namespace(ctx)
		data = noise(3*mebibyte + 5)
	})
	golden := func(ctx context.Context) {
		GinkgoHelper()
		suite.succeed(ctx, volume(namespace, "golden", fromHTTP(serveData(data))))
	}
	cloneType := func(ctx context.Context, dv *cdiv1.DataVolume) string {
		GinkgoHelper()
		claim := &corev1.PersistentVolumeClaim{}
		Expect(suite.Get(ctx, client.ObjectKeyFromObject(dv), claim)).To(Succeed())
		return claim.Annotations["cdi.kubevirt.io/cloneType"]
	}

	It("clones a claim by a snapshot, also into another namespace, and tidies up", func(ctx SpecContext) {
		golden(ctx)
		other := suite.namespace(ctx)
		copies := []*cdiv1.DataVolume{
			volume(namespace, "copy", fromGolden(namespace)), volume(other, "copy", fromGolden(namespace)),
		}
		copies[0].Spec.Storage.Resources = corev1.VolumeResourceRequirements{} // takes the source's size
		for _, dv := range copies {
			suite.succeed(ctx, dv)
			suite.expectData(ctx, dv.Namespace, dv.Name, data)
			Expect(cloneType(ctx, dv)).To(Equal("snapshot"))
			Eventually(ctx, suite.leftovers(ctx, dv.Namespace)).Should(BeEmpty())
		}
		Eventually(ctx, suite.leftovers(ctx, namespace)).Should(BeEmpty())
	}, SpecTimeout(patience))

	It("grows a clone where the class allows it", func(ctx SpecContext) {
		golden(ctx)
		dv := volume(namespace, "grown", fromGolden(namespace))
		dv.Spec.Storage.Resources = sized("32Mi")
		suite.succeed(ctx, dv)
		suite.expectData(ctx, namespace, "grown", data)
		Expect(cloneType(ctx, dv)).To(Equal("snapshot"))
		Expect(len(suite.data(ctx, namespace, "grown"))).To(BeNumerically(">", 32*mebibyte))
	}, SpecTimeout(patience))

	It("refuses to shrink", func(ctx SpecContext) {
		golden(ctx)
		dv := volume(namespace, "small", fromGolden(namespace))
		dv.Spec.Storage.Resources = sized("8Mi")
		Expect(suite.Create(ctx, dv)).To(Succeed())
		Eventually(ctx, func(g Gomega) {
			g.Expect(suite.Get(ctx, client.ObjectKeyFromObject(dv), dv)).To(Succeed())
			g.Expect(conditionOf(dv, cdiv1.DataVolumeRunning).Message).To(
				ContainSubstring("target resources requests storage size is smaller than the source"))
		}).Should(Succeed())
	}, SpecTimeout(patience))

	It("waits while a Pod uses the source", func(ctx SpecContext) {
		golden(ctx)
		user := podOn(namespace, "user", "golden")
		Expect(suite.Create(ctx, user)).To(Succeed())
		dv := volume(namespace, "copy", fromGolden(namespace))
		Expect(suite.Create(ctx, dv)).To(Succeed())
		Eventually(ctx, func(g Gomega) {
			var events corev1.EventList
			g.Expect(suite.List(ctx, &events, client.InNamespace(namespace))).To(Succeed())
			reasons := []string{}
			for _, event := range events.Items {
				reasons = append(reasons, event.Reason)
			}
			g.Expect(reasons).To(ContainElement("CloneSourceInUse"))
		}).Should(Succeed())
		Expect(suite.phase(ctx, dv)()).To(Equal(cdiv1.SnapshotForSmartCloneInProgress))
		Expect(suite.Delete(ctx, user)).To(Succeed())
		suite.awaitSuccess(ctx, dv)
	}, SpecTimeout(patience))

	It("copies every byte where nothing else is possible", func(ctx SpecContext) {
		suite.succeed(ctx, inClass(volume(namespace, "golden", fromHTTP(serveData(data))), legacyClass))
		old := inClass(volume(namespace, "old", fromGolden(namespace)), legacyClass)
		suite.succeed(ctx, old)
		suite.expectData(ctx, namespace, "old", data)
		across := volume(namespace, "across", fromGolden(namespace)) // from one driver to another
		suite.succeed(ctx, across)
		suite.expectData(ctx, namespace, "across", data)
		Expect(cloneType(ctx, across)).To(Equal("copy"))
		Eventually(ctx, suite.leftovers(ctx, namespace)).Should(BeEmpty())
	}, SpecTimeout(patience))

	It("clones one snapshot many times", func(ctx SpecContext) {
		golden(ctx)
		snapshot := &snapshotv1.VolumeSnapshot{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "golden"}}
		snapshot.Spec.Source.PersistentVolumeClaimName = new("golden")
		snapshot.Spec.VolumeSnapshotClassName = new(cluster.SnapshotClass)
		Expect(suite.Create(ctx, snapshot)).To(Succeed())
		other := suite.namespace(ctx)
		for i := range 5 {
			suite.succeed(ctx, volume(other, fmt.Sprintf("copy-%d", i), fromSnapshot(namespace, "golden")))
			suite.expectData(ctx, other, fmt.Sprintf("copy-%d", i), data)
		}
		late := inClass(volume(other, "late", fromSnapshot(namespace, "golden")), cluster.ClassLate)
		Expect(suite.Create(ctx, late)).To(Succeed())
		Eventually(ctx, suite.phase(ctx, late)).Should(Equal(cdiv1.PendingPopulation))
		Expect(suite.Create(ctx, podOn(other, "consumer", "late"))).To(Succeed())
		suite.awaitSuccess(ctx, late)
		suite.expectData(ctx, other, "late", data)
	}, SpecTimeout(patience))

	It("waits for a source that does not exist yet, named directly or by a DataSource", func(ctx SpecContext) {
		direct := volume(namespace, "direct", fromGolden(namespace))
		Expect(suite.Create(ctx, direct)).To(Succeed())
		named := volume(namespace, "named", nil)
		named.Spec.SourceRef = &cdiv1.DataVolumeSourceRef{Kind: cdiv1.DataVolumeDataSource, Name: "image"}
		Expect(suite.Create(ctx, named)).To(Succeed())
		Eventually(ctx, suite.phase(ctx, direct)).Should(Equal(cdiv1.CloneScheduled))
		Eventually(ctx, suite.phase(ctx, named)).Should(Equal(cdiv1.Pending))

		image := &cdiv1.DataSource{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "image"}}
		image.Spec.Source.PVC = &cdiv1.DataVolumeSourcePVC{Namespace: namespace, Name: "golden"}
		Expect(suite.Create(ctx, image)).To(Succeed())
		Eventually(ctx, func(g Gomega) {
			g.Expect(suite.Get(ctx, client.ObjectKeyFromObject(image), image)).To(Succeed())
			g.Expect(image.Status.Conditions).To(HaveLen(1))
			g.Expect(image.Status.Conditions[0].Reason).To(Equal("NotFound"))
		}).Should(Succeed())
		golden(ctx)
		suite.awaitSuccess(ctx, direct)
		suite.awaitSuccess(ctx, named)
		suite.expectData(ctx, namespace, "named", data)
		Expect(suite.Get(ctx, client.ObjectKeyFromObject(image), image)).To(Succeed())
		Expect(image.Status.Conditions[0].Status).To(Equal(corev1.ConditionTrue))
	}, SpecTimeout(patience))

	It("fills a claim that names a clone source itself", func(ctx SpecContext) {
		golden(ctx)
		source := &cdiv1.VolumeCloneSource{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "of-golden"}}
		source.Spec.Source = corev1.TypedLocalObjectReference{Kind: "PersistentVolumeClaim", Name: "golden"}
		Expect(suite.Create(ctx, source)).To(Succeed())
		claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "plain"}}
		claim.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
		claim.Spec.Resources = sized("32Mi")
		claim.Spec.DataSourceRef = &corev1.TypedObjectReference{APIGroup: new("cdi.kubevirt.io"), Kind: "VolumeCloneSource", Name: "of-golden"}
		Expect(suite.Create(ctx, claim)).To(Succeed())
		Eventually(ctx, func(g Gomega) {
			g.Expect(suite.Get(ctx, client.ObjectKeyFromObject(claim), claim)).To(Succeed())
			g.Expect(claim.Status.Phase).To(Equal(corev1.ClaimBound))
		}).Should(Succeed())
		suite.expectData(ctx, namespace, "plain", data)
	}, SpecTimeout(patience))

	It("lets only those clone across namespaces who may read the source", func(ctx SpecContext) {
		golden(ctx)
		other := suite.namespace(ctx)
		image := &cdiv1.DataSource{ObjectMeta: metav1.ObjectMeta{Namespace: other, Name: "image"}}
		image.Spec.Source.PVC = &cdiv1.DataVolumeSourcePVC{Namespace: namespace, Name: "golden"}
		Expect(suite.Create(ctx, image)).To(Succeed())
		sly := volume(other, "sly", nil)
		sly.Spec.SourceRef = &cdiv1.DataVolumeSourceRef{Kind: cdiv1.DataVolumeDataSource, Name: "image"}

		alice := suite.as(ctx, other, "alice")
		Expect(alice.Create(ctx, volume(other, "copy", fromGolden(namespace)))).To(MatchError(ContainSubstring("insufficient permissions")))
		Expect(alice.Create(ctx, sly)).To(MatchError(ContainSubstring("insufficient permissions")))
		suite.bind(ctx, namespace, "alice", "cdi.kubevirt.io:clone-sourcer")
		Eventually(ctx, func() error {
			return alice.Create(ctx, volume(other, "copy", fromGolden(namespace)))
		}).Should(Succeed())
	}, SpecTimeout(patience))

	It("keeps an image up to date by a DataImportCron", func(ctx SpecContext) {
		server := httptest.NewServer(registry.New())
		DeferCleanup(server.Close)
		url := pushDisk(strings.TrimPrefix(server.URL, "http://")+"/disks/fedora:latest", data)
		job := &cdiv1.DataImportCron{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "fedora"}}
		job.Spec.ManagedDataSource = "fedora"
		job.Spec.Schedule = "0 0 * * *"
		job.Spec.RetentionPolicy = new(cdiv1.DataImportCronRetainNone)
		job.Spec.Template.Spec = volume(namespace, "", &cdiv1.DataVolumeSource{Registry: &cdiv1.DataVolumeSourceRegistry{URL: &url}}).Spec
		Expect(suite.Create(ctx, job)).To(Succeed())
		image := &cdiv1.DataSource{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "fedora"}}
		Eventually(ctx, func(g Gomega) {
			g.Expect(suite.Get(ctx, client.ObjectKeyFromObject(image), image)).To(Succeed())
			g.Expect(image.Spec.Source.Snapshot).NotTo(BeNil())
			g.Expect(image.Status.Conditions).To(HaveLen(1))
			g.Expect(image.Status.Conditions[0].Status).To(Equal(corev1.ConditionTrue))
		}).Should(Succeed())
		Expect(image.Spec.Source.Snapshot.Name).To(MatchRegexp(`^fedora-[0-9a-f]{12}$`))
		Eventually(ctx, func(g Gomega) {
			g.Expect(suite.Get(ctx, client.ObjectKeyFromObject(job), job)).To(Succeed())
			upToDate := ""
			for _, condition := range job.Status.Conditions {
				if condition.Type == cdiv1.DataImportCronUpToDate {
					upToDate = string(condition.Status)
				}
			}
			g.Expect(upToDate).To(Equal("True"))
		}).Should(Succeed())
		Expect(job.Status.LastImportTimestamp).NotTo(BeNil())
		dv := volume(namespace, "disk", nil)
		dv.Spec.SourceRef = &cdiv1.DataVolumeSourceRef{Kind: cdiv1.DataVolumeDataSource, Name: "fedora"}
		suite.succeed(ctx, dv)
		suite.expectData(ctx, namespace, "disk", data)
		Expect(suite.Delete(ctx, job)).To(Succeed())
		Eventually(ctx, func() error { return suite.Get(ctx, client.ObjectKeyFromObject(image), image) }).ShouldNot(Succeed())
	}, SpecTimeout(patience))

	It("makes 500 clones of one snapshot", Label("scale"), func(ctx SpecContext) {
		golden(ctx)
		snapshot := &snapshotv1.VolumeSnapshot{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "golden"}}
		snapshot.Spec.Source.PersistentVolumeClaimName = new("golden")
		snapshot.Spec.VolumeSnapshotClassName = new(cluster.SnapshotClass)
		Expect(suite.Create(ctx, snapshot)).To(Succeed())
		started := time.Now()
		for i := range 500 {
			Expect(suite.Create(ctx, volume(namespace, fmt.Sprintf("copy-%d", i), fromSnapshot(namespace, "golden")))).To(Succeed())
		}
		created := time.Since(started)
		Eventually(ctx, func(g Gomega) {
			var volumes cdiv1.DataVolumeList
			g.Expect(suite.List(ctx, &volumes, client.InNamespace(namespace))).To(Succeed())
			done := 0
			for _, dv := range volumes.Items {
				if dv.Status.Phase == cdiv1.Succeeded {
					done++
				}
			}
			g.Expect(done).To(Equal(501))
		}).WithTimeout(4 * time.Minute).WithPolling(time.Second).Should(Succeed())
		AddReportEntry("500 clones", fmt.Sprintf("created in %s, done in %s", created, time.Since(started)))
		suite.expectData(ctx, namespace, "copy-499", data)
	}, SpecTimeout(5*time.Minute))
})

// as is a client of a user who may do everything with DataVolumes in one namespace.
func (e *env) as(ctx context.Context, namespace, user string) client.Client {
	GinkgoHelper()
	e.bind(ctx, namespace, user, "cdi.kubevirt.io:admin")
	config := rest.CopyConfig(e.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:authenticated"}}
	made, err := client.New(config, client.Options{Scheme: e.Scheme()})
	Expect(err).NotTo(HaveOccurred())
	return made
}

func (e *env) bind(ctx context.Context, namespace, user, role string) {
	GinkgoHelper()
	binding := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: user}}
	binding.RoleRef = rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role}
	binding.Subjects = []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}}
	Expect(e.Create(ctx, binding)).To(Succeed())
}
