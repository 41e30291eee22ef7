package admission

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/util/retry"
	kubevirtv1 "kubevirt.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"wukong.io/wukong/pkg/apis/wukong/v1alpha1"
)

// rights are what a user of the matrix may do, a bit each.
type rights uint8

const (
	mayEdit   rights = 1 << iota // edit machines in the source namespace
	mayMake                      // create jobs, and snapshots, there
	mayCopy                      // create datavolumes/source there
	mayTarget                    // create machines in the other namespace
	mayRead                      // read Secret push in the source namespace
	allRights = 1<<iota - 1
)

func (r rights) has(want rights) bool { return r&want == want }

func (r rights) user() string { return fmt.Sprintf("user-%05b", r) }

// path is a way to ask.
type path struct {
	name string
	// do asks, in a dry run, as a user.
	do func(ctx context.Context, c client.Client, w *matrixWorld, request matrixRequest) error
	// needs is what RBAC itself wants for the call.
	needs rights
	// inert paths change nothing that Wukong heeds.
	inert bool
}

// matrixRequest is what is asked for.
type matrixRequest struct {
	name, verb, value string
	// job makes the job that says the same; nil if the request has none.
	job func(namespace string) client.Object
	// needs is what Wukong wants beside RBAC, worked out by hand.
	needs rights
}

// matrixWorld is where the matrix is asked: a machine in a source namespace.
type matrixWorld struct {
	namespace, other string
	vm               *kubevirtv1.VirtualMachine
	// strong says that the namespace's ServiceAccount may do everything.
	strong bool
}

func matrixRequests(other string) []matrixRequest {
	cloneJob := func(target string) func(string) client.Object {
		return func(namespace string) client.Object {
			job := &v1alpha1.CloneJob{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "job-"}}
			job.Spec.Source = v1alpha1.CloneSource{VirtualMachine: &v1alpha1.NamespacedName{Name: "web"}, Mode: v1alpha1.CloneOnline}
			job.Spec.Targets = v1alpha1.CloneTargets{Name: "copy", Namespace: target}
			return job
		}
	}
	exportJob := func(secret string) func(string) client.Object {
		return func(namespace string) client.Object {
			job := &v1alpha1.ExportJob{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "job-"}}
			job.Spec.Source.VirtualMachine = "web"
			job.Spec.Target.Registry = &v1alpha1.RegistryTarget{Image: allowed + "/web:v1", SecretName: secret}
			return job
		}
	}
	return []matrixRequest{
		{name: "clone", verb: "clone", value: "copy", job: cloneJob(""), needs: mayMake},
		{name: "clone by JSON", verb: "clone", value: `{"source":{"mode":"Online"},"targets":{"name":"copy"}}`, needs: mayMake},
		{
			name: "clone into another namespace", verb: "clone", value: `{"source":{"mode":"Online"},"targets":{"name":"copy","namespace":"` + other + `"}}`,
			job: cloneJob(other), needs: mayMake | mayTarget,
		},
		{name: "export", verb: "export", value: allowed + "/web:v1", job: exportJob(""), needs: mayMake},
		{
			name: "export with a Secret", verb: "export", value: `{"target":{"registry":{"image":"` + allowed + `/web:v1","secretName":"push"}}}`,
			job: exportJob("push"), needs: mayMake | mayRead,
		},
		{
			name: "rollback", verb: "rollback", value: "before", needs: mayMake,
			job: func(namespace string) client.Object {
				job := &v1alpha1.RollbackJob{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "job-"}}
				job.Spec.VirtualMachine, job.Spec.Snapshot = "web", "before"
				return job
			},
		},
		{
			name: "snapshot", verb: "snapshot", value: "after", needs: mayMake,
			job: func(namespace string) client.Object {
				snapshot := snapshotOf(machine(namespace, "web"), "after")
				return snapshot
			},
		},
	}
}

func matrixPaths() []path {
	annotations := func(request matrixRequest) map[string]any {
		return map[string]any{v1alpha1.RequestAnnotation(request.verb): request.value}
	}
	return []path{
		{name: "annotation by merge patch", needs: mayEdit, do: func(ctx context.Context, c client.Client, w *matrixWorld, request matrixRequest) error {
			err := annotate(ctx, c, w.vm, annotations(request), client.DryRunAll)
			return err
		}},
		{name: "annotation by apply", needs: mayEdit, do: func(ctx context.Context, c client.Client, w *matrixWorld, request matrixRequest) error {
			return c.Apply(ctx, client.ApplyConfigurationFromUnstructured(applied(w.vm, annotations(request))), client.FieldOwner("matrix"), client.ForceOwnership, client.DryRunAll)
		}},
		{name: "annotation by update", needs: mayEdit, do: func(ctx context.Context, c client.Client, w *matrixWorld, request matrixRequest) error {
			return retry.RetryOnConflict(retry.DefaultRetry, func() error {
				vm := &kubevirtv1.VirtualMachine{}
				if err := shared.admin.Get(ctx, client.ObjectKeyFromObject(w.vm), vm); err != nil {
					return err
				}
				metav1.SetMetaDataAnnotation(&vm.ObjectMeta, v1alpha1.RequestAnnotation(request.verb), request.value)
				return c.Update(ctx, vm, client.DryRunAll)
			})
		}},
		{name: "job object", needs: mayMake, do: func(ctx context.Context, c client.Client, w *matrixWorld, request matrixRequest) error {
			return c.Create(ctx, request.job(w.namespace), client.DryRunAll)
		}},
		{name: "status", needs: mayEdit, inert: true, do: func(ctx context.Context, c client.Client, w *matrixWorld, request matrixRequest) error {
			body, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": annotations(request)}})
			if err != nil {
				return err
			}
			vm := &kubevirtv1.VirtualMachine{ObjectMeta: metav1.ObjectMeta{Namespace: w.vm.Namespace, Name: w.vm.Name}}
			if err := c.Status().Patch(ctx, vm, client.RawPatch("application/merge-patch+json", body), client.DryRunAll); err != nil {
				return err
			}
			if keys := keysOfOurs(vm); len(keys) > 0 {
				return fmt.Errorf("the status path set %q", keys)
			}
			return nil
		}},
	}
}

// applied is an apply configuration of a machine that sets annotations alone.
func applied(vm *kubevirtv1.VirtualMachine, annotations map[string]any) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"annotations": annotations}}}
	u.SetGroupVersionKind(kubevirtv1.VirtualMachineGroupVersionKind)
	u.SetNamespace(vm.Namespace)
	u.SetName(vm.Name)
	return u
}

// model says whether a cell must be let through. It knows nothing of how that is done. The ServiceAccount of the
// namespace, and how strong it is, does not come into it: that is the point of asking.
func model(r rights, p path, request matrixRequest) bool {
	if p.inert {
		return r.has(p.needs)
	}
	// A copy into another namespace leaves the source's: the source must consent, whichever the path. A job whose
	// source is in its own namespace reads nothing of another's; making machines elsewhere is what it must be allowed.
	wanted := request.needs | p.needs
	if request.needs.has(mayTarget) {
		wanted |= mayCopy
	}
	return r.has(wanted)
}

// newMatrixWorld makes a source namespace, a machine with a snapshot, and users of all combinations of rights.
func newMatrixWorld(ctx context.Context, strong bool) *matrixWorld {
	GinkgoHelper()
	w := &matrixWorld{namespace: newNamespace(ctx), other: newNamespace(ctx), strong: strong}
	w.vm = newMachine(ctx, w.namespace, "web")
	newSnapshot(ctx, w.vm, "before")
	w.vm = live(ctx, w.vm)
	status := right{verbs: []string{"patch"}, group: "kubevirt.io", resource: "virtualmachines/status"}
	having := func(r rights) (subjects []rbacv1.Subject) {
		for all := range rights(allRights + 1) {
			if all.has(r) {
				subjects = append(subjects, user(all.user()))
			}
		}
		return subjects
	}
	for r, given := range map[rights][]right{
		mayEdit: {editMachines(), status}, mayCopy: {copyDisks()}, mayRead: {readPush()},
		mayMake: {makeJobs("clonejobs"), makeJobs("exportjobs"), makeJobs("rollbackjobs"), makeSnapshot()},
	} {
		for _, g := range given {
			grant(ctx, w.namespace, g, having(r)...)
		}
	}
	grant(ctx, w.other, makeMachines(), having(mayTarget)...)
	if strong {
		for _, namespace := range []string{w.namespace, w.other} {
			binding := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "strong"}}
			binding.RoleRef = rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"}
			binding.Subjects = []rbacv1.Subject{account(w.namespace, "default")}
			Expect(shared.admin.Create(ctx, binding)).To(Succeed())
		}
	}
	settled(ctx, w.namespace, rights(allRights).user(), "wukong.io", "clonejobs")
	return w
}

// cell is one question and what was answered.
type cell struct {
	w       *matrixWorld
	r       rights
	p       path
	request matrixRequest
}

func (c cell) String() string {
	return fmt.Sprintf("%s, %s, as %s (edit machines, make jobs, copy disks, target, read Secret from right to left), ServiceAccount strong=%t",
		c.request.name, c.p.name, c.r.user(), c.w.strong)
}

// each asks every cell, several at a time, and calls back with the answer.
func each(ctx context.Context, cells []cell, answered func(c cell, err error)) {
	GinkgoHelper()
	clients := map[rights]client.Client{}
	for r := range rights(allRights + 1) {
		clients[r] = as(r.user())
	}
	var wg sync.WaitGroup
	queue := make(chan cell)
	for range 4 {
		wg.Go(func() {
			for c := range queue {
				answered(c, c.p.do(ctx, clients[c.r], c.w, c.request))
			}
		})
	}
	for _, c := range cells {
		queue <- c
	}
	close(queue)
	wg.Wait()
}

func matrixCells(worlds ...*matrixWorld) (cells []cell) {
	for _, w := range worlds {
		for r := range rights(allRights + 1) {
			for _, p := range matrixPaths() {
				for _, request := range matrixRequests(w.other) {
					if p.name == "job object" && request.job == nil {
						continue
					}
					cells = append(cells, cell{w: w, r: r, p: p, request: request})
				}
			}
		}
	}
	return cells
}

var _ = Describe("Who may ask", Label("matrix"), func() {
	It("is answered as the model says in every cell of the matrix", func(ctx SpecContext) {
		cells := matrixCells(newMatrixWorld(ctx, false), newMatrixWorld(ctx, true))
		Expect(len(cells)).To(BeNumerically(">=", 500))
		var wrong failures
		var let atomic.Int32
		each(ctx, cells, func(c cell, err error) {
			want := model(c.r, c.p, c.request)
			switch {
			case want && err != nil:
				wrong.add("%s: must be let through, found: %v", c, err)
			case !want && err == nil:
				wrong.add("%s: must be refused, and was let through", c)
			case err != nil && !apierrors.IsForbidden(err):
				wrong.add("%s: must be refused as Forbidden, found %v", c, err)
			case err == nil:
				let.Add(1)
			}
		})
		Expect(wrong.all()).To(BeEmpty())
		AddReportEntry("cells", fmt.Sprintf("%d asked, %d let through, as the model says", len(cells), let.Load()))
	}, SpecTimeout(10*patience))

	It("is answered with no while the webhook is down, whoever asks", func(ctx SpecContext) {
		w := newMatrixWorld(ctx, false)
		down(ctx)
		var cells []cell
		for _, c := range matrixCells(w) {
			if c.r == allRights || c.r == mayEdit || c.r == mayMake || c.r == mayEdit|mayMake {
				cells = append(cells, c)
			}
		}
		var wrong failures
		each(ctx, cells, func(c cell, err error) {
			// A VirtualMachineSnapshot made by hand is KubeVirt's, and a status path asks for nothing.
			harmless := c.p.inert || (c.p.name == "job object" && c.request.verb == v1alpha1.VerbSnapshot)
			want := harmless && model(c.r, c.p, c.request)
			if want != (err == nil) {
				wrong.add("%s: let through must be %t, found %v", c, want, err)
			}
		})
		Expect(wrong.all()).To(BeEmpty())
		AddReportEntry("cells", fmt.Sprintf("%d asked with the webhook down", len(cells)))
	}, SpecTimeout(10*patience))
})

// failures gathers what went wrong, from several goroutines.
type failures struct {
	mu   sync.Mutex
	said []string
}

func (f *failures) add(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.said) < 40 {
		f.said = append(f.said, fmt.Sprintf(format, args...))
	}
}

func (f *failures) all() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.said
}
