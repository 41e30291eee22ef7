package admission

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	kubevirtv1 "kubevirt.io/api/core/v1"
	snapshotv1beta1 "kubevirt.io/api/snapshot/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"wukong.io/wukong/pkg/apis/wukong/v1alpha1"
)

// The people of the attempts. Alice may do everything in her namespace; mallory may edit machines and no more; jim
// may make jobs, and no more.
const (
	alice   = "alice"
	mallory = "mallory"
	jim     = "jim"
)

// attempt is one try to have something done that one may not do.
type attempt struct {
	name string
	// like is the class of flaw that it is modelled on.
	like string
	do   func(ctx context.Context, w *bypassWorld, vm *kubevirtv1.VirtualMachine) error
	// inert attempts are let through, or not, and come to nothing either way; others must be refused.
	inert bool
}

// bypassWorld is where attempts are made: a namespace, and another that nobody of them has any right in.
type bypassWorld struct {
	namespace, other    string
	alice, mallory, jim client.Client
}

func newBypassWorld(ctx context.Context) *bypassWorld {
	GinkgoHelper()
	w := &bypassWorld{namespace: newNamespace(ctx), other: newNamespace(ctx), alice: as(alice), mallory: as(mallory), jim: as(jim)}
	grant(ctx, w.namespace, editMachines(), user(mallory), user("system:serviceaccount:kubevirt-evil:x"), user("system:serviceaccount:kubevirt"),
		user("system:serviceaccount:wukong-system:wukong-controllers2"), user("System:serviceaccount:wukong-system:wukong-controllers"))
	grant(ctx, w.namespace, right{verbs: []string{"patch", "update"}, group: "kubevirt.io", resource: "virtualmachines/status"}, user(mallory))
	for _, resource := range []string{"clonejobs", "exportjobs", "importjobs", "rollbackjobs"} {
		grant(ctx, w.namespace, makeJobs(resource), user(jim))
		grant(ctx, w.namespace, right{verbs: []string{"patch", "update"}, group: "wukong.io", resource: resource + "/status"}, user(jim))
	}
	newMachine(ctx, w.other, "victim")
	allowAll(ctx, w.namespace)
	return w
}

// stampFor forges a stamp.
func stampFor(verb, who string, uid types.UID, groups ...string) map[string]any {
	forged := v1alpha1.Stamp{User: who, Groups: groups, For: uid}.Annotations(verb)
	all := map[string]any{}
	for key, value := range forged {
		all[key] = value
	}
	return all
}

func merged(parts ...map[string]any) map[string]any {
	all := map[string]any{}
	for _, part := range parts {
		maps.Copy(all, part)
	}
	return all
}

func requests() map[string]string {
	return map[string]string{"clone": "copy", "export": allowed + "/web:v1", "rollback": "before", "snapshot": "stolen"}
}

// patchers are the ways to change annotations.
func patchers() map[string]func(ctx context.Context, c client.Client, vm *kubevirtv1.VirtualMachine, annotations map[string]any) error {
	return map[string]func(context.Context, client.Client, *kubevirtv1.VirtualMachine, map[string]any) error{
		"merge patch": func(ctx context.Context, c client.Client, vm *kubevirtv1.VirtualMachine, annotations map[string]any) error {
			err := annotate(ctx, c, vm, annotations)
			return err
		},
		"JSON patch": func(ctx context.Context, c client.Client, vm *kubevirtv1.VirtualMachine, annotations map[string]any) error {
			body, err := json.Marshal([]map[string]any{{"op": "add", "path": "/metadata/annotations", "value": annotations}})
			if err != nil {
				return err
			}
			return c.Patch(ctx, &kubevirtv1.VirtualMachine{ObjectMeta: metav1.ObjectMeta{Namespace: vm.Namespace, Name: vm.Name}}, client.RawPatch(types.JSONPatchType, body))
		},
		"strategic patch": func(ctx context.Context, c client.Client, vm *kubevirtv1.VirtualMachine, annotations map[string]any) error {
			body, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": annotations}})
			if err != nil {
				return err
			}
			return c.Patch(ctx, &kubevirtv1.VirtualMachine{ObjectMeta: metav1.ObjectMeta{Namespace: vm.Namespace, Name: vm.Name}}, client.RawPatch(types.StrategicMergePatchType, body))
		},
		"forced apply": func(ctx context.Context, c client.Client, vm *kubevirtv1.VirtualMachine, annotations map[string]any) error {
			return c.Apply(ctx, client.ApplyConfigurationFromUnstructured(applied(vm, annotations)), client.FieldOwner(v1alpha1.RequestFieldManager), client.ForceOwnership)
		},
		"update": func(ctx context.Context, c client.Client, vm *kubevirtv1.VirtualMachine, annotations map[string]any) error {
			now := &kubevirtv1.VirtualMachine{}
			if err := shared.admin.Get(ctx, client.ObjectKeyFromObject(vm), now); err != nil {
				return err
			}
			for key, value := range annotations {
				metav1.SetMetaDataAnnotation(&now.ObjectMeta, key, fmt.Sprint(value))
			}
			return c.Update(ctx, now)
		},
	}
}

// byMallory are attempts of somebody who may only edit machines: every verb, by every kind of write, plain, with a
// stamp of somebody who may, and with a true stamp of mallory herself.
func byMallory() (all []attempt) {
	for verb, value := range requests() {
		for how, change := range patchers() {
			for _, forged := range []string{"", alice, "system:admin", mallory} {
				all = append(all, attempt{
					name: fmt.Sprintf("%s by %s with the stamp of %q", verb, how, forged), like: "cert-manager requester stamps; CVE-2025-14459",
					do: func(ctx context.Context, w *bypassWorld, vm *kubevirtv1.VirtualMachine) error {
						annotations := map[string]any{"wukong.io/" + verb: value}
						if forged != "" {
							annotations = merged(annotations, stampFor(verb, forged, vm.UID, "system:masters", "system:authenticated"))
						}
						return change(ctx, w.mallory, vm, annotations)
					},
				})
			}
		}
	}
	for _, who := range []string{
		"system:serviceaccount:kubevirt-evil:x", "system:serviceaccount:kubevirt",
		"system:serviceaccount:wukong-system:wukong-controllers2", "System:serviceaccount:wukong-system:wukong-controllers",
	} {
		all = append(all, attempt{
			name: "clone as " + who, like: "CVE-2025-64432: identities compared by a part of them",
			do: func(ctx context.Context, _ *bypassWorld, vm *kubevirtv1.VirtualMachine) error {
				err := annotate(ctx, as(who), vm, merged(map[string]any{"wukong.io/clone": "copy"}, stampFor("clone", alice, vm.UID)))
				return err
			},
		})
	}
	return append(all, malloryOnly()...)
}

func malloryOnly() []attempt {
	annotating := func(annotations map[string]any) func(context.Context, *bypassWorld, *kubevirtv1.VirtualMachine) error {
		return func(ctx context.Context, w *bypassWorld, vm *kubevirtv1.VirtualMachine) error {
			err := annotate(ctx, w.mallory, vm, annotations)
			return err
		}
	}
	creating := func(name string, change func(*kubevirtv1.VirtualMachine)) attempt {
		return attempt{
			name: name, like: "Velero and VirtualMachineClone copying annotations; O2", inert: true,
			do: func(ctx context.Context, w *bypassWorld, vm *kubevirtv1.VirtualMachine) error {
				made := machine(w.namespace, "made-"+vm.Name)
				made.Annotations = map[string]string{"wukong.io/clone": "copy", "wukong.io/export": allowed + "/x:1"}
				for key, value := range stampFor("clone", alice, vm.UID) {
					made.Annotations[key] = fmt.Sprint(value)
				}
				change(made)
				return w.mallory.Create(ctx, made)
			},
		}
	}
	return []attempt{
		{name: "last-operation forged", like: "reserved keys", inert: true, do: annotating(map[string]any{"wukong.io/last-operation": `{"phase":"Succeeded"}`})},
		{name: "handled forged", like: "reserved keys", inert: true, do: annotating(map[string]any{"wukong.io/handled.clone": "x"})},
		{name: "a stamp without a request", like: "reserved keys", inert: true, do: annotating(stampFor("clone", alice, "any"))},
		{name: "a stamp of no verb", like: "reserved keys", inert: true, do: annotating(stampFor("", alice, ""))},
		{name: "key in another case", like: "CVE-2026-22039: names compared without normalising", inert: true, do: annotating(map[string]any{"wukong.io/Clone": "copy", "WUKONG.IO/clone": "copy"})},
		{name: "key of another domain", like: "look-alike names", inert: true, do: annotating(map[string]any{"wukong.io.evil.example/clone": "copy", "x.wukong.io/clone": "copy"})},
		{name: "key with a homoglyph", like: "look-alike names", do: annotating(map[string]any{"wukong.io/сlone": "copy"})},
		{name: "binding to a policy", like: "O3", do: annotating(map[string]any{"wukong.io/snapshot-policy": "nightly"})},
		{name: "binding to a policy on creation", like: "O3", do: func(ctx context.Context, w *bypassWorld, vm *kubevirtv1.VirtualMachine) error {
			made := machine(w.namespace, "bound-"+vm.Name)
			made.Annotations = map[string]string{"wukong.io/snapshot-policy": "nightly"}
			return w.mallory.Create(ctx, made)
		}},
		{name: "status by patch", like: "CVE-2023-34091: subresources unchecked", inert: true, do: func(ctx context.Context, w *bypassWorld, vm *kubevirtv1.VirtualMachine) error {
			body := `{"metadata":{"annotations":{"wukong.io/clone":"copy"}}}`
			return w.mallory.Status().Patch(ctx, vm.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(body)))
		}},
		{name: "status by update", like: "CVE-2023-34091: subresources unchecked", inert: true, do: func(ctx context.Context, w *bypassWorld, vm *kubevirtv1.VirtualMachine) error {
			now := vm.DeepCopy()
			now.ResourceVersion = ""
			now.Annotations = map[string]string{"wukong.io/clone": "copy"}
			return w.mallory.Status().Update(ctx, now)
		}},
		{name: "a machine said to be deleted", like: "CVE-2023-34091: deletionTimestamp bypasses", do: func(ctx context.Context, w *bypassWorld, vm *kubevirtv1.VirtualMachine) error {
			body := `{"metadata":{"deletionTimestamp":"2026-01-01T00:00:00Z","annotations":{"wukong.io/clone":"copy"}}}`
			return w.mallory.Patch(ctx, vm.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(body)))
		}},
		{name: "a machine being deleted", like: "CVE-2023-34091: deletionTimestamp bypasses", do: func(ctx context.Context, w *bypassWorld, vm *kubevirtv1.VirtualMachine) error {
			if _, err := annotateFinalizer(ctx, vm); err != nil {
				return err
			}
			if err := shared.admin.Delete(ctx, vm.DeepCopy()); err != nil {
				return err
			}
			err := annotate(ctx, w.mallory, vm, map[string]any{"wukong.io/clone": "copy"})
			return err
		}},
		{name: "in a dry run", like: "CVE-2026-30963: dry runs unchecked", do: func(ctx context.Context, w *bypassWorld, vm *kubevirtv1.VirtualMachine) error {
			return ask(ctx, w.mallory, vm, "clone", "copy", client.DryRunAll)
		}},
		creating("created with requests and alice's stamp", func(*kubevirtv1.VirtualMachine) {}),
		creating("created with requests by generateName", func(vm *kubevirtv1.VirtualMachine) { vm.GenerateName, vm.Name = "made-", "" }),
		creating("created with requests, said to be deleted", func(vm *kubevirtv1.VirtualMachine) { now := metav1.Now(); vm.DeletionTimestamp = &now }),
		creating("created with requests and a UID of its own", func(vm *kubevirtv1.VirtualMachine) { vm.UID = "11111111-1111-1111-1111-111111111111" }),
		creating("created with requests and an owner", func(vm *kubevirtv1.VirtualMachine) {
			vm.OwnerReferences = []metav1.OwnerReference{{APIVersion: "wukong.io/v1alpha1", Kind: "CloneJob", Name: "x", UID: "x"}}
		}),
		creating("created with requests and opted out", func(vm *kubevirtv1.VirtualMachine) { vm.Labels = map[string]string{"wukong.io/managed": "false"} }),
	}
}

func annotateFinalizer(ctx context.Context, vm *kubevirtv1.VirtualMachine) (*kubevirtv1.VirtualMachine, error) {
	body := `{"metadata":{"finalizers":["test.wukong.io/stay"]}}`
	changed := vm.DeepCopy()
	err := shared.admin.Patch(ctx, changed, client.RawPatch(types.MergePatchType, []byte(body)))
	DeferCleanup(func(ctx SpecContext) error {
		return client.IgnoreNotFound(shared.admin.Patch(ctx, vm.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))))
	}, NodeTimeout(patience))
	return changed, err
}

// byAlice are attempts of somebody who may ask, to reach further than they may.
func byAlice() (all []attempt) {
	asking := func(name, like, verb, value string) attempt {
		return attempt{name: name, like: like, do: func(ctx context.Context, w *bypassWorld, vm *kubevirtv1.VirtualMachine) error {
			return ask(ctx, w.alice, vm, verb, strings.ReplaceAll(value, "OTHER", w.other))
		}}
	}
	for name, value := range map[string]string{
		"a trailing space": "copy ", "a leading space": " copy", "a line break": "copy\n", "a tab": "co\tpy", "a zero-width space": "co\u200bpy",
		"a right-to-left mark": "copy\u202e", "a homoglyph": "сopy", "full-width letters": "ｃｏｐｙ", "capital letters": "Copy", "a path": "../copy", "a slash": "other/copy",
		"a NUL": "copy\x00", "nothing": "", "a template": "{{.Name}}", "64 characters": strings.Repeat("a", 64), "17 KiB": strings.Repeat("a", 17<<10), "a list": `["copy"]`,
	} {
		all = append(all, asking("clone to a name with "+name, "CVE-2026-33022, CVE-2026-40886: values parsed loosely", "clone", value))
	}
	for name, value := range map[string]string{
		"into another namespace":         `{"source":{"mode":"Online"},"targets":{"name":"copy","namespace":"OTHER"}}`,
		"into another, as a doubled key": `{"source":{"mode":"Online"},"targets":{"name":"copy"},"targets":{"name":"copy","namespace":"OTHER"}}`,
		"into another, in another case":  `{"source":{"mode":"Online"},"targets":{"name":"copy","Namespace":"OTHER"}}`,
		"into another, escaped":          `{"source":{"mode":"Online"},"targets":{"name":"copy","n\u0061mespace":"OTHER"}}`,
		"of another's machine":           `{"source":{"mode":"Online","virtualMachine":{"name":"victim","namespace":"OTHER"}},"targets":{"name":"copy"}}`,
		"of another's snapshot":          `{"source":{"snapshot":{"name":"victim","namespace":"OTHER"}},"targets":{"name":"copy"}}`,
		"with an unknown key":            `{"source":{"mode":"Online"},"targets":{"name":"copy"},"serviceAccountName":"admin"}`,
		"with more behind it":            `{"source":{"mode":"Online"},"targets":{"name":"copy"}}{"targets":{"namespace":"OTHER"}}`,
		"with a comment":                 "{/*x*/\"source\":{\"mode\":\"Online\"},\"targets\":{\"name\":\"copy\"}}",
		"a million times":                `{"source":{"mode":"Online"},"targets":{"namePrefix":"copy","count":1000000}}`,
		"to minus one":                   `{"source":{"mode":"Online"},"targets":{"namePrefix":"copy","start":-1}}`,
	} {
		all = append(all, asking("clone "+name, "CVE-2026-41068: cross-namespace by a value; parse once", "clone", value))
	}
	for name, value := range map[string]string{
		"elsewhere": "evil.example/vms/web:v1", "to a longer path": allowed + "evil/web:v1", "to a path with dots": allowed + "/../../evil:v1",
		"to a host in front": "registry.example.com@evil.example/vms/web:v1", "to a port": "registry.example.com:5000/vms/web:v1", "by a URL": "http://" + allowed + "/web:v1",
		"to no registry": "web:v1", "to the loopback": "127.0.0.1:5000/web:v1", "to the metadata": "169.254.169.254/web:v1",
		"to a fragment": allowed + "/web:v1#@evil.example", "to an encoded path": allowed + "/%2e%2e/evil:v1",
	} {
		all = append(all, asking("export "+name, "CVE-2026-50151: destinations compared by a part", "export", value))
	}
	for name, value := range map[string]string{
		"registry Secret": `{"target":{"registry":{"image":"` + allowed + `/web:v1","secretName":"admin-token"}}}`,
		"S3 Secret":       `{"target":{"s3":{"endpoint":"https://s3.example.com","bucket":"vms","secretName":"admin-token"}}}`,
		"Secret by path":  `{"target":{"registry":{"image":"` + allowed + `/web:v1","secretName":"../kube-system/admin-token"}}}`,
	} {
		all = append(all, asking("export with a "+name+" she may not read", "CVE-2020-1701; cert-manager's threat model", "export", value))
	}
	return append(all,
		asking("rollback to another machine's snapshot", "confused deputy", "rollback", "nobody"),
		asking("rollback of another machine", "confused deputy", "rollback", `{"virtualMachine":"victim","snapshot":"before"}`),
		attempt{name: "export to the same host in capitals", like: "destinations compared by a part", inert: true, do: func(ctx context.Context, w *bypassWorld, vm *kubevirtv1.VirtualMachine) error {
			return ask(ctx, w.alice, vm, "export", "REGISTRY.example.com/vms/web:v1")
		}},
		attempt{name: "two requests, of which one is not allowed", like: "partial checks", do: func(ctx context.Context, w *bypassWorld, vm *kubevirtv1.VirtualMachine) error {
			err := annotate(ctx, w.alice, vm, map[string]any{"wukong.io/snapshot": "fine", "wukong.io/export": "evil.example/x:1"})
			return err
		}},
	)
}

// pending are attempts on a machine on which alice has asked for something.
func pending() []attempt {
	changing := func(name string, annotations map[string]any) attempt {
		return attempt{name: "alice's request: " + name, like: "stamps bound to user, machine and value", inert: true, do: func(ctx context.Context, w *bypassWorld, vm *kubevirtv1.VirtualMachine) error {
			before := live(ctx, vm)
			err := annotate(ctx, w.mallory, vm, annotations)
			after := live(ctx, vm)
			for _, key := range append(v1alpha1.StampKeys("clone").All(), "wukong.io/clone", "wukong.io/handled.clone") {
				if before.Annotations[key] != after.Annotations[key] {
					return fmt.Errorf("ESCAPED: %s was %q, is %q", key, before.Annotations[key], after.Annotations[key])
				}
			}
			return err
		}}
	}
	all := []attempt{
		changing("another value", map[string]any{"wukong.io/clone": "theirs"}),
		changing("another value, alice's stamp", merged(map[string]any{"wukong.io/clone": "theirs"}, stampFor("clone", alice, ""))),
		changing("handled taken away", map[string]any{"wukong.io/handled.clone": nil}),
		changing("handled replaced", map[string]any{"wukong.io/handled.clone": "x"}),
	}
	for _, key := range v1alpha1.StampKeys("clone").All() {
		all = append(all, changing(key+" taken away", map[string]any{key: nil}), changing(key+" replaced", map[string]any{key: mallory}))
	}
	return all
}

var _ = Describe("Attempts to have done what one may not do", Label("bypass"), func() {
	run := func(ctx SpecContext, attempts []attempt, asked bool, stop func()) {
		w := newBypassWorld(ctx)
		slices.SortFunc(attempts, func(a, b attempt) int { return strings.Compare(a.name, b.name) })
		machines := make([]*kubevirtv1.VirtualMachine, len(attempts))
		legitimate := []string{}
		for i := range attempts {
			machines[i] = newMachine(ctx, w.namespace, fmt.Sprintf("m%d", i))
			if asked {
				Expect(ask(ctx, w.alice, machines[i], "clone", "hers")).To(Succeed())
				legitimate = append(legitimate, v1alpha1.RequestName(machines[i].Name, machines[i].UID, "clone", "hers"))
			}
		}
		if asked {
			Eventually(func() int { return len(jobs(ctx, w.namespace)) }).Should(Equal(len(attempts)))
			for _, vm := range machines {
				Eventually(ctx, lastOperation).WithArguments(vm).Should(HaveField("Verb", "clone"))
			}
			// The jobs are gone, so that a request carried out again would show.
			Expect(shared.admin.DeleteAllOf(ctx, &v1alpha1.CloneJob{}, client.InNamespace(w.namespace))).To(Succeed())
			legitimate = legitimate[:0]
		}
		stop()
		var wrong failures
		refused := 0
		for i, a := range attempts {
			err := a.do(ctx, w, machines[i])
			switch {
			case err != nil && strings.Contains(err.Error(), "ESCAPED"):
				wrong.add("%s (%s): %v", a.name, a.like, err)
			case err == nil && !a.inert:
				wrong.add("%s (%s): was let through", a.name, a.like)
			case err != nil:
				refused++
			}
		}
		Expect(wrong.all()).To(BeEmpty())
		Consistently(func() []string { return jobs(ctx, w.namespace) }, "2s", "500ms").Should(ConsistOf(legitimate), "nothing was carried out")
		Expect(jobs(ctx, w.other)).To(BeEmpty())
		snapshots := &snapshotv1beta1.VirtualMachineSnapshotList{}
		Expect(shared.admin.List(ctx, snapshots, client.InNamespace(w.namespace))).To(Succeed())
		Expect(snapshots.Items).To(BeEmpty(), "no snapshot was taken")
		AddReportEntry("attempts", fmt.Sprintf("%d made, %d refused, %d came to nothing", len(attempts), refused, len(attempts)-refused))
	}
	all := func() []attempt { return slices.Concat(byMallory(), byAlice(), byJim()) }

	It("come to nothing", func(ctx SpecContext) {
		run(ctx, all(), false, func() {})
	}, SpecTimeout(5*patience))
	It("come to nothing with the webhook down", func(ctx SpecContext) {
		run(ctx, all(), false, func() { down(ctx) })
	}, SpecTimeout(5*patience))
	It("come to nothing on a request of somebody who may", func(ctx SpecContext) {
		run(ctx, pending(), true, func() {})
	}, SpecTimeout(5*patience))
	It("come to nothing on a request of somebody who may, with the webhook down", func(ctx SpecContext) {
		run(ctx, pending(), true, func() { down(ctx) })
	}, SpecTimeout(5*patience))

	It("does not take a group's name apart", func(ctx SpecContext) {
		w := newBypassWorld(ctx)
		vm := newMachine(ctx, w.namespace, "web")
		down(ctx)
		forger := as(alice, `a","system:masters`)
		// What a policy that pastes group names together would take for the groups of this user.
		err := annotate(ctx, forger, vm, merged(map[string]any{"wukong.io/clone": "copy"}, map[string]any{
			"wukong.io/requested-by.clone": alice, "wukong.io/requested-uid.clone": "", "wukong.io/requested-for.clone": string(vm.UID),
			"wukong.io/requested-at.clone": "2026-01-01T00:00:00Z", "wukong.io/requested-groups.clone": `["a","system:masters","system:authenticated"]`,
		}))
		Expect(err).To(MatchError(ContainSubstring("carries no stamp of user")))
	}, SpecTimeout(patience))
})
