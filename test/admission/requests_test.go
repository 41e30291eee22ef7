package admission

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	. "github.com/onsi/gomega/gstruct"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clonev1beta1 "kubevirt.io/api/clone/v1beta1"
	kubevirtv1 "kubevirt.io/api/core/v1"
	snapshotv1beta1 "kubevirt.io/api/snapshot/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"wukong.io/wukong/pkg/apis/wukong/v1alpha1"
)

// jobOf gives an empty object of the kind a verb becomes.
func jobOf(verb string) client.Object {
	switch verb {
	case v1alpha1.VerbClone:
		return &v1alpha1.CloneJob{}
	case v1alpha1.VerbExport:
		return &v1alpha1.ExportJob{}
	case v1alpha1.VerbRollback:
		return &v1alpha1.RollbackJob{}
	}
	return &snapshotv1beta1.VirtualMachineSnapshot{}
}

// requested reads the job of a request.
func requested(ctx context.Context, vm *kubevirtv1.VirtualMachine, verb, value string) (client.Object, error) {
	job := jobOf(verb)
	name := v1alpha1.RequestName(vm.Name, vm.UID, verb, value)
	if verb == v1alpha1.VerbSnapshot {
		name = value
	}
	err := shared.admin.Get(ctx, client.ObjectKey{Namespace: vm.Namespace, Name: name}, job)
	return job, err
}

// jobs counts the jobs of every kind in a namespace.
func jobs(ctx context.Context, namespace string) (names []string) {
	GinkgoHelper()
	for _, list := range []client.ObjectList{&v1alpha1.CloneJobList{}, &v1alpha1.ExportJobList{}, &v1alpha1.RollbackJobList{}} {
		Expect(shared.admin.List(ctx, list, client.InNamespace(namespace))).To(Succeed())
		switch l := list.(type) {
		case *v1alpha1.CloneJobList:
			for i := range l.Items {
				names = append(names, l.Items[i].Name)
			}
		case *v1alpha1.ExportJobList:
			for i := range l.Items {
				names = append(names, l.Items[i].Name)
			}
		case *v1alpha1.RollbackJobList:
			for i := range l.Items {
				names = append(names, l.Items[i].Name)
			}
		}
	}
	return names
}

var _ = Describe("A request by annotation", func() {
	for _, tc := range []struct{ verb, short, json string }{
		{v1alpha1.VerbClone, "copy", `{"source":{"mode":"Online"},"targets":{"namePrefix":"copies","count":2}}`},
		{v1alpha1.VerbExport, allowed + "/web:v1", `{"target":{"registry":{"image":"` + allowed + `/web:v2"}}}`},
		{v1alpha1.VerbRollback, "before", `{"snapshot":"before"}`},
		{v1alpha1.VerbSnapshot, "after", ""},
	} {
		It("becomes its job once, and reports back: "+tc.verb, func(ctx SpecContext) {
			namespace := newNamespace(ctx)
			allowAll(ctx, namespace)
			vm := newMachine(ctx, namespace, "web")
			if tc.verb == v1alpha1.VerbRollback {
				newSnapshot(ctx, vm, "before")
			}
			alice := as("alice", "team-a", "R&D")
			Expect(ask(ctx, alice, vm, tc.verb, tc.short)).To(Succeed())

			stamp, err := v1alpha1.ReadStamp(tc.verb, live(ctx, vm).Annotations)
			Expect(err).NotTo(HaveOccurred())
			Expect(stamp).To(MatchFields(IgnoreExtras, Fields{
				"User": Equal("alice"), "For": Equal(vm.UID), "Groups": ConsistOf("team-a", "R&D", "system:authenticated"),
				"At": BeTemporally("~", time.Now(), time.Minute),
			}))
			var job client.Object
			Eventually(ctx, func() error {
				job, err = requested(ctx, vm, tc.verb, tc.short)
				return err
			}).Should(Succeed())
			by, err := v1alpha1.ReadStamp("", job.GetAnnotations())
			Expect(err).NotTo(HaveOccurred())
			Expect(by.User).To(Equal("alice"))
			Expect(by.Groups).To(Equal(stamp.Groups))
			if tc.verb != v1alpha1.VerbSnapshot {
				Expect(metav1.IsControlledBy(job, vm)).To(BeTrue())
			}
			Eventually(ctx, lastOperation).WithArguments(vm).Should(MatchFields(IgnoreExtras, Fields{
				"Verb": Equal(tc.verb), "Value": Equal(tc.short), "Job": Equal(job.GetName()), "Phase": Not(BeEmpty()),
			}))

			By("asking the same again: nothing new")
			Expect(ask(ctx, alice, vm, tc.verb, tc.short)).To(Succeed())
			again, err := requested(ctx, vm, tc.verb, tc.short)
			Expect(err).NotTo(HaveOccurred())
			Expect(again.GetUID()).To(Equal(job.GetUID()))
			if tc.json == "" {
				return
			}
			By("asking by JSON: a new job")
			Expect(ask(ctx, alice, vm, tc.verb, tc.json)).To(Succeed())
			Eventually(ctx, func() error {
				_, err := requested(ctx, vm, tc.verb, tc.json)
				return err
			}).Should(Succeed())
			Expect(jobs(ctx, namespace)).To(HaveLen(2))
		}, SpecTimeout(patience))
	}

	It("is not carried out again when its job is deleted, until it has a new value", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		allowAll(ctx, namespace)
		vm := newMachine(ctx, namespace, "web")
		Expect(ask(ctx, as("alice"), vm, "clone", "one")).To(Succeed())
		var job client.Object
		Eventually(ctx, func() (err error) {
			job, err = requested(ctx, vm, "clone", "one")
			return err
		}).Should(Succeed())
		Eventually(ctx, lastOperation).WithArguments(vm).Should(HaveField("Job", job.GetName()))
		Expect(shared.admin.Delete(ctx, job)).To(Succeed())
		Eventually(ctx, lastOperation).WithArguments(vm).Should(HaveField("Phase", "Gone"))
		Expect(jobs(ctx, namespace)).To(BeEmpty())
		Expect(ask(ctx, as("alice"), vm, "clone", "two")).To(Succeed())
		Eventually(ctx, func() []string { return jobs(ctx, namespace) }).Should(
			ConsistOf(v1alpha1.RequestName(vm.Name, vm.UID, "clone", "two")))
	}, SpecTimeout(patience))

	It("is reported on although it could not be asked any more", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		allowAll(ctx, namespace)
		vm := newMachine(ctx, namespace, "web")
		value := `{"source":{"mode":"Offline"},"targets":{"name":"copy"}}`
		Expect(ask(ctx, as("alice"), vm, "clone", value)).To(Succeed())
		Eventually(ctx, lastOperation).WithArguments(vm).Should(HaveField("Phase", "Pending"))
		By("starting the machine, of which an Offline clone would be refused now")
		Expect(shared.admin.Status().Patch(ctx, live(ctx, vm), client.RawPatch(types.MergePatchType, []byte(`{"status":{"created":true}}`)))).To(Succeed())
		job, err := requested(ctx, vm, "clone", value)
		Expect(err).NotTo(HaveOccurred())
		Expect(shared.admin.Status().Patch(ctx, job, client.RawPatch(types.MergePatchType, []byte(`{"status":{"phase":"Restoring"}}`)))).To(Succeed())
		Eventually(ctx, lastOperation).WithArguments(vm).Should(MatchFields(IgnoreExtras, Fields{"Phase": Equal("Restoring"), "Job": Equal(job.GetName())}))
	}, SpecTimeout(patience))

	It("is dropped with a warning when a machine is created with it", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		allowAll(ctx, namespace)
		heard := &ears{}
		vm := machine(namespace, "web")
		vm.Annotations = map[string]string{"wukong.io/clone": "copy", "wukong.io/requested-by.clone": "root", "wukong.io/last-operation": "{}", "mine": "kept"}
		Expect(asWith("alice", heard).Create(ctx, vm)).To(Succeed())
		Expect(heard.all()).To(ContainElement(ContainSubstring(`metadata.annotations[wukong.io/clone]: "copy" was dropped`)))
		Expect(live(ctx, vm).Annotations).To(HaveKey("mine"))
		Expect(keysOfOurs(live(ctx, vm))).To(BeEmpty())
	}, SpecTimeout(patience))

	It("does not fire from a copy of its machine", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		allowAll(ctx, namespace)
		vm := newMachine(ctx, namespace, "web")
		Expect(ask(ctx, as("alice"), vm, "snapshot", "asked")).To(Succeed())
		Eventually(ctx, func() error {
			_, err := requested(ctx, vm, "snapshot", "asked")
			return err
		}).Should(Succeed())
		clone := &clonev1beta1.VirtualMachineClone{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "copying"}}
		clone.Spec.Source = machineRef("web")
		clone.Spec.Target = machineRef("web-copy")
		Expect(cloneClient(ctx).Create(ctx, clone)).To(Succeed())
		restored := &kubevirtv1.VirtualMachine{}
		Eventually(ctx, func() error {
			return shared.admin.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "web-copy"}, restored)
		}).Should(Succeed())
		Expect(keysOfOurs(restored)).To(BeEmpty(), "the copy asks for nothing")
		By("restoring a snapshot of it as another machine, and in place")
		for name, target := range map[string]string{"elsewhere": "web-restored", "in-place": "web"} {
			restore := &snapshotv1beta1.VirtualMachineRestore{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
			restore.Spec.Target = *machineRef(target)
			restore.Spec.VirtualMachineSnapshotName = "asked"
			Eventually(ctx, func() error { return shared.admin.Create(ctx, restore) }).Should(Succeed())
			Eventually(ctx, func() (bool, error) {
				err := shared.admin.Get(ctx, client.ObjectKeyFromObject(restore), restore)
				return restore.Status != nil && restore.Status.Complete != nil && *restore.Status.Complete, err
			}).Should(BeTrue())
		}
		Expect(shared.admin.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "web-restored"}, restored)).To(Succeed())
		Expect(keysOfOurs(restored)).To(BeEmpty(), "the restored machine asks for nothing")
		Expect(live(ctx, vm).Annotations).To(HaveKeyWithValue("wukong.io/snapshot", "asked"))
		Consistently(ctx, func() []string { return jobs(ctx, namespace) }, "1s").Should(BeEmpty())
	}, SpecTimeout(patience))

	It("names a job of the same name that is somebody else's", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		allowAll(ctx, namespace)
		vm := newMachine(ctx, namespace, "web")
		foreign := &v1alpha1.CloneJob{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: v1alpha1.RequestName("web", vm.UID, "clone", "copy")}}
		foreign.Spec.Source.VirtualMachine = &v1alpha1.NamespacedName{Name: "other"}
		foreign.Spec.Targets.Name = "elsewhere"
		Expect(as("alice").Create(ctx, foreign)).To(Succeed())
		Expect(ask(ctx, as("alice"), vm, "clone", "copy")).To(Succeed())
		Eventually(ctx, lastOperation).WithArguments(vm).Should(MatchFields(IgnoreExtras, Fields{
			"Phase":   Equal("Refused"),
			"Message": Equal(fmt.Sprintf("%q exists already and was not made for this request: ask under another name", foreign.Name)),
		}))
	}, SpecTimeout(patience))
})
