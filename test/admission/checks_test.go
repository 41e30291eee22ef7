package admission

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	kubevirtv1 "kubevirt.io/api/core/v1"
	snapshotv1beta1 "kubevirt.io/api/snapshot/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"wukong.io/wukong/pkg/apis/wukong/v1alpha1"
	"wukong.io/wukong/test/cluster"
	"wukong.io/wukong/test/stockhelm"
)

var _ = Describe("A disk that cannot be snapshotted", func() {
	mixed := func(ctx SpecContext) (string, *kubevirtv1.VirtualMachine) {
		namespace := newNamespace(ctx)
		newClaim(ctx, namespace, "plain", cluster.ClassNoSnapshot)
		allowAll(ctx, namespace)
		grant(ctx, namespace, right{verbs: []string{"create"}, group: "wukong.io", resource: "snapshotpolicies"}, user("alice"))
		return namespace, newMachine(ctx, namespace, "web", "disk", "plain")
	}

	It("is refused by name for an Online clone", func(ctx SpecContext) {
		_, vm := mixed(ctx)
		Eventually(ctx, func() error { return ask(ctx, as("alice"), vm, "clone", "copy") }).Should(MatchError(And(
			ContainSubstring("metadata.annotations[wukong.io/clone]"), ContainSubstring(`"disk1"`), ContainSubstring("nosnap"), Not(ContainSubstring(`"disk0"`)))))
	}, SpecTimeout(patience))

	It("is refused by name for a policy that requires all disks", func(ctx SpecContext) {
		namespace, vm := mixed(ctx)
		policy := &v1alpha1.SnapshotPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "nightly"}}
		policy.Spec.Schedule, policy.Spec.Consistency = "15 2 * * *", "Required"
		policy.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"none": "none"}}
		Expect(as("alice").Create(ctx, policy)).To(Succeed())
		Eventually(ctx, func() error { return ask(ctx, as("alice"), vm, "snapshot-policy", "nightly", client.DryRunAll) }).Should(MatchError(And(
			ContainSubstring("metadata.annotations[wukong.io/snapshot-policy]"), ContainSubstring(`"disk1"`), ContainSubstring("nosnap"))))
	}, SpecTimeout(patience))

	It("is warned about when a snapshot is taken", func(ctx SpecContext) {
		_, vm := mixed(ctx)
		heard := &ears{}
		Expect(asWith("alice", heard).Create(ctx, snapshotOf(vm, "now"))).To(Succeed())
		Expect(heard.all()).To(ContainElement(And(ContainSubstring(`"disk1"`), ContainSubstring("nosnap"))))
	}, SpecTimeout(patience))

	It("is not spoken of where all disks can be snapshotted", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		allowAll(ctx, namespace)
		vm := newMachine(ctx, namespace, "web")
		heard := &ears{}
		Expect(asWith("alice", heard).Create(ctx, snapshotOf(vm, "now"))).To(Succeed())
		Expect(heard.all()).To(BeEmpty())
	}, SpecTimeout(patience))
})

var _ = Describe("An edit of a fleet's machine", func() {
	managed := func(namespace, name, mac string) *kubevirtv1.VirtualMachine {
		vm := machine(namespace, name)
		vm.Labels = map[string]string{v1alpha1.LabelManaged: "true"}
		vm.Spec.Template.Spec.Networks = []kubevirtv1.Network{*kubevirtv1.DefaultPodNetwork()}
		vm.Spec.Template.Spec.Domain.Devices.Interfaces = []kubevirtv1.Interface{*kubevirtv1.DefaultMasqueradeNetworkInterface()}
		vm.Spec.Template.Spec.Domain.Devices.Interfaces[0].MacAddress = mac
		return vm
	}

	It("is refused where its MAC address is another's, however it is written", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		Expect(shared.admin.Create(ctx, managed(namespace, "first", "02:ab:cd:00:00:01"))).To(Succeed())
		for _, mac := range []string{"02:ab:cd:00:00:01", "02:AB:CD:00:00:01", "02-ab-cd-00-00-01"} {
			Eventually(ctx, func() error { return shared.admin.Create(ctx, managed(namespace, "second", mac), client.DryRunAll) }).Should(MatchError(And(
				ContainSubstring("spec.template.spec.domain.devices.interfaces[0].macAddress"), ContainSubstring(fmt.Sprintf(`machine "first" in namespace %q has it already`, namespace)))))
		}
		Expect(shared.admin.Create(ctx, managed(namespace, "second", "02:ab:cd:00:00:02"))).To(Succeed())
	}, SpecTimeout(patience))

	It("is warned about where what it names does not exist", func(ctx SpecContext) {
		heard := &ears{}
		namespace := newNamespace(ctx)
		vm := managed(namespace, "web", "")
		vm.Spec.Template.Spec.Volumes[0].PersistentVolumeClaim.ClaimName = "gone"
		vm.Spec.Template.Spec.Networks = append(vm.Spec.Template.Spec.Networks, kubevirtv1.Network{
			Name: "lan", NetworkSource: kubevirtv1.NetworkSource{Multus: &kubevirtv1.MultusNetwork{NetworkName: "vlan10"}},
		})
		vm.Spec.Template.Spec.Domain.Devices.Interfaces = append(vm.Spec.Template.Spec.Domain.Devices.Interfaces, *kubevirtv1.DefaultBridgeNetworkInterface())
		vm.Spec.Template.Spec.Domain.Devices.Interfaces[1].Name = "lan"
		root := asWith("root", heard, "system:masters")
		Expect(root.Create(ctx, vm)).To(Succeed())
		Expect(heard.all()).To(ConsistOf(
			`spec.template.spec.volumes[0].persistentVolumeClaim.claimName: no PersistentVolumeClaim "gone" exists in namespace "`+namespace+`": the machine does not start until it does`,
			`spec.template.spec.networks[1].multus.networkName: no NetworkAttachmentDefinition "vlan10" exists in namespace "`+namespace+`": the machine does not start until it does`,
		))
		By("saying nothing again when something else changes")
		err := annotate(ctx, root, vm, map[string]any{"team": "a"})
		Expect(err).NotTo(HaveOccurred())
		Expect(heard.all()).To(HaveLen(2))
		By("naming an instancetype and a preference")
		unknown := managed(namespace, "unknown", "")
		unknown.Spec.Template.Spec.Domain.Memory = nil
		unknown.Spec.Instancetype = &kubevirtv1.InstancetypeMatcher{Name: "u1.none"}
		unknown.Spec.Preference = &kubevirtv1.PreferenceMatcher{Name: "fedora", Kind: "VirtualMachinePreference"}
		Expect(root.Create(ctx, unknown, client.DryRunAll)).To(Succeed())
		Expect(heard.all()[2:]).To(ConsistOf(
			`spec.instancetype.name: no VirtualMachineClusterInstancetype "u1.none" exists in the cluster: the machine does not start until it does`,
			`spec.preference.name: no VirtualMachinePreference "fedora" exists in namespace "`+namespace+`": the machine does not start until it does`,
		))
		unknown.Spec.Instancetype.Name, unknown.Spec.Preference = "u1.medium", &kubevirtv1.PreferenceMatcher{Name: "fedora"}
		Expect(root.Create(ctx, unknown, client.DryRunAll)).To(Succeed())
		Expect(heard.all()).To(HaveLen(4))
	}, SpecTimeout(patience))

	It("is refused where it would turn what becomes of a disk, by stock helm", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		values := filepath.Join(GinkgoT().TempDir(), "fleet.yaml")
		write := func(retention string) {
			fleet := `pools: {web: {replicas: 1, retentionPolicy: {whenDeleted: ` + retention + `, whenScaled: ` + retention + `}, template: {runStrategy: Halted, resources: {cpu: 1, memory: 64Mi}, disks: {data: {size: 8Mi, source: {empty: {}}}}}}}`
			Expect(os.WriteFile(values, []byte(fleet), 0o600)).To(Succeed())
		}
		for from, to := range map[string]string{"Retain": "Delete", "Delete": "Retain"} {
			release := stockhelm.Release{Namespace: namespace, Name: strings.ToLower(from), Values: values}
			write(from)
			_, err := shared.helm.Install(ctx, release)
			Expect(err).NotTo(HaveOccurred())
			write(to)
			_, err = shared.helm.Upgrade(ctx, release)
			Expect(err).To(HaveOccurred())
			if from == "Retain" { // the other way helm refuses by itself: the disk is not its own
				Expect(err).To(MatchError(ContainSubstring(`spec.dataVolumeTemplates: disk "retain-web-0-data" outlives its machine, and cannot be made to go with it`)))
			}
			Expect(shared.admin.Get(ctx, client.ObjectKey{Namespace: namespace, Name: strings.ToLower(from) + "-web-0"}, &kubevirtv1.VirtualMachine{})).To(Succeed())
		}
	}, SpecTimeout(patience))

	It("is KubeVirt's own when it restores a machine in place", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		values := filepath.Join(GinkgoT().TempDir(), "fleet.yaml")
		fleet := `pools: {web: {replicas: 1, retentionPolicy: {whenDeleted: Delete, whenScaled: Delete}, template: {runStrategy: Halted, resources: {cpu: 1, memory: 64Mi}, disks: {data: {size: 8Mi, source: {empty: {}}}}}}}`
		Expect(os.WriteFile(values, []byte(fleet), 0o600)).To(Succeed())
		_, err := shared.helm.Install(ctx, stockhelm.Release{Namespace: namespace, Name: "shop", Values: values})
		Expect(err).NotTo(HaveOccurred())
		vm := &kubevirtv1.VirtualMachine{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "shop-web-0"}}
		disk := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "shop-web-0-data"}}
		Eventually(ctx, func() (corev1.PersistentVolumeClaimPhase, error) {
			err := shared.admin.Get(ctx, client.ObjectKeyFromObject(disk), disk)
			return disk.Status.Phase, err
		}).Should(Equal(corev1.ClaimBound))
		newSnapshot(ctx, vm, "before")
		restore := &snapshotv1beta1.VirtualMachineRestore{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "back"}}
		restore.Spec.Target = *machineRef(vm.Name)
		restore.Spec.VirtualMachineSnapshotName = "before"
		Expect(shared.admin.Create(ctx, restore)).To(Succeed())
		Eventually(ctx, func() (bool, error) {
			err := shared.admin.Get(ctx, client.ObjectKeyFromObject(restore), restore)
			return restore.Status != nil && restore.Status.Complete != nil && *restore.Status.Complete, err
		}).Should(BeTrue())
	}, SpecTimeout(patience))

	It("is refused where KubeVirt would ignore it, and the message says what would do it", func(ctx SpecContext) {
		u := manifest(fullMachine, newNamespace(ctx))
		Expect(shared.admin.Create(ctx, u)).To(Succeed())
		edit := func(spec string) error {
			body := `{"spec":{"dataVolumeTemplates":[{"metadata":{"name":"full-data"},"spec":` + spec + `}]}}`
			return shared.admin.Patch(ctx, u.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(body)), client.DryRunAll)
		}
		claim := func(size, class string) string {
			return `"pvc":{"accessModes":["ReadWriteMany"],"volumeMode":"Block","storageClassName":"` + class + `","resources":{"requests":{"storage":"` + size + `"}}}`
		}
		Expect(edit(`{"source":{"blank":{}},` + claim("4Mi", "fast") + `}`)).To(MatchError(And(
			ContainSubstring("spec.dataVolumeTemplates[0].spec.pvc.resources.requests[storage]"), ContainSubstring("no disk can shrink"))))
		Expect(edit(`{"source":{"blank":{}},` + claim("8Mi", "nosnap") + `}`)).To(MatchError(ContainSubstring("updateVolumesStrategy: Migration")))
		Expect(edit(`{"source":{"http":{"url":"https://example.com/x"}},` + claim("8Mi", "fast") + `}`)).To(MatchError(And(
			ContainSubstring("spec.dataVolumeTemplates[0].spec.source"), ContainSubstring("name another template and volume"))))
		heard := &ears{}
		grown := asWith("root", heard, "system:masters")
		body := `{"spec":{"dataVolumeTemplates":[{"metadata":{"name":"full-data"},"spec":{"source":{"blank":{}},` + claim("16Mi", "fast") + `}}]}}`
		Expect(grown.Patch(ctx, u.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(body)), client.DryRunAll)).To(Succeed())
		Expect(heard.all()).To(ContainElement(ContainSubstring("enlarge claim")))
	}, SpecTimeout(patience))
})
