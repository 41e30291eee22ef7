package node_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	kubevirtv1 "kubevirt.io/api/core/v1"
	snapshotv1beta1 "kubevirt.io/api/snapshot/v1beta1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"wukong.io/wukong/test/cluster"
	"wukong.io/wukong/test/cluster/node"
)

const patience = 90 * time.Second

func TestNode(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(patience)
	SetDefaultEventuallyPollingInterval(100 * time.Millisecond)
	ctrl.SetLogger(GinkgoLogr)
	suite, reporter := GinkgoConfiguration()
	if suite.LabelFilter == "" {
		suite.LabelFilter = "!scale" // minutes on a small machine: go test -args -ginkgo.label-filter=scale
	}
	RunSpecs(t, "Node stand-in", suite, reporter)
}

// env is the control plane all specs share; each has a namespace of its own.
type env struct {
	*cluster.Cluster
	client.Client
	// attempts counts the runs of the process that fails twice.
	attempts atomic.Int32
}

var suite = &env{}

var _ = BeforeSuite(func(ctx SpecContext) {
	started, err := cluster.Start(ctx, cluster.Options{Log: GinkgoWriter, Node: node.Options{Nodes: 3, Process: suite.process}})
	Expect(err).NotTo(HaveOccurred())
	suite.Cluster = started
	types := runtime.NewScheme()
	Expect(errors.Join(scheme.AddToScheme(types), kubevirtv1.AddToScheme(types), snapshotv1beta1.AddToScheme(types))).To(Succeed())
	config := rest.CopyConfig(started.Config)
	config.QPS = -1
	suite.Client, err = client.New(config, client.Options{Scheme: types})
	Expect(err).NotTo(HaveOccurred())
}, NodeTimeout(3*time.Minute))

var _ = AfterSuite(func(ctx SpecContext) {
	if suite.Cluster != nil {
		Expect(suite.Stop(ctx)).To(Succeed())
	}
}, NodeTimeout(time.Minute))

// process gives the Pods of the specs about processes their programs, by label.
func (e *env) process(pod *corev1.Pod) node.Process {
	switch pod.Labels["program"] {
	case "fails-twice":
		return func(context.Context) node.Result {
			if e.attempts.Add(1) <= 2 {
				return node.Result{ExitCode: 1, Message: "not yet"}
			}
			return node.Result{Message: "done"}
		}
	case "sleeps":
		return func(ctx context.Context) node.Result {
			<-ctx.Done()
			return node.Result{ExitCode: 143}
		}
	default:
		return nil
	}
}

func (e *env) namespace(ctx context.Context) string {
	GinkgoHelper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "node-"}}
	Expect(e.Create(ctx, namespace)).To(Succeed())
	return namespace.Name
}

// machine is a small VM with a container disk.
func machine(namespace, name string) *kubevirtv1.VirtualMachine {
	vm := &kubevirtv1.VirtualMachine{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	vm.Spec.RunStrategy = new(kubevirtv1.RunStrategyAlways)
	vm.Spec.Template = &kubevirtv1.VirtualMachineInstanceTemplateSpec{}
	spec := &vm.Spec.Template.Spec
	spec.Domain.Memory = &kubevirtv1.Memory{Guest: new(resource.MustParse("64Mi"))}
	spec.Domain.Devices.Interfaces = []kubevirtv1.Interface{*kubevirtv1.DefaultMasqueradeNetworkInterface()}
	spec.Networks = []kubevirtv1.Network{*kubevirtv1.DefaultPodNetwork()}
	spec.Volumes = []kubevirtv1.Volume{{Name: "root", VolumeSource: kubevirtv1.VolumeSource{
		ContainerDisk: &kubevirtv1.ContainerDiskSource{Image: "none/fedora"},
	}}}
	return vm
}

func claimVolume(claim string) kubevirtv1.VolumeSource {
	source := &kubevirtv1.PersistentVolumeClaimVolumeSource{}
	source.ClaimName = claim
	return kubevirtv1.VolumeSource{PersistentVolumeClaim: source}
}

func claim(namespace, name, class string) *corev1.PersistentVolumeClaim {
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	claim.Spec.StorageClassName = &class
	claim.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	claim.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("4Mi")}
	return claim
}

func pod(namespace, name string) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{}}}
	pod.Spec.AutomountServiceAccountToken = new(false)
	pod.Spec.Containers = []corev1.Container{{Name: "main", Image: "none"}}
	return pod
}

// instance waits until the instance of a machine is in a phase.
func (e *env) instance(ctx context.Context, vm *kubevirtv1.VirtualMachine, phase kubevirtv1.VirtualMachineInstancePhase) *kubevirtv1.VirtualMachineInstance {
	GinkgoHelper()
	vmi := &kubevirtv1.VirtualMachineInstance{}
	Eventually(ctx, func(g Gomega) {
		g.Expect(e.Get(ctx, client.ObjectKeyFromObject(vm), vmi)).To(Succeed())
		g.Expect(vmi.Status.Phase).To(Equal(phase))
	}).Should(Succeed())
	return vmi
}

func hasCondition(vmi *kubevirtv1.VirtualMachineInstance, kind kubevirtv1.VirtualMachineInstanceConditionType) bool {
	for _, condition := range vmi.Status.Conditions {
		if condition.Type == kind && condition.Status == corev1.ConditionTrue {
			return true
		}
	}
	return false
}

func (e *env) podPhase(ctx context.Context, pod *corev1.Pod) func() (corev1.PodPhase, error) {
	return func() (corev1.PodPhase, error) {
		err := e.Get(ctx, client.ObjectKeyFromObject(pod), pod)
		return pod.Status.Phase, err
	}
}

func (e *env) gone(ctx context.Context, obj client.Object) {
	GinkgoHelper()
	Eventually(ctx, func() bool {
		return apierrors.IsNotFound(e.Get(ctx, client.ObjectKeyFromObject(obj), obj))
	}).Should(BeTrue())
}

var _ = Describe("The kubelet", func() {
	var namespace string
	BeforeEach(func(ctx SpecContext) { namespace = suite.namespace(ctx) })

	It("leaves a Pod pending while a claim or a Secret is missing", func(ctx SpecContext) {
		waiting := pod(namespace, "waiting")
		waiting.Spec.Volumes = []corev1.Volume{{Name: "disk"}, {Name: "key"}}
		waiting.Spec.Volumes[0].PersistentVolumeClaim = &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "disk"}
		waiting.Spec.Volumes[1].Secret = &corev1.SecretVolumeSource{SecretName: "key"}
		Expect(suite.Create(ctx, waiting)).To(Succeed())
		Eventually(ctx, func(g Gomega) {
			g.Expect(suite.Get(ctx, client.ObjectKeyFromObject(waiting), waiting)).To(Succeed())
			g.Expect(waiting.Status.Conditions).To(HaveLen(1))
			g.Expect(waiting.Status.Conditions[0].Reason).To(Equal(corev1.PodReasonUnschedulable))
			g.Expect(waiting.Status.Conditions[0].Message).To(Equal(`persistentvolumeclaim "disk" not found`))
		}).Should(Succeed())

		disk := claim(namespace, "disk", cluster.ClassLate)
		Expect(suite.Create(ctx, disk)).To(Succeed())
		Eventually(ctx, func(g Gomega) {
			g.Expect(suite.Get(ctx, client.ObjectKeyFromObject(waiting), waiting)).To(Succeed())
			g.Expect(waiting.Status.ContainerStatuses).To(HaveLen(1))
			g.Expect(waiting.Status.ContainerStatuses[0].State.Waiting.Reason).To(Equal("ContainerCreating"))
		}).Should(Succeed())
		Expect(waiting.Status.Phase).To(Equal(corev1.PodPending))
		Expect(suite.Get(ctx, client.ObjectKeyFromObject(disk), disk)).To(Succeed())
		Expect(disk.Annotations).To(HaveKeyWithValue("volume.kubernetes.io/selected-node", waiting.Spec.NodeName))

		Expect(suite.Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "key"}})).To(Succeed())
		Eventually(ctx, suite.podPhase(ctx, waiting)).Should(Equal(corev1.PodRunning))
		Expect(waiting.Status.PodIP).To(HavePrefix("10."))
		Expect(suite.Delete(ctx, waiting)).To(Succeed())
		suite.gone(ctx, waiting)
	}, SpecTimeout(patience))

	It("runs the process behind a Pod, and again after it failed", func(ctx SpecContext) {
		trying := pod(namespace, "trying")
		trying.Labels["program"] = "fails-twice"
		trying.Spec.RestartPolicy = corev1.RestartPolicyOnFailure
		Expect(suite.Create(ctx, trying)).To(Succeed())
		Eventually(ctx, suite.podPhase(ctx, trying)).Should(Equal(corev1.PodSucceeded))
		status := trying.Status.ContainerStatuses[0]
		Expect(status.RestartCount).To(BeEquivalentTo(2))
		Expect(status.State.Terminated.Message).To(Equal("done"))
		Expect(status.LastTerminationState.Terminated.Message).To(Equal("not yet"))
	}, SpecTimeout(patience))

	It("stops the process of a deleted Pod before the Pod goes", func(ctx SpecContext) {
		sleeping := pod(namespace, "sleeping")
		sleeping.Labels["program"] = "sleeps"
		Expect(suite.Create(ctx, sleeping)).To(Succeed())
		Eventually(ctx, suite.podPhase(ctx, sleeping)).Should(Equal(corev1.PodRunning))
		Expect(suite.Delete(ctx, sleeping)).To(Succeed())
		suite.gone(ctx, sleeping)
	}, SpecTimeout(patience))

	It("spreads Pods that repel each other over the nodes", func(ctx SpecContext) {
		nodes := map[string]bool{}
		for i := range 3 {
			apart := pod(namespace, fmt.Sprintf("apart-%d", i))
			apart.Labels["app"] = "apart"
			apart.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
				RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
					TopologyKey:   corev1.LabelHostname,
					LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "apart"}},
				}},
			}}
			Expect(suite.Create(ctx, apart)).To(Succeed())
			Eventually(ctx, suite.podPhase(ctx, apart)).Should(Equal(corev1.PodRunning))
			nodes[apart.Spec.NodeName] = true
		}
		Expect(nodes).To(HaveLen(3))
	}, SpecTimeout(patience))
})

var _ = Describe("virt-handler", func() {
	var namespace string
	BeforeEach(func(ctx SpecContext) { namespace = suite.namespace(ctx) })

	It("boots a machine, connects its agent and shuts it down", func(ctx SpecContext) {
		vm := machine(namespace, "web")
		vm.Spec.Template.ObjectMeta.Annotations = map[string]string{node.AnnotationGuestAgent: "true"}
		Expect(suite.Create(ctx, vm)).To(Succeed())
		vmi := suite.instance(ctx, vm, kubevirtv1.Running)
		Expect(hasCondition(vmi, kubevirtv1.VirtualMachineInstanceAgentConnected)).To(BeTrue())
		Expect(hasCondition(vmi, kubevirtv1.VirtualMachineInstanceIsMigratable)).To(BeTrue())
		Eventually(ctx, func(g Gomega) {
			g.Expect(suite.Get(ctx, client.ObjectKeyFromObject(vm), vm)).To(Succeed())
			g.Expect(vm.Status.PrintableStatus).To(Equal(kubevirtv1.VirtualMachineStatusRunning))
			g.Expect(vm.Status.Ready).To(BeTrue())
		}).Should(Succeed())
		Expect(vmi.Status.Interfaces).To(HaveLen(1))
		Expect(vmi.Status.Interfaces[0].IP).To(HavePrefix("10."))
		Expect(vmi.Status.Interfaces[0].MAC).NotTo(BeEmpty())

		old := vm.DeepCopy()
		vm.Spec.RunStrategy = new(kubevirtv1.RunStrategyHalted)
		Expect(suite.Patch(ctx, vm, client.MergeFrom(old))).To(Succeed())
		suite.gone(ctx, vmi)
		Eventually(ctx, func(g Gomega) {
			g.Expect(suite.Get(ctx, client.ObjectKeyFromObject(vm), vm)).To(Succeed())
			g.Expect(vm.Status.PrintableStatus).To(Equal(kubevirtv1.VirtualMachineStatusStopped))
		}).Should(Succeed())
		var pods corev1.PodList
		Expect(suite.List(ctx, &pods, client.InNamespace(namespace))).To(Succeed())
		Expect(pods.Items).To(BeEmpty())
	}, SpecTimeout(patience))

	It("ends a guest that shuts itself down", func(ctx SpecContext) {
		vm := machine(namespace, "once")
		vm.Spec.RunStrategy = new(kubevirtv1.RunStrategyOnce)
		Expect(suite.Create(ctx, vm)).To(Succeed())
		vmi := suite.instance(ctx, vm, kubevirtv1.Running)
		old := vmi.DeepCopy()
		metav1.SetMetaDataAnnotation(&vmi.ObjectMeta, node.AnnotationGuestExit, "Succeeded")
		Expect(suite.Patch(ctx, vmi, client.MergeFrom(old))).To(Succeed())
		suite.instance(ctx, vm, kubevirtv1.Succeeded)
	}, SpecTimeout(patience))

	It("freezes a guest for its snapshot and thaws it, also after a refusal", func(ctx SpecContext) {
		Expect(suite.Create(ctx, claim(namespace, "disk", cluster.ClassFast))).To(Succeed())
		vm := machine(namespace, "db")
		vm.Spec.Template.ObjectMeta.Annotations = map[string]string{node.AnnotationGuestAgent: "true"}
		vm.Spec.Template.Spec.Volumes[0].VolumeSource = claimVolume("disk")
		Expect(suite.Create(ctx, vm)).To(Succeed())
		suite.instance(ctx, vm, kubevirtv1.Running)
		suite.Freeze.Reset()
		suite.Freeze.Fail(1, "fsfreeze is limited up to 10 seconds")
		snapshot := &snapshotv1beta1.VirtualMachineSnapshot{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "before"}}
		snapshot.Spec.Source = corev1.TypedLocalObjectReference{APIGroup: new("kubevirt.io"), Kind: "VirtualMachine", Name: "db"}
		Expect(suite.Create(ctx, snapshot)).To(Succeed())
		Eventually(ctx, func(g Gomega) {
			g.Expect(suite.Get(ctx, client.ObjectKeyFromObject(snapshot), snapshot)).To(Succeed())
			g.Expect(snapshot.Status).NotTo(BeNil())
			g.Expect(snapshot.Status.Phase).To(Equal(snapshotv1beta1.Succeeded))
		}).Should(Succeed())
		var indications []snapshotv1beta1.Indication
		for _, indication := range snapshot.Status.SourceIndications {
			indications = append(indications, indication.Indication)
		}
		Expect(indications).To(ContainElements(
			snapshotv1beta1.VMSnapshotOnlineSnapshotIndication, snapshotv1beta1.VMSnapshotGuestAgentIndication))
		var kinds []string
		for _, entry := range suite.Freeze.Journal() {
			Expect(entry.Name).To(Equal(namespace + "/db"))
			if len(kinds) == 0 || kinds[len(kinds)-1] != entry.Kind {
				kinds = append(kinds, entry.Kind)
			}
		}
		Expect(kinds).To(Equal([]string{node.Refused, node.Frozen, node.Thawed}))
		Eventually(ctx, func() string {
			return suite.instance(ctx, vm, kubevirtv1.Running).Status.FSFreezeStatus
		}).Should(BeEmpty())
	}, SpecTimeout(patience))

	It("is the first consumer of a disk that waits for one", func(ctx SpecContext) {
		vm := machine(namespace, "late")
		disk := kubevirtv1.DataVolumeTemplateSpec{ObjectMeta: metav1.ObjectMeta{Name: "late-disk"}}
		disk.Spec = blankDisk(cluster.ClassLate)
		vm.Spec.DataVolumeTemplates = []kubevirtv1.DataVolumeTemplateSpec{disk}
		vm.Spec.Template.Spec.Volumes[0].VolumeSource = kubevirtv1.VolumeSource{DataVolume: &kubevirtv1.DataVolumeSource{Name: "late-disk"}}
		Expect(suite.Create(ctx, vm)).To(Succeed())
		suite.instance(ctx, vm, kubevirtv1.Running)
	}, SpecTimeout(patience))

	It("runs 500 machines", Label("scale"), func(ctx SpecContext) {
		started := time.Now()
		for i := range 500 {
			Expect(suite.Create(ctx, machine(namespace, fmt.Sprintf("vm-%d", i)))).To(Succeed())
		}
		created := time.Since(started)
		Eventually(ctx, func(g Gomega) {
			var instances kubevirtv1.VirtualMachineInstanceList
			g.Expect(suite.List(ctx, &instances, client.InNamespace(namespace))).To(Succeed())
			running := 0
			for _, vmi := range instances.Items {
				if vmi.Status.Phase == kubevirtv1.Running {
					running++
				}
			}
			g.Expect(running).To(Equal(500))
		}).WithTimeout(5 * time.Minute).WithPolling(time.Second).Should(Succeed())
		running := time.Since(started)
		Eventually(ctx, func() error { // one request lasts a minute at most
			return suite.DeleteAllOf(ctx, &kubevirtv1.VirtualMachine{}, client.InNamespace(namespace))
		}).WithTimeout(5 * time.Minute).Should(Succeed())
		Eventually(ctx, func(g Gomega) {
			var pods corev1.PodList
			g.Expect(suite.List(ctx, &pods, client.InNamespace(namespace))).To(Succeed())
			g.Expect(pods.Items).To(BeEmpty())
		}).WithTimeout(5 * time.Minute).WithPolling(time.Second).Should(Succeed())
		AddReportEntry("500 machines", fmt.Sprintf("created in %s, running after %s, gone after %s", created, running, time.Since(started)))
	}, SpecTimeout(10*time.Minute))
})

func blankDisk(class string) cdiv1.DataVolumeSpec {
	return cdiv1.DataVolumeSpec{
		Source: &cdiv1.DataVolumeSource{Blank: &cdiv1.DataVolumeBlankImage{}},
		Storage: &cdiv1.StorageSpec{
			StorageClassName: &class,
			Resources:        corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("4Mi")}},
		},
	}
}
