package cdi_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"wukong.io/wukong/test/cluster"
	"wukong.io/wukong/test/cluster/cdi"
	"wukong.io/wukong/test/cluster/csidriver"
	"wukong.io/wukong/test/cluster/node"
)

const (
	mebibyte = 1 << 20
	// legacyClass is of a driver without a CSIDriver object, so that nothing there is populated.
	legacyClass = cluster.ClassNoSnapshot
	patience    = 60 * time.Second
)

func TestCDI(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(patience)
	SetDefaultEventuallyPollingInterval(100 * time.Millisecond)
	ctrl.SetLogger(GinkgoLogr)
	suite, reporter := GinkgoConfiguration()
	if suite.LabelFilter == "" {
		suite.LabelFilter = "!scale" // minutes on a small machine: go test -args -ginkgo.label-filter=scale
	}
	RunSpecs(t, "CDI stand-in", suite, reporter)
}

// env is the control plane all specs share; each has a namespace of its own.
type env struct {
	*cluster.Cluster
	client.Client
	faults *cdi.Faults
	stop   context.CancelFunc
	done   sync.WaitGroup
}

var suite = &env{faults: &cdi.Faults{}}

var _ = BeforeSuite(func(ctx SpecContext) {
	started, err := cluster.Start(ctx, cluster.Options{Log: GinkgoWriter, NoKubeVirt: true, NoCDI: true, NoNode: true})
	Expect(err).NotTo(HaveOccurred())
	suite.Cluster = started
	types := runtime.NewScheme()
	Expect(errors.Join(scheme.AddToScheme(types), cdiv1.AddToScheme(types), snapshotv1.AddToScheme(types),
		apiextensionsv1.AddToScheme(types))).To(Succeed())
	config := rest.CopyConfig(started.Config)
	config.QPS = -1
	suite.Client, err = client.New(config, client.Options{Scheme: types})
	Expect(err).NotTo(HaveOccurred())
	suite.installCRDs(ctx)
	suite.prepareStorage(ctx)
	suite.startStandIns()
	Eventually(ctx, func(g Gomega) {
		profile := &cdiv1.StorageProfile{}
		g.Expect(suite.Get(ctx, client.ObjectKey{Name: cluster.ClassFast}, profile)).To(Succeed())
		g.Expect(profile.Status.SnapshotClass).NotTo(BeNil())
	}).Should(Succeed())
}, NodeTimeout(3*time.Minute))

var _ = AfterSuite(func(ctx SpecContext) {
	if suite.stop != nil {
		suite.stop()
		suite.done.Wait()
	}
	if suite.Cluster != nil {
		Expect(suite.Cluster.Stop(ctx)).To(Succeed())
	}
}, NodeTimeout(time.Minute))

func (e *env) installCRDs(ctx context.Context) {
	GinkgoHelper()
	crds, err := cdi.CRDs()
	Expect(err).NotTo(HaveOccurred())
	for _, crd := range crds {
		Expect(e.Create(ctx, crd)).To(Succeed(), crd.Name)
	}
	for _, crd := range crds {
		Eventually(ctx, func(g Gomega) {
			g.Expect(e.Get(ctx, client.ObjectKeyFromObject(crd), crd)).To(Succeed())
			established := false
			for _, condition := range crd.Status.Conditions {
				established = established || (condition.Type == apiextensionsv1.Established && condition.Status == apiextensionsv1.ConditionTrue)
			}
			g.Expect(established).To(BeTrue())
		}).Should(Succeed())
	}
}

// prepareStorage makes one driver populate, and lets its classes grow.
func (e *env) prepareStorage(ctx context.Context) {
	GinkgoHelper()
	driver := &storagev1.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: cluster.DriverFast}}
	driver.Spec.AttachRequired = new(false)
	Expect(client.IgnoreAlreadyExists(e.Create(ctx, driver))).To(Succeed())
	legacy := &storagev1.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: cluster.DriverNoSnapshot}}
	Expect(client.IgnoreNotFound(e.Delete(ctx, legacy))).To(Succeed())
	for _, name := range []string{cluster.ClassFast, cluster.ClassLate} {
		class := &storagev1.StorageClass{}
		Expect(e.Get(ctx, client.ObjectKey{Name: name}, class)).To(Succeed())
		old := class.DeepCopy()
		class.AllowVolumeExpansion = new(true)
		Expect(e.Patch(ctx, class, client.MergeFrom(old))).To(Succeed())
	}
}

func (e *env) startStandIns() {
	ctx, stop := context.WithCancel(context.Background())
	e.stop = stop
	run := func(name string, start func() error) {
		e.done.Go(func() {
			defer GinkgoRecover()
			if err := start(); err != nil && ctx.Err() == nil {
				Fail(fmt.Sprintf("%s ended: %v", name, err))
			}
		})
	}
	run("cdi", func() error { return cdi.Run(ctx, e.Config, e.options()) })
	run("node", func() error { return node.Run(ctx, e.Config, node.Options{}) })
}

func (e *env) options() cdi.Options {
	return cdi.Options{
		VolumeRoot:  e.VolumeRoot,
		VolumeRoots: map[string]string{cluster.DriverNoSnapshot: filepath.Join(filepath.Dir(e.VolumeRoot), cluster.DriverNoSnapshot)},
		Provisioners: map[string]cdi.Capabilities{
			cluster.DriverFast: {
				ClaimPropertySets: []cdiv1.ClaimPropertySet{
					{AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, VolumeMode: new(corev1.PersistentVolumeFilesystem)},
					{AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany}, VolumeMode: new(corev1.PersistentVolumeBlock)},
				},
				SourceFormat: cdiv1.DataImportCronSourceFormatSnapshot,
			},
		},
		Backoff: 200 * time.Millisecond,
		Faults:  e.faults,
	}
}

// namespace makes a namespace for one spec.
func (e *env) namespace(ctx context.Context) string {
	GinkgoHelper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "cdi-"}}
	Expect(e.Create(ctx, namespace)).To(Succeed())
	return namespace.Name
}

// volume begins a DataVolume of 16Mi in the class fast, of the storage form.
func volume(namespace, name string, source *cdiv1.DataVolumeSource) *cdiv1.DataVolume {
	dv := &cdiv1.DataVolume{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	dv.Spec.Source = source
	dv.Spec.Storage = &cdiv1.StorageSpec{StorageClassName: new(cluster.ClassFast), Resources: sized("16Mi")}
	return dv
}

func sized(size string) corev1.VolumeResourceRequirements {
	return corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}}
}

// inClass makes a DataVolume that names everything, as the classes of an unknown driver need.
func inClass(dv *cdiv1.DataVolume, class string) *cdiv1.DataVolume {
	dv.Spec.Storage.StorageClassName = &class
	dv.Spec.Storage.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	return dv
}

func blank() *cdiv1.DataVolumeSource {
	return &cdiv1.DataVolumeSource{Blank: &cdiv1.DataVolumeBlankImage{}}
}

func fromHTTP(url string) *cdiv1.DataVolumeSource {
	return &cdiv1.DataVolumeSource{HTTP: &cdiv1.DataVolumeSourceHTTP{URL: url}}
}

// fromGolden copies the claim that the specs about clones begin with.
func fromGolden(namespace string) *cdiv1.DataVolumeSource {
	return &cdiv1.DataVolumeSource{PVC: &cdiv1.DataVolumeSourcePVC{Namespace: namespace, Name: "golden"}}
}

func fromSnapshot(namespace, name string) *cdiv1.DataVolumeSource {
	return &cdiv1.DataVolumeSource{Snapshot: &cdiv1.DataVolumeSourceSnapshot{Namespace: namespace, Name: name}}
}

// phase reads the phase of a DataVolume, for Eventually.
func (e *env) phase(ctx context.Context, dv *cdiv1.DataVolume) func() (cdiv1.DataVolumePhase, error) {
	return func() (cdiv1.DataVolumePhase, error) {
		err := e.Get(ctx, client.ObjectKeyFromObject(dv), dv)
		return dv.Status.Phase, err
	}
}

// succeed creates a DataVolume and waits until its data is there and its claim bound.
func (e *env) succeed(ctx context.Context, dv *cdiv1.DataVolume) {
	GinkgoHelper()
	Expect(e.Create(ctx, dv)).To(Succeed())
	e.awaitSuccess(ctx, dv)
}

func (e *env) awaitSuccess(ctx context.Context, dv *cdiv1.DataVolume) {
	GinkgoHelper()
	Eventually(ctx, e.phase(ctx, dv)).Should(Equal(cdiv1.Succeeded), func() string { return fmt.Sprintf("%+v", dv.Status) })
	Eventually(ctx, func(g Gomega) {
		g.Expect(e.Get(ctx, client.ObjectKeyFromObject(dv), dv)).To(Succeed())
		g.Expect(conditionOf(dv, cdiv1.DataVolumeBound).Status).To(Equal(corev1.ConditionTrue))
		g.Expect(conditionOf(dv, cdiv1.DataVolumeReady).Status).To(Equal(corev1.ConditionTrue))
	}).Should(Succeed())
	Expect(dv.Status.Progress).To(Equal(cdiv1.DataVolumeProgress("100.0%")))
}

func conditionOf(dv *cdiv1.DataVolume, kind cdiv1.DataVolumeConditionType) cdiv1.DataVolumeCondition {
	for _, condition := range dv.Status.Conditions {
		if condition.Type == kind {
			return condition
		}
	}
	return cdiv1.DataVolumeCondition{}
}

// data is what stands in the volume of a claim.
func (e *env) data(ctx context.Context, namespace, name string) []byte {
	GinkgoHelper()
	data, err := os.ReadFile(e.path(ctx, namespace, name))
	Expect(err).NotTo(HaveOccurred())
	return data
}

func (e *env) path(ctx context.Context, namespace, name string) string {
	GinkgoHelper()
	claim := &corev1.PersistentVolumeClaim{}
	Expect(e.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, claim)).To(Succeed())
	volume := &corev1.PersistentVolume{}
	Expect(e.Get(ctx, client.ObjectKey{Name: claim.Spec.VolumeName}, volume)).To(Succeed())
	root := e.VolumeRoot
	if other := e.options().VolumeRoots[volume.Spec.CSI.Driver]; other != "" {
		root = other
	}
	return csidriver.VolumePath(root, volume.Spec.CSI.VolumeHandle)
}

// expectData demands that a volume is exactly the data, followed by zeros alone.
func (e *env) expectData(ctx context.Context, namespace, name string, want []byte) {
	GinkgoHelper()
	have := e.data(ctx, namespace, name)
	Expect(len(have)).To(BeNumerically(">=", len(want)))
	Expect(bytes.Equal(have[:len(want)], want)).To(BeTrue(), "the volume does not begin with the data")
	Expect(bytes.Count(have[len(want):], []byte{0})).To(Equal(len(have)-len(want)), "the data is not followed by zeros")
}

// noise is data that no accident looks like, with a hole in the middle.
func noise(size int) []byte {
	data := make([]byte, size)
	_, err := rand.Read(data)
	Expect(err).NotTo(HaveOccurred())
	clear(data[size/4 : size/2])
	return data
}

// serve answers every request with what handle says, and closes with the spec.
func serve(handle http.HandlerFunc) string {
	server := httptest.NewServer(handle)
	DeferCleanup(server.Close)
	return server.URL
}

func serveData(data []byte) string {
	return serve(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	})
}

// leftovers are the temporary claims and snapshots that a populator made in a namespace.
func (e *env) leftovers(ctx context.Context, namespace string) func() ([]string, error) {
	return func() ([]string, error) {
		var claims corev1.PersistentVolumeClaimList
		var snapshots snapshotv1.VolumeSnapshotList
		err := errors.Join(e.List(ctx, &claims, client.InNamespace(namespace)), e.List(ctx, &snapshots, client.InNamespace(namespace)))
		names := []string{}
		for _, claim := range claims.Items {
			if strings.HasPrefix(claim.Name, "prime-") || strings.HasPrefix(claim.Name, "tmp-") {
				names = append(names, claim.Name)
			}
		}
		for _, snapshot := range snapshots.Items {
			if strings.HasPrefix(snapshot.Name, "tmp-") {
				names = append(names, snapshot.Name)
			}
		}
		return names, err
	}
}

func keyOf(name string) client.ObjectKey { return client.ObjectKey{Name: name} }
