package cdi_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"wukong.io/wukong/test/cluster"
	"wukong.io/wukong/test/cluster/cdi"
)

var _ = Describe("Import", func() {
	var namespace string
	BeforeEach(func(ctx SpecContext) { namespace = suite.namespace(ctx) })

	It("fills a claim through a prime claim, byte for byte", func(ctx SpecContext) {
		data := noise(9*mebibyte + 123)
		dv := volume(namespace, "web", fromHTTP(serveData(data)))
		suite.succeed(ctx, dv)
		suite.expectData(ctx, namespace, "web", data)
		Expect(dv.Status.ClaimName).To(Equal("web"))

		claim := &corev1.PersistentVolumeClaim{}
		Expect(suite.Get(ctx, client.ObjectKeyFromObject(dv), claim)).To(Succeed())
		Expect(metav1.IsControlledBy(claim, dv)).To(BeTrue())
		Expect(claim.Spec.DataSourceRef.Kind).To(Equal(cdiv1.VolumeImportSourceRef))
		Expect(claim.Spec.AccessModes).To(ConsistOf(corev1.ReadWriteOnce))
		Expect(claim.Spec.Resources.Requests.Storage().Value()).To(BeEquivalentTo(17783849)) // 16Mi and 6 %
		Eventually(ctx, suite.leftovers(ctx, namespace)).Should(BeEmpty())
	}, SpecTimeout(patience))

	It("fills a claim in place where no CSIDriver object exists", func(ctx SpecContext) {
		data := noise(3 * mebibyte)
		dv := inClass(volume(namespace, "web", fromHTTP(serveData(data))), legacyClass)
		suite.succeed(ctx, dv)
		suite.expectData(ctx, namespace, "web", data)
		claim := &corev1.PersistentVolumeClaim{}
		Expect(suite.Get(ctx, client.ObjectKeyFromObject(dv), claim)).To(Succeed())
		Expect(claim.Spec.DataSourceRef).To(BeNil())
	}, SpecTimeout(patience))

	It("makes a blank disk", func(ctx SpecContext) {
		suite.succeed(ctx, volume(namespace, "empty", blank()))
		suite.expectData(ctx, namespace, "empty", nil)
	}, SpecTimeout(patience))

	It("converts qcow2 and unpacks gzip", func(ctx SpecContext) {
		data := noise(256 << 10)
		suite.succeed(ctx, volume(namespace, "qcow2", fromHTTP(serveData(qcow2Of(data)))))
		suite.expectData(ctx, namespace, "qcow2", data)
		suite.succeed(ctx, volume(namespace, "gzip", fromHTTP(serveData(gzipOf(data)))))
		suite.expectData(ctx, namespace, "gzip", data)
	}, SpecTimeout(patience))

	It("imports the disk of a container image", func(ctx SpecContext) {
		data := noise(2 * mebibyte)
		server := httptest.NewServer(registry.New())
		DeferCleanup(server.Close)
		url := pushDisk(strings.TrimPrefix(server.URL, "http://")+"/disks/fedora:42", data)
		dv := volume(namespace, "fedora", &cdiv1.DataVolumeSource{Registry: &cdiv1.DataVolumeSourceRegistry{URL: &url}})
		suite.succeed(ctx, dv)
		suite.expectData(ctx, namespace, "fedora", data)
	}, SpecTimeout(patience))

	It("restarts the importer until the source answers", func(ctx SpecContext) {
		data := noise(mebibyte)
		var there atomic.Bool
		url := serve(func(w http.ResponseWriter, _ *http.Request) {
			if !there.Load() {
				http.Error(w, "gone fishing", http.StatusNotFound)
				return
			}
			_, _ = w.Write(data)
		})
		dv := volume(namespace, "late", fromHTTP(url))
		Expect(suite.Create(ctx, dv)).To(Succeed())
		Eventually(ctx, func(g Gomega) {
			g.Expect(suite.Get(ctx, client.ObjectKeyFromObject(dv), dv)).To(Succeed())
			g.Expect(dv.Status.RestartCount).To(BeNumerically(">=", 2))
			running := conditionOf(dv, cdiv1.DataVolumeRunning)
			g.Expect(running.Reason).To(Equal("Error"))
			g.Expect(running.Message).To(Equal("Unable to connect to http data source: expected status code 200, got 404. Status: 404 Not Found"))
		}).Should(Succeed())
		Expect(dv.Status.Phase).NotTo(Equal(cdiv1.Failed))
		there.Store(true)
		suite.awaitSuccess(ctx, dv)
		suite.expectData(ctx, namespace, "late", data)
	}, SpecTimeout(patience))

	It("fails for good on a wrong checksum, and not on a right one", func(ctx SpecContext) {
		data := noise(mebibyte)
		sum := sha256.Sum256(data)
		source := fromHTTP(serveData(data))
		source.HTTP.Checksum = "sha256:" + hex.EncodeToString(sum[:])
		suite.succeed(ctx, volume(namespace, "right", source))

		sum[0]++
		source.HTTP.Checksum = "sha256:" + hex.EncodeToString(sum[:])
		dv := volume(namespace, "wrong", source)
		Expect(suite.Create(ctx, dv)).To(Succeed())
		Eventually(ctx, suite.phase(ctx, dv)).Should(Equal(cdiv1.Failed))
		Expect(conditionOf(dv, cdiv1.DataVolumeRunning).Message).To(ContainSubstring("checksum mismatch: expected sha256:"))
	}, SpecTimeout(patience))

	It("keeps an image out that is larger than the claim", func(ctx SpecContext) {
		dv := volume(namespace, "large", fromHTTP(serveData(noise(17*mebibyte))))
		Expect(suite.Create(ctx, dv)).To(Succeed())
		Eventually(ctx, func(g Gomega) {
			g.Expect(suite.Get(ctx, client.ObjectKeyFromObject(dv), dv)).To(Succeed())
			g.Expect(conditionOf(dv, cdiv1.DataVolumeRunning).Message).To(
				ContainSubstring("virtual image size 17825792 is larger than the reported available storage 16777216"))
			g.Expect(dv.Status.RestartCount).To(BeNumerically(">", 0))
		}).Should(Succeed())
	}, SpecTimeout(patience))

	It("waits for a consumer, or does not if asked", func(ctx SpecContext) {
		data := noise(mebibyte)
		lazy := inClass(volume(namespace, "lazy", fromHTTP(serveData(data))), cluster.ClassLate)
		eager := inClass(volume(namespace, "eager", fromHTTP(serveData(data))), cluster.ClassLate)
		eager.Annotations = map[string]string{"cdi.kubevirt.io/storage.bind.immediate.requested": ""}
		Expect(suite.Create(ctx, lazy)).To(Succeed())
		Eventually(ctx, suite.phase(ctx, lazy)).Should(Equal(cdiv1.PendingPopulation))
		suite.succeed(ctx, eager)
		Expect(suite.phase(ctx, lazy)()).To(Equal(cdiv1.PendingPopulation))

		pod := podOn(namespace, "consumer", "lazy")
		Expect(suite.Create(ctx, pod)).To(Succeed())
		suite.awaitSuccess(ctx, lazy)
		suite.expectData(ctx, namespace, "lazy", data)
		Eventually(ctx, func(g Gomega) {
			g.Expect(suite.Get(ctx, client.ObjectKeyFromObject(pod), pod)).To(Succeed())
			g.Expect(pod.Status.Phase).To(Equal(corev1.PodRunning))
		}).Should(Succeed())
	}, SpecTimeout(patience))

	It("waits for the first consumer the older way as well", func(ctx SpecContext) {
		dv := inClass(volume(namespace, "lazy", blank()), cluster.ClassLate)
		dv.Annotations = map[string]string{"cdi.kubevirt.io/storage.usePopulator": "false"}
		Expect(suite.Create(ctx, dv)).To(Succeed())
		Eventually(ctx, suite.phase(ctx, dv)).Should(Equal(cdiv1.WaitForFirstConsumer))
		Expect(suite.Create(ctx, podOn(namespace, "consumer", "lazy"))).To(Succeed())
		suite.awaitSuccess(ctx, dv)
	}, SpecTimeout(patience))

	It("takes an upload from virtctl", func(ctx SpecContext) {
		binaries, err := cluster.Build(ctx, GinkgoWriter, "kubevirt")
		Expect(err).NotTo(HaveOccurred())
		data := noise(2 * mebibyte)
		image := filepath.Join(GinkgoT().TempDir(), "disk.img")
		Expect(os.WriteFile(image, data, 0o600)).To(Succeed())
		for _, dv := range []*cdiv1.DataVolume{
			volume(namespace, "populated", &cdiv1.DataVolumeSource{Upload: &cdiv1.DataVolumeSourceUpload{}}),
			inClass(volume(namespace, "in-place", &cdiv1.DataVolumeSource{Upload: &cdiv1.DataVolumeSourceUpload{}}), legacyClass),
		} {
			Expect(suite.Create(ctx, dv)).To(Succeed())
			Eventually(ctx, suite.phase(ctx, dv)).Should(Equal(cdiv1.UploadReady))
			virtctl := exec.CommandContext(ctx, binaries.Virtctl, "--kubeconfig", suite.Kubeconfig, "-n", namespace,
				"image-upload", "dv", dv.Name, "--no-create", "--insecure", "--image-path", image)
			output, err := virtctl.CombinedOutput()
			Expect(err).NotTo(HaveOccurred(), string(output))
			suite.awaitSuccess(ctx, dv)
			suite.expectData(ctx, namespace, dv.Name, data)
		}
	}, SpecTimeout(patience))

	It("fills a claim once more that somebody deleted", func(ctx SpecContext) {
		data := noise(mebibyte)
		dv := volume(namespace, "again", fromHTTP(serveData(data)))
		suite.succeed(ctx, dv)
		claim := &corev1.PersistentVolumeClaim{}
		Expect(suite.Get(ctx, client.ObjectKeyFromObject(dv), claim)).To(Succeed())
		first := claim.UID
		Expect(suite.Delete(ctx, claim)).To(Succeed())
		Eventually(ctx, func(g Gomega) {
			g.Expect(suite.Get(ctx, client.ObjectKeyFromObject(dv), claim)).To(Succeed())
			g.Expect(claim.UID).NotTo(Equal(first))
			g.Expect(claim.Status.Phase).To(Equal(corev1.ClaimBound))
		}).Should(Succeed())
		suite.awaitSuccess(ctx, dv)
		suite.expectData(ctx, namespace, "again", data)
	}, SpecTimeout(patience))

	It("keeps trying sources that nobody serves", func(ctx SpecContext) {
		dv := volume(namespace, "s3", &cdiv1.DataVolumeSource{S3: &cdiv1.DataVolumeSourceS3{URL: "http://127.0.0.1:1/bucket/disk.img"}})
		Expect(suite.Create(ctx, dv)).To(Succeed())
		Eventually(ctx, func(g Gomega) {
			g.Expect(suite.Get(ctx, client.ObjectKeyFromObject(dv), dv)).To(Succeed())
			g.Expect(conditionOf(dv, cdiv1.DataVolumeRunning).Message).To(HavePrefix("Unable to connect to s3 data source: "))
			g.Expect(dv.Status.RestartCount).To(BeNumerically(">", 0))
		}).Should(Succeed())
	}, SpecTimeout(patience))

	It("waits for the Secret with its credentials", func(ctx SpecContext) {
		data := noise(mebibyte)
		url := serve(func(w http.ResponseWriter, r *http.Request) {
			if user, password, _ := r.BasicAuth(); user != "monkey" || password != "king" {
				http.Error(w, "who are you", http.StatusUnauthorized)
				return
			}
			_, _ = w.Write(data)
		})
		source := fromHTTP(url)
		source.HTTP.SecretRef = "login"
		dv := volume(namespace, "secret", source)
		Expect(suite.Create(ctx, dv)).To(Succeed())
		Eventually(ctx, suite.phase(ctx, dv)).Should(Equal(cdiv1.ImportScheduled))
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "login"}}
		secret.StringData = map[string]string{"accessKeyId": "monkey", "secretKey": "king"}
		Expect(suite.Create(ctx, secret)).To(Succeed())
		suite.awaitSuccess(ctx, dv)
		suite.expectData(ctx, namespace, "secret", data)
	}, SpecTimeout(patience))

	It("stalls, restarts and corrupts on command", func(ctx SpecContext) {
		data := noise(4 * mebibyte)
		url := serveData(data)
		stalled := volume(namespace, "stalled", fromHTTP(url))
		suite.faults.Set(namespace, "stalled", cdi.Fault{Stall: true})
		Expect(suite.Create(ctx, stalled)).To(Succeed())
		Eventually(ctx, suite.phase(ctx, stalled)).Should(Equal(cdiv1.ImportInProgress))
		broken := volume(namespace, "broken", fromHTTP(url))
		broken.Annotations = map[string]string{cdi.AnnotationFault: `{"restarts": 2}`}
		suite.succeed(ctx, broken)
		Expect(broken.Status.RestartCount).To(BeEquivalentTo(2))
		suite.expectData(ctx, namespace, "broken", data)
		corrupt := volume(namespace, "corrupt", fromHTTP(url))
		corrupt.Annotations = map[string]string{cdi.AnnotationFault: `{"corrupt": true}`}
		suite.succeed(ctx, corrupt)
		Expect(bytes.HasPrefix(suite.data(ctx, namespace, "corrupt"), data)).To(BeFalse())

		Expect(suite.phase(ctx, stalled)()).To(Equal(cdiv1.ImportInProgress))
		suite.faults.Set(namespace, "stalled", cdi.Fault{})
		suite.awaitSuccess(ctx, stalled)
		suite.expectData(ctx, namespace, "stalled", data)
	}, SpecTimeout(patience))

	It("takes over a claim that is there already, if told to", func(ctx SpecContext) {
		claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "kept"}}
		claim.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
		claim.Spec.Resources = sized("16Mi")
		Expect(suite.Create(ctx, claim)).To(Succeed())
		dv := volume(namespace, "kept", blank())
		Expect(suite.Create(ctx, dv)).To(MatchError(ContainSubstring("Destination PVC " + namespace + "/kept already exists")))
		dv.Annotations = map[string]string{"cdi.kubevirt.io/allowClaimAdoption": "true"}
		suite.succeed(ctx, dv)
		Expect(suite.Get(ctx, client.ObjectKeyFromObject(claim), claim)).To(Succeed())
		Expect(metav1.IsControlledBy(claim, dv)).To(BeTrue())
	}, SpecTimeout(patience))
})

func podOn(namespace, name, claim string) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	pod.Spec.AutomountServiceAccountToken = new(false)
	pod.Spec.Containers = []corev1.Container{{
		Name: "main", Image: "none", VolumeMounts: []corev1.VolumeMount{{Name: "disk", MountPath: "/disk"}},
	}}
	pod.Spec.Volumes = []corev1.Volume{{Name: "disk"}}
	pod.Spec.Volumes[0].PersistentVolumeClaim = &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim}
	return pod
}

// qcow2Of wraps data, whole clusters of 64 KiB, in a qcow2 image: header, L1, L2, and then the clusters.
func qcow2Of(data []byte) []byte {
	const cluster = 64 << 10
	const copied = uint64(1) << 63
	count := len(data) / cluster
	image := make([]byte, 3*cluster, 3*cluster+len(data)+4*cluster)
	copy(image, "QFI\xfb")
	put32 := func(at int, value uint32) { binary.BigEndian.PutUint32(image[at:], value) }
	put64 := func(at int, value uint64) { binary.BigEndian.PutUint64(image[at:], value) }
	put32(4, 2)                  // version
	put32(20, 16)                // cluster bits
	put64(24, uint64(len(data))) // size
	put32(36, 1)                 // L1 entries
	put64(40, cluster)           // L1 table
	refcounts := 3*cluster + len(data)
	put64(48, uint64(refcounts)) // refcount table
	put32(56, 1)                 // its clusters
	put64(cluster, 2*cluster|copied)
	for i := range count {
		put64(2*cluster+8*i, uint64(3*cluster+i*cluster)|copied)
	}
	image = append(image, data...)
	return append(image, make([]byte, 2*cluster)...)
}

func gzipOf(data []byte) []byte {
	var packed bytes.Buffer
	writer := gzip.NewWriter(&packed)
	_, err := writer.Write(data)
	Expect(err).NotTo(HaveOccurred())
	Expect(writer.Close()).To(Succeed())
	return packed.Bytes()
}

// pushDisk pushes a container disk and returns the URL CDI takes.
func pushDisk(reference string, data []byte) string {
	GinkgoHelper()
	var layer bytes.Buffer
	archive := tar.NewWriter(&layer)
	Expect(archive.WriteHeader(&tar.Header{Name: "disk/", Typeflag: tar.TypeDir, Mode: 0o755})).To(Succeed())
	Expect(archive.WriteHeader(&tar.Header{Name: "disk/disk.img", Typeflag: tar.TypeReg, Mode: 0o444, Size: int64(len(data))})).To(Succeed())
	_, err := archive.Write(data)
	Expect(err).NotTo(HaveOccurred())
	Expect(archive.Close()).To(Succeed())
	var img v1.Image
	img, err = mutate.AppendLayers(empty.Image, static.NewLayer(layer.Bytes(), types.OCIUncompressedLayer))
	Expect(err).NotTo(HaveOccurred())
	target, err := name.ParseReference(reference)
	Expect(err).NotTo(HaveOccurred())
	Expect(remote.Write(target, img)).To(Succeed())
	return "docker://" + reference
}
