package admission

import (
	"fmt"
	"hash/fnv"
	"maps"
	"strings"

	"github.com/google/go-cmp/cmp"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	kubevirtv1 "kubevirt.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

const bareMachine = `
apiVersion: kubevirt.io/v1
kind: VirtualMachine
metadata: {name: bare, labels: {wukong.io/managed: "true"}}
spec:
  template:
    spec:
      domain:
        memory: {guest: 64Mi}
        devices:
          disks: [{name: root, disk: {}}, {name: tools, cdrom: {}}]
          interfaces: [{name: default, masquerade: {}}]
      networks: [{name: default, pod: {}}]
      volumes:
        - {name: root, persistentVolumeClaim: {claimName: disk}}
        - {name: tools, containerDisk: {image: "registry.example.com/tools:1"}}
`

// fullMachine sets all that defaults would.
const fullMachine = `
apiVersion: kubevirt.io/v1
kind: VirtualMachine
metadata: {name: full, labels: {wukong.io/managed: "true"}}
spec:
  runStrategy: Halted
  dataVolumeTemplates:
    - metadata: {name: full-data}
      spec:
        source: {blank: {}}
        pvc: {accessModes: [ReadWriteMany], volumeMode: Block, storageClassName: fast, resources: {requests: {storage: 8Mi}}}
  template:
    spec:
      evictionStrategy: None
      domain:
        firmware: {uuid: 6a1a24a1-4061-4607-8bf4-a3963d0c5895, serial: mine}
        memory: {guest: 64Mi}
        devices:
          disks: [{name: data, disk: {bus: scsi}}, {name: tools, cdrom: {bus: scsi}}]
          interfaces: [{name: default, masquerade: {}, model: e1000e, macAddress: "02:00:00:MAC"}]
      networks: [{name: default, pod: {}}]
      volumes:
        - {name: data, dataVolume: {name: full-data}}
        - {name: tools, containerDisk: {image: "registry.example.com/tools:1"}}
`

// claimMachine has a template of form pvc that leaves its modes open, and opts in by an annotation.
const claimMachine = `
apiVersion: kubevirt.io/v1
kind: VirtualMachine
metadata: {name: claim, annotations: {wukong.io/note: opted-in}}
spec:
  runStrategy: Halted
  dataVolumeTemplates:
    - metadata: {name: claim-data}
      spec:
        source: {blank: {}}
        pvc: {storageClassName: fast, resources: {requests: {storage: 8Mi}}}
  template:
    spec:
      domain:
        memory: {guest: 64Mi}
        devices: {disks: [{name: data, disk: {}}]}
      volumes: [{name: data, dataVolume: {name: claim-data}}]
`

func manifest(text, namespace string) *unstructured.Unstructured {
	GinkgoHelper()
	u := &unstructured.Unstructured{}
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(namespace)) // no two namespaces' machines have one address
	text = strings.Replace(text, "MAC", fmt.Sprintf("%02x:%02x:%02x", sum.Sum(nil)[0], sum.Sum(nil)[1], sum.Sum(nil)[2]), 1)
	Expect(yaml.Unmarshal([]byte(text), &u.Object)).To(Succeed())
	u.SetNamespace(namespace)
	return u
}

func typed(u *unstructured.Unstructured) *kubevirtv1.VirtualMachine {
	GinkgoHelper()
	vm := &kubevirtv1.VirtualMachine{}
	Expect(runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, vm)).To(Succeed())
	return vm
}

var _ = Describe("Defaults", func() {
	for name, text := range map[string]string{"that leaves all open": bareMachine, "that sets all": fullMachine, "with a claim's template": claimMachine} {
		It("are the same when a manifest is applied again: one "+name, func(ctx SpecContext) {
			namespace := newNamespace(ctx)
			apply := func() *unstructured.Unstructured {
				want := manifest(text, namespace)
				Expect(shared.admin.Apply(ctx, client.ApplyConfigurationFromUnstructured(want), client.FieldOwner("kubectl"))).To(Succeed())
				found := manifest(text, namespace)
				Expect(shared.admin.Get(ctx, client.ObjectKeyFromObject(found), found)).To(Succeed())
				return found
			}
			first := apply()
			second := apply()
			Expect(cmp.Diff(first.Object["spec"], second.Object["spec"])).To(BeEmpty())
			Expect(second.GetGeneration()).To(Equal(first.GetGeneration()), "a second apply changes nothing")
			By("replacing it with the same manifest, which has no defaults in it")
			replaced := manifest(text, namespace)
			replaced.SetResourceVersion(second.GetResourceVersion())
			Eventually(ctx, func() error {
				now := manifest(text, namespace)
				if err := shared.admin.Get(ctx, client.ObjectKeyFromObject(now), now); err != nil {
					return err
				}
				replaced = manifest(text, namespace)
				replaced.SetResourceVersion(now.GetResourceVersion())
				replaced.SetFinalizers(now.GetFinalizers())
				return shared.admin.Update(ctx, replaced)
			}).Should(Succeed())
			// What KubeVirt writes there on creation alone, its PCI topology, goes with the replacing, as it does without us.
			for _, u := range []*unstructured.Unstructured{first, replaced} {
				unstructured.RemoveNestedField(u.Object, "spec", "template", "metadata")
			}
			Expect(cmp.Diff(first.Object["spec"], replaced.Object["spec"])).To(BeEmpty(), "also when the whole object is replaced")
		}, SpecTimeout(patience))
	}

	It("are those that are documented", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		u := manifest(bareMachine, namespace)
		Expect(shared.admin.Create(ctx, u)).To(Succeed())
		vm := typed(u)
		spec := vm.Spec.Template.Spec
		Expect(vm.Spec.RunStrategy).To(HaveValue(Equal(kubevirtv1.RunStrategyAlways)))
		Expect(string(spec.Domain.Firmware.UUID)).To(MatchRegexp(`^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-`))
		Expect(spec.Domain.Firmware.Serial).NotTo(BeEmpty())
		Expect(spec.Domain.Devices.Interfaces[0].MacAddress).To(MatchRegexp(`^[0-9a-f][26ae](:[0-9a-f]{2}){5}$`))
		Expect(spec.Domain.Devices.Interfaces[0].Model).To(Equal("virtio"))
		Expect(spec.Domain.Devices.Disks[0].Disk.Bus).To(Equal(kubevirtv1.DiskBusVirtio))
		Expect(spec.Domain.Devices.Disks[1].CDRom.Bus).To(Equal(kubevirtv1.DiskBusSATA))
		Expect(spec.EvictionStrategy).To(HaveValue(Equal(kubevirtv1.EvictionStrategyLiveMigrateIfPossible)))
		By("giving the same machine the same identity when it is made anew")
		Expect(shared.admin.Delete(ctx, u)).To(Succeed())
		again := manifest(bareMachine, namespace)
		Eventually(ctx, func() error { again = manifest(bareMachine, namespace); return shared.admin.Create(ctx, again) }).Should(Succeed())
		Expect(cmp.Diff(u.Object["spec"], again.Object["spec"])).To(BeEmpty())
	}, SpecTimeout(patience))

	It("come from the storage profile for a claim that leaves its mode open", func(ctx SpecContext) {
		u := manifest(claimMachine, newNamespace(ctx))
		Expect(shared.admin.Create(ctx, u)).To(Succeed())
		Expect(typed(u).Spec.DataVolumeTemplates[0].Spec.PVC.AccessModes).NotTo(BeEmpty())
	}, SpecTimeout(patience))

	It("change nothing that the user set", func(ctx SpecContext) {
		u := manifest(fullMachine, newNamespace(ctx))
		Expect(shared.admin.Create(ctx, u)).To(Succeed())
		want := manifest(fullMachine, u.GetNamespace()).Object["spec"]
		Expect(changedIn("spec", want, u.Object["spec"])).To(BeEmpty())
	}, SpecTimeout(patience))

	It("do not reach machines that did not opt in", func(ctx SpecContext) {
		u := manifest(bareMachine, newNamespace(ctx))
		u.SetLabels(nil)
		Expect(unstructured.SetNestedField(u.Object, "Halted", "spec", "runStrategy")).To(Succeed())
		Expect(shared.admin.Create(ctx, u)).To(Succeed())
		Expect(typed(u).Spec.Template.Spec.Domain.Devices.Interfaces[0].MacAddress).To(BeEmpty())
	}, SpecTimeout(patience))

	It("keep the address a machine has, whatever it was made with", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		u := manifest(bareMachine, namespace)
		Expect(unstructured.SetNestedField(u.Object, "Halted", "spec", "runStrategy")).To(Succeed())
		vm := typed(u)
		vm.Spec.Template.Spec.Domain.Devices.Interfaces[0].MacAddress = "02:00:00:00:01:23"
		Expect(shared.admin.Create(ctx, vm)).To(Succeed())
		Expect(shared.admin.Patch(ctx, vm, client.RawPatch(types.MergePatchType,
			[]byte(`{"spec":{"template":{"spec":{"domain":{"devices":{"interfaces":[{"name":"default","masquerade":{}}]}}}}}}`)))).To(Succeed())
		Expect(vm.Spec.Template.Spec.Domain.Devices.Interfaces[0].MacAddress).To(Equal("02:00:00:00:01:23"))
	}, SpecTimeout(patience))
})

// changedIn lists what is in want and is another value in got; more in got is no change.
func changedIn(path string, want, got any) (changed []string) {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return []string{path}
		}
		for key := range maps.Keys(w) {
			changed = append(changed, changedIn(path+"."+key, w[key], g[key])...)
		}
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return []string{path}
		}
		for i := range w {
			changed = append(changed, changedIn(fmt.Sprintf("%s[%d]", path, i), w[i], g[i])...)
		}
	default:
		if fmt.Sprint(want) != fmt.Sprint(got) {
			return []string{fmt.Sprintf("%s: %v became %v", path, want, got)}
		}
	}
	return changed
}
