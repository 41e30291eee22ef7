package cluster_test

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	kubevirtv1 "kubevirt.io/api/core/v1"
	snapshotv1beta1 "kubevirt.io/api/snapshot/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"wukong.io/wukong/test/cluster"
	"wukong.io/wukong/test/cluster/node"
)

const (
	// patience is how long a spec waits for a controller, on a machine that is busy with other things too.
	patience = time.Minute
	poll     = 100 * time.Millisecond
)

var _ = Describe("A cluster", func() {
	var c client.Client

	BeforeEach(func() { c = clientFor(shared.Config) })

	It("runs a machine, and stops it when virt-api is asked to", func(ctx SpecContext) {
		vm := machine(newNamespace(ctx, c), "web-0")
		Expect(c.Create(ctx, vm)).To(Succeed())
		Expect(vm.Spec.Template.Spec.Architecture).To(Equal("amd64"), "the mutating webhook has looked at it")
		expectRunning(ctx, c, vm)

		subresources := rest.CopyConfig(shared.Config)
		subresources.APIPath = "/apis"
		subresources.GroupVersion = &kubevirtv1.SubresourceGroupVersions[0]
		subresources.NegotiatedSerializer = serializer.NewCodecFactory(c.Scheme()).WithoutConversion()
		virtAPI, err := rest.RESTClientFor(subresources)
		Expect(err).NotTo(HaveOccurred())
		Expect(virtAPI.Put().Namespace(vm.Namespace).Resource("virtualmachines").Name(vm.Name).SubResource("stop").
			Body([]byte("{}")).Do(ctx).Error()).To(Succeed())
		Eventually(ctx, func() error {
			return c.Get(ctx, client.ObjectKeyFromObject(vm), &kubevirtv1.VirtualMachineInstance{})
		}).WithTimeout(patience).WithPolling(poll).Should(Satisfy(apierrors.IsNotFound))
	})

	It("refuses a bad machine in KubeVirt's own words", func(ctx SpecContext) {
		vm := machine(newNamespace(ctx, c), "bad")
		vm.Spec.Template.Spec.Volumes[1].Name = "root"
		err := c.Create(ctx, vm)
		Expect(err).To(MatchError(ContainSubstring("spec.template.spec.volumes[1] and spec.template.spec.volumes[0] must not have the same Name")))
		Expect(err).To(MatchError(ContainSubstring(`admission webhook "virtualmachine-validator.kubevirt.io" denied the request`)))
	})

	It("freezes a guest, snapshots its disk, thaws it, and exports every byte of the snapshot", func(ctx SpecContext) {
		namespace := newNamespace(ctx, c)
		vm, disk := runningWithDisk(ctx, c, namespace)
		content := bytes.Repeat([]byte("seventy-two changes "), 4<<20/20+1)[:4<<20]
		Expect(os.WriteFile(disk, content, 0o600)).To(Succeed())

		snapshot := takeSnapshot(ctx, c, vm)
		Expect(snapshot.Status.SnapshotVolumes.IncludedVolumes).To(ConsistOf("root"))
		Expect(snapshot.Status.Indications).To( //nolint:staticcheck // KubeVirt 1.8 has no other
			ConsistOf(snapshotv1beta1.VMSnapshotOnlineSnapshotIndication,
				snapshotv1beta1.VMSnapshotGuestAgentIndication))
		var kinds []string
		for _, entry := range shared.Freeze.Journal() {
			if entry.Name == namespace+"/"+vm.Name {
				kinds = append(kinds, entry.Kind)
			}
		}
		Expect(kinds).To(Equal([]string{node.Frozen, node.Thawed}))
		Expect(os.WriteFile(disk, make([]byte, 4<<20), 0o600)).To(Succeed(), "what comes later is not in the snapshot")

		got := download(ctx, c, exportOf(ctx, c, snapshot))
		Expect(bytes.Equal(got, content)).To(BeTrue(), "%d bytes came, of %d", len(got), len(content))
	})

	It("runs the program of a Pod with the rights of its ServiceAccount", func(ctx SpecContext) {
		namespace := newNamespace(ctx, c)
		Expect(c.Create(ctx, &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "greeting"}, Data: map[string]string{"words": "what a monkey"},
		})).To(Succeed())
		Expect(c.Create(ctx, roleBinding(namespace, "view", rbacv1.Subject{Kind: "ServiceAccount", Namespace: namespace, Name: "default"}))).To(Succeed())

		read := kubectlPod(namespace, "read", "get", "configmap", "$(OBJECT)", "-o", "jsonpath={.data.words}")
		read.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "OBJECT", Value: "greeting"}}
		write := kubectlPod(namespace, "write", "delete", "configmap", "greeting")
		for pod, phase := range map[*corev1.Pod]corev1.PodPhase{read: corev1.PodSucceeded, write: corev1.PodFailed} {
			Eventually(ctx, func() error { return c.Create(ctx, pod) }).WithTimeout(patience).Should(Succeed(), "its account exists")
			Eventually(ctx, func() (corev1.PodPhase, error) {
				err := c.Get(ctx, client.ObjectKeyFromObject(pod), pod)
				return pod.Status.Phase, err
			}).WithTimeout(patience).WithPolling(poll).Should(Equal(phase), logOf(pod))
		}
		Expect(logOf(read)()).To(ContainSubstring("what a monkey"))
		Expect(logOf(write)()).To(ContainSubstring(`cannot delete resource "configmaps"`))
		Expect(write.Status.ContainerStatuses[0].State.Terminated.ExitCode).To(BeEquivalentTo(1))
	})

	It("lets a user do what KubeVirt's roles allow, and no more", func(ctx SpecContext) {
		namespace := newNamespace(ctx, c)
		config, err := shared.UserConfig("alice", "viewers")
		Expect(err).NotTo(HaveOccurred())
		alice := clientFor(config)
		machines := &kubevirtv1.VirtualMachineList{}
		Expect(alice.List(ctx, machines, client.InNamespace(namespace))).To(MatchError(apierrors.IsForbidden, "forbidden"))

		viewers := rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: "viewers"}
		Expect(c.Create(ctx, roleBinding(namespace, "kubevirt.io:view", viewers))).To(Succeed())
		Eventually(ctx, func() error {
			return alice.List(ctx, machines, client.InNamespace(namespace))
		}).WithTimeout(patience).WithPolling(poll).Should(Succeed())
		Expect(alice.Create(ctx, machine(namespace, "web"))).To(MatchError(apierrors.IsForbidden, "forbidden"))
	})

	It("runs beside another one, and leaves nothing when it is stopped", func(ctx SpecContext) {
		second, err := cluster.Start(ctx, cluster.Options{Log: GinkgoWriter})
		Expect(err).NotTo(HaveOccurred())
		stopped := false
		DeferCleanup(func(ctx SpecContext) {
			if !stopped {
				Expect(second.Stop(ctx)).To(Succeed())
			}
		})
		other := clientFor(second.Config)
		for _, c := range []client.Client{c, other} {
			vm := machine("default", "twin")
			Expect(c.Create(ctx, vm)).To(Succeed())
			expectRunning(ctx, c, vm)
		}
		Expect(processesOf(second.Dir)).NotTo(BeEmpty())

		stopped = true
		Expect(second.Stop(ctx)).To(Succeed())
		Expect(processesOf(second.Dir)).To(BeEmpty())
		Expect(second.Dir).NotTo(BeADirectory())
		ended, cancel := context.WithCancel(ctx)
		cancel()
		Expect(shared.Wait(ended)).To(Succeed(), "the first cluster is untouched")
	})
})

var _ = Describe("The command", func() {
	It("takes its programs with it when it is killed", func(ctx SpecContext) {
		dir := GinkgoT().TempDir()
		program := filepath.Join(dir, "wukong-cluster")
		output, err := exec.CommandContext(ctx, "go", "build", "-o", program, "./cmd/wukong-cluster").CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), string(output))
		state := filepath.Join(dir, "state")
		cmd := exec.CommandContext(ctx, program, "-dir", state, "-kubernetes-only")
		cmd.Stderr = GinkgoWriter
		stdout, err := cmd.StdoutPipe()
		Expect(err).NotTo(HaveOccurred())
		Expect(cmd.Start()).To(Succeed())

		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			if strings.Contains(lines.Text(), "export KUBECONFIG=") {
				break
			}
		}
		Expect(processesOf(state)).To(HaveLen(3), "etcd, kube-apiserver, kube-controller-manager")
		Expect(cmd.Process.Kill()).To(Succeed())
		Expect(cmd.Wait()).NotTo(Succeed())
		Eventually(ctx, func() []string { return processesOf(state) }).WithTimeout(patience).WithPolling(poll).Should(BeEmpty())
	})
})
