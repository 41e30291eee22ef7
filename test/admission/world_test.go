package admission

import (
	"context"
	"encoding/json"
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	kubevirtv1 "kubevirt.io/api/core/v1"
	snapshotv1beta1 "kubevirt.io/api/snapshot/v1beta1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"wukong.io/wukong/pkg/apis/wukong/v1alpha1"
	"wukong.io/wukong/test/cluster"
)

func clientOf(config *rest.Config) client.WithWatch {
	GinkgoHelper()
	scheme := runtime.NewScheme()
	builder := runtime.NewSchemeBuilder(clientgoscheme.AddToScheme, kubevirtv1.AddToScheme, snapshotv1beta1.AddToScheme,
		cdiv1.AddToScheme, v1alpha1.AddToScheme)
	Expect(builder.AddToScheme(scheme)).To(Succeed())
	quick := rest.CopyConfig(config)
	quick.QPS = -1
	c, err := client.NewWithWatch(quick, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	return c
}

// as gives a client of another user. The API server sees that user and no other.
func as(user string, groups ...string) client.Client {
	GinkgoHelper()
	return asWith(user, nil, groups...)
}

func asWith(user string, warnings rest.WarningHandler, groups ...string) client.Client {
	GinkgoHelper()
	config := rest.CopyConfig(shared.config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: groups}
	config.WarningHandler = warnings
	return clientOf(config)
}

// newNamespace makes a namespace with a claim named disk, for machines to have.
func newNamespace(ctx context.Context) string {
	GinkgoHelper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "adm-"}}
	Expect(shared.admin.Create(ctx, namespace)).To(Succeed())
	newClaim(ctx, namespace.Name, "disk", cluster.ClassFast)
	return namespace.Name
}

func newClaim(ctx context.Context, namespace, name, class string) {
	GinkgoHelper()
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	claim.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	claim.Spec.StorageClassName = &class
	claim.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("8Mi")}
	Expect(shared.admin.Create(ctx, claim)).To(Succeed())
	Eventually(ctx, func() (corev1.PersistentVolumeClaimPhase, error) {
		err := shared.admin.Get(ctx, client.ObjectKeyFromObject(claim), claim)
		return claim.Status.Phase, err
	}).Should(Equal(corev1.ClaimBound))
}

// machine is a stopped machine with one disk on a claim.
func machine(namespace, name string, claims ...string) *kubevirtv1.VirtualMachine {
	if len(claims) == 0 {
		claims = []string{"disk"}
	}
	halted := kubevirtv1.RunStrategyHalted
	vm := &kubevirtv1.VirtualMachine{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	vm.Spec.RunStrategy = &halted
	vm.Spec.Template = &kubevirtv1.VirtualMachineInstanceTemplateSpec{}
	spec := &vm.Spec.Template.Spec
	memory := resource.MustParse("64Mi")
	spec.Domain.Memory = &kubevirtv1.Memory{Guest: &memory}
	for i, claim := range claims {
		disk := fmt.Sprintf("disk%d", i)
		spec.Domain.Devices.Disks = append(spec.Domain.Devices.Disks, kubevirtv1.Disk{
			Name: disk, DiskDevice: kubevirtv1.DiskDevice{Disk: &kubevirtv1.DiskTarget{Bus: kubevirtv1.DiskBusVirtio}},
		})
		volume := kubevirtv1.Volume{Name: disk}
		volume.PersistentVolumeClaim = &kubevirtv1.PersistentVolumeClaimVolumeSource{}
		volume.PersistentVolumeClaim.ClaimName = claim
		spec.Volumes = append(spec.Volumes, volume)
	}
	return vm
}

func newMachine(ctx context.Context, namespace, name string, claims ...string) *kubevirtv1.VirtualMachine {
	GinkgoHelper()
	vm := machine(namespace, name, claims...)
	Expect(shared.admin.Create(ctx, vm)).To(Succeed())
	return vm
}

// newSnapshot takes a snapshot and waits until it is ready to use.
func newSnapshot(ctx context.Context, vm *kubevirtv1.VirtualMachine, name string) {
	GinkgoHelper()
	snapshot := snapshotOf(vm, name)
	Expect(shared.admin.Create(ctx, snapshot)).To(Succeed())
	Eventually(ctx, func() (bool, error) {
		err := shared.admin.Get(ctx, client.ObjectKeyFromObject(snapshot), snapshot)
		return snapshot.Status != nil && snapshot.Status.ReadyToUse != nil && *snapshot.Status.ReadyToUse, err
	}).Should(BeTrue())
}

func snapshotOf(vm *kubevirtv1.VirtualMachine, name string) *snapshotv1beta1.VirtualMachineSnapshot {
	group := "kubevirt.io"
	snapshot := &snapshotv1beta1.VirtualMachineSnapshot{ObjectMeta: metav1.ObjectMeta{Namespace: vm.Namespace, Name: name}}
	snapshot.Spec.Source = corev1.TypedLocalObjectReference{APIGroup: &group, Kind: "VirtualMachine", Name: vm.Name}
	return snapshot
}

// annotate sets annotations by a merge patch, as kubectl annotate does; nil removes one.
func annotate(ctx context.Context, c client.Client, vm *kubevirtv1.VirtualMachine, annotations map[string]any, options ...client.PatchOption) error {
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": annotations}})
	if err != nil {
		return err
	}
	changed := &kubevirtv1.VirtualMachine{ObjectMeta: metav1.ObjectMeta{Namespace: vm.Namespace, Name: vm.Name}}
	return c.Patch(ctx, changed, client.RawPatch(types.MergePatchType, body), options...)
}

// ask makes one request by annotation.
func ask(ctx context.Context, c client.Client, vm *kubevirtv1.VirtualMachine, verb, value string, options ...client.PatchOption) error {
	return annotate(ctx, c, vm, map[string]any{v1alpha1.RequestAnnotation(verb): value}, options...)
}

// live reads a machine as it is.
func live(ctx context.Context, vm *kubevirtv1.VirtualMachine) *kubevirtv1.VirtualMachine {
	GinkgoHelper()
	found := &kubevirtv1.VirtualMachine{}
	Expect(shared.admin.Get(ctx, client.ObjectKeyFromObject(vm), found)).To(Succeed())
	return found
}

// lastOperation reads what the controller reported.
func lastOperation(ctx context.Context, vm *kubevirtv1.VirtualMachine) (v1alpha1.LastOperation, error) {
	found := &kubevirtv1.VirtualMachine{}
	if err := shared.admin.Get(ctx, client.ObjectKeyFromObject(vm), found); err != nil {
		return v1alpha1.LastOperation{}, err
	}
	return v1alpha1.DecodeLastOperation(found.Annotations[v1alpha1.AnnotationLastOperation])
}

// right is one thing that RBAC can allow.
type right struct {
	verbs                  []string
	group, resource, named string
}

func editMachines() right {
	return right{verbs: []string{"get", "create", "update", "patch", "delete"}, group: "kubevirt.io", resource: "virtualmachines"}
}

func makeMachines() right {
	return right{verbs: []string{"create"}, group: "kubevirt.io", resource: "virtualmachines"}
}

func copyDisks() right {
	return right{verbs: []string{"create"}, group: "cdi.kubevirt.io", resource: "datavolumes/source"}
}

func makeSnapshot() right {
	return right{verbs: []string{"create"}, group: "snapshot.kubevirt.io", resource: "virtualmachinesnapshots"}
}

func readPush() right {
	return right{verbs: []string{"get"}, resource: "secrets", named: "push"}
}

func makeJobs(resource string) right {
	return right{verbs: []string{"get", "create", "update", "patch"}, group: "wukong.io", resource: resource}
}

// grant gives a right in a namespace to subjects.
func grant(ctx context.Context, namespace string, r right, subjects ...rbacv1.Subject) {
	GinkgoHelper()
	rule := rbacv1.PolicyRule{Verbs: r.verbs, APIGroups: []string{r.group}, Resources: []string{r.resource}}
	if r.named != "" {
		rule.ResourceNames = []string{r.named}
	}
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "right-"}, Rules: []rbacv1.PolicyRule{rule}}
	Expect(shared.admin.Create(ctx, role)).To(Succeed())
	binding := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: role.Name}, Subjects: subjects}
	binding.RoleRef = rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name}
	Expect(shared.admin.Create(ctx, binding)).To(Succeed())
}

func user(name string) rbacv1.Subject {
	return rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name}
}

func account(namespace, name string) rbacv1.Subject {
	return rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: name}
}

// allowAll gives alice every right in a namespace that requests need.
func allowAll(ctx context.Context, namespace string) {
	GinkgoHelper()
	const name = "alice"
	for _, r := range []right{
		editMachines(), makeSnapshot(), makeJobs("clonejobs"), makeJobs("exportjobs"), makeJobs("rollbackjobs"), makeJobs("importjobs"), copyDisks(), readPush(),
	} {
		grant(ctx, namespace, r, user(name))
	}
	settled(ctx, namespace, name, "wukong.io", "clonejobs")
}

// settled waits until the API server's authoriser has seen the last right given.
func settled(ctx context.Context, namespace, name, group, resource string) {
	GinkgoHelper()
	c := as(name)
	probe := &unstructured.Unstructured{}
	probe.SetGroupVersionKind(schema.GroupVersionKind{Group: group, Version: "v1alpha1", Kind: "CloneJob"})
	Eventually(ctx, func() error {
		err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "none"}, probe)
		return client.IgnoreNotFound(err)
	}).Should(Succeed(), resource)
}
