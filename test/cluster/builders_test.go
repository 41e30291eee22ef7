package cluster_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"
	exportv1beta1 "kubevirt.io/api/export/v1beta1"
	snapshotv1beta1 "kubevirt.io/api/snapshot/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// machine is a VM of the smallest instance type, with a container disk and an empty disk.
func machine(namespace, name string) *kubevirtv1.VirtualMachine {
	return &kubevirtv1.VirtualMachine{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: kubevirtv1.VirtualMachineSpec{
			RunStrategy:  new(kubevirtv1.RunStrategyAlways),
			Instancetype: &kubevirtv1.InstancetypeMatcher{Name: "u1.small"},
			Preference:   &kubevirtv1.PreferenceMatcher{Name: "fedora"},
			Template: &kubevirtv1.VirtualMachineInstanceTemplateSpec{
				Spec: kubevirtv1.VirtualMachineInstanceSpec{
					Volumes: []kubevirtv1.Volume{
						{Name: "root", VolumeSource: kubevirtv1.VolumeSource{
							ContainerDisk: &kubevirtv1.ContainerDiskSource{Image: "quay.io/containerdisks/fedora:41"},
						}},
						{Name: "data", VolumeSource: kubevirtv1.VolumeSource{
							EmptyDisk: &kubevirtv1.EmptyDiskSource{Capacity: resource.MustParse("1Gi")},
						}},
					},
				},
			},
		},
	}
}

// withClaim gives the machine a disk on a claim of the class fast.
func withClaim(vm *kubevirtv1.VirtualMachine, claim string) *kubevirtv1.VirtualMachine {
	vm.Spec.Template.Spec.Volumes = []kubevirtv1.Volume{{Name: "root", VolumeSource: kubevirtv1.VolumeSource{
		PersistentVolumeClaim: &kubevirtv1.PersistentVolumeClaimVolumeSource{
			PersistentVolumeClaimVolumeSource: corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim},
		},
	}}}
	return vm
}

func newClaim(namespace, name string) *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources: corev1.VolumeResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("4Mi")},
			},
		},
	}
}

// expectRunning waits until the machine is reported as running.
func expectRunning(ctx SpecContext, c client.Client, vm *kubevirtv1.VirtualMachine) {
	GinkgoHelper()
	Eventually(ctx, func() (kubevirtv1.VirtualMachinePrintableStatus, error) {
		err := c.Get(ctx, client.ObjectKeyFromObject(vm), vm)
		return vm.Status.PrintableStatus, err
	}).WithTimeout(patience).WithPolling(poll).Should(Equal(kubevirtv1.VirtualMachineStatusRunning))
}

// runningWithDisk starts a machine with a guest agent and one disk, and returns the file behind that.
func runningWithDisk(ctx SpecContext, c client.Client, namespace string) (*kubevirtv1.VirtualMachine, string) {
	GinkgoHelper()
	claim := newClaim(namespace, "disk")
	Expect(c.Create(ctx, claim)).To(Succeed())
	vm := withClaim(machine(namespace, "db"), claim.Name)
	vm.Spec.Template.ObjectMeta.Labels = map[string]string{agentLabel: "true"}
	Expect(c.Create(ctx, vm)).To(Succeed())
	expectRunning(ctx, c, vm)
	disk, err := shared.Disk(ctx, client.ObjectKeyFromObject(claim))
	Expect(err).NotTo(HaveOccurred())
	info, err := os.Stat(disk)
	Expect(err).NotTo(HaveOccurred())
	Expect(info.Size()).To(BeEquivalentTo(4 << 20))
	return vm, disk
}

// takeSnapshot snapshots a machine and waits until that has succeeded.
func takeSnapshot(ctx SpecContext, c client.Client, vm *kubevirtv1.VirtualMachine) *snapshotv1beta1.VirtualMachineSnapshot {
	GinkgoHelper()
	snapshot := &snapshotv1beta1.VirtualMachineSnapshot{
		ObjectMeta: metav1.ObjectMeta{Namespace: vm.Namespace, Name: "before"},
		Spec: snapshotv1beta1.VirtualMachineSnapshotSpec{Source: corev1.TypedLocalObjectReference{
			APIGroup: new("kubevirt.io"), Kind: "VirtualMachine", Name: vm.Name,
		}},
	}
	Expect(c.Create(ctx, snapshot)).To(Succeed())
	Eventually(ctx, func() (*snapshotv1beta1.VirtualMachineSnapshotStatus, error) {
		err := c.Get(ctx, client.ObjectKeyFromObject(snapshot), snapshot)
		return snapshot.Status, err
	}).WithTimeout(patience).WithPolling(poll).Should(HaveField("Phase", snapshotv1beta1.Succeeded))
	return snapshot
}

const exportToken = "a-token-of-some-length"

// exportOf exports a snapshot and waits until it can be downloaded.
func exportOf(ctx SpecContext, c client.Client, snapshot *snapshotv1beta1.VirtualMachineSnapshot) *exportv1beta1.VirtualMachineExport {
	GinkgoHelper()
	Expect(c.Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: snapshot.Namespace, Name: "token"}, StringData: map[string]string{"token": exportToken},
	})).To(Succeed())
	export := &exportv1beta1.VirtualMachineExport{
		ObjectMeta: metav1.ObjectMeta{Namespace: snapshot.Namespace, Name: "out"},
		Spec: exportv1beta1.VirtualMachineExportSpec{
			TokenSecretRef: new("token"),
			Source: corev1.TypedLocalObjectReference{
				APIGroup: new("snapshot.kubevirt.io"), Kind: "VirtualMachineSnapshot", Name: snapshot.Name,
			},
		},
	}
	Expect(c.Create(ctx, export)).To(Succeed())
	Eventually(ctx, func() (*exportv1beta1.VirtualMachineExportStatus, error) {
		err := c.Get(ctx, client.ObjectKeyFromObject(export), export)
		return export.Status, err
	}).WithTimeout(patience).WithPolling(poll).Should(HaveField("Phase", exportv1beta1.Ready))
	return export
}

// download reads the raw disk of an export from the server behind its Service.
func download(ctx SpecContext, _ client.Client, export *exportv1beta1.VirtualMachineExport) []byte {
	GinkgoHelper()
	links := export.Status.Links.Internal
	roots := x509.NewCertPool()
	Expect(roots.AppendCertsFromPEM([]byte(links.Cert))).To(BeTrue())
	browser := &http.Client{Transport: &http.Transport{
		Proxy: http.ProxyURL(shared.Proxy), TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true,
	}}
	var got []byte
	Eventually(ctx, func(g Gomega) { // the Pod is Ready before its program listens
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, links.Volumes[0].Formats[0].Url, nil)
		g.Expect(err).NotTo(HaveOccurred())
		request.Header.Set("x-kubevirt-export-token", exportToken)
		response, err := browser.Do(request)
		g.Expect(err).NotTo(HaveOccurred())
		defer response.Body.Close()
		got, err = io.ReadAll(response.Body)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(response).To(HaveHTTPStatus(http.StatusOK))
	}).WithTimeout(patience).WithPolling(poll).Should(Succeed())
	return got
}

func roleBinding(namespace, role string, subject rbacv1.Subject) *rbacv1.RoleBinding {
	return &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "spec-"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{subject},
	}
}

// kubectlPod runs kubectl once, in the cluster.
func kubectlPod(namespace, name string, args ...string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever,
			Containers:    []corev1.Container{{Name: "kubectl", Image: kubectlImage + ":v1", Args: args}},
		},
	}
}

// logOf reads what a Pod's program wrote, when it is called.
func logOf(pod *corev1.Pod) func() string {
	return func() string {
		content, err := os.ReadFile(filepath.Join(shared.LogDir, pod.Namespace+"_"+pod.Name+".log"))
		if err != nil {
			return err.Error()
		}
		return string(content)
	}
}
