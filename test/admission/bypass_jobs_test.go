package admission

import (
	"context"
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	kubevirtv1 "kubevirt.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"wukong.io/wukong/pkg/apis/wukong/v1alpha1"
)

// byJim are attempts with job objects.
func byJim() (all []attempt) {
	cloneJob := func(w *bypassWorld, vm *kubevirtv1.VirtualMachine, change func(*v1alpha1.CloneJob)) *v1alpha1.CloneJob {
		job := &v1alpha1.CloneJob{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, GenerateName: "jim-"}}
		job.Spec.Source = v1alpha1.CloneSource{VirtualMachine: &v1alpha1.NamespacedName{Name: vm.Name}, Mode: v1alpha1.CloneOnline}
		job.Spec.Targets.Name = "copy"
		change(job)
		return job
	}
	clone := func(name, like string, change func(*bypassWorld, *v1alpha1.CloneJob)) attempt {
		return attempt{name: "CloneJob " + name, like: like, do: func(ctx context.Context, w *bypassWorld, vm *kubevirtv1.VirtualMachine) error {
			return w.jim.Create(ctx, cloneJob(w, vm, func(job *v1alpha1.CloneJob) { change(w, job) }))
		}}
	}
	all = append(all,
		clone("into another namespace", "CVE-2026-41068", func(w *bypassWorld, job *v1alpha1.CloneJob) { job.Spec.Targets.Namespace = w.other }),
		clone("of another's machine", "CVE-2026-41068", func(w *bypassWorld, job *v1alpha1.CloneJob) { job.Spec.Source.VirtualMachine.Namespace = w.other }),
		clone("of another's machine into its namespace", "CVE-2026-41068", func(w *bypassWorld, job *v1alpha1.CloneJob) {
			job.Spec.Source.VirtualMachine.Namespace, job.Spec.Targets.Namespace = w.other, w.other
		}),
		clone("of another's snapshot", "CVE-2026-41068", func(w *bypassWorld, job *v1alpha1.CloneJob) {
			job.Spec.Source.VirtualMachine, job.Spec.Source.Snapshot = nil, &v1alpha1.NamespacedName{Name: "victim", Namespace: w.other}
		}),
		clone("with no source", "shape", func(_ *bypassWorld, job *v1alpha1.CloneJob) { job.Spec.Source.VirtualMachine = nil }),
		clone("with two sources", "shape", func(w *bypassWorld, job *v1alpha1.CloneJob) {
			job.Spec.Source.Snapshot = &v1alpha1.NamespacedName{Name: "x", Namespace: w.other}
		}),
	)
	export := func(name, like string, change func(*v1alpha1.ExportJob)) attempt {
		return attempt{name: "ExportJob " + name, like: like, do: func(ctx context.Context, w *bypassWorld, vm *kubevirtv1.VirtualMachine) error {
			job := &v1alpha1.ExportJob{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, GenerateName: "jim-"}}
			job.Spec.Source.VirtualMachine = vm.Name
			job.Spec.Target.Registry = &v1alpha1.RegistryTarget{Image: allowed + "/web:v1"}
			change(job)
			return w.jim.Create(ctx, job)
		}}
	}
	for _, image := range []string{"evil.example/x:1", allowed + "evil/x:1", "registry.example.com/other/x:1", "REGISTRY.example.com/vms/x:1"} {
		all = append(all, export("to "+image, "destinations compared by a part", func(job *v1alpha1.ExportJob) { job.Spec.Target.Registry.Image = image }))
	}
	all = append(all,
		export("with a Secret he may not read", "cert-manager's threat model", func(job *v1alpha1.ExportJob) { job.Spec.Target.Registry.SecretName = "push" }),
		export("to S3 elsewhere", "destinations", func(job *v1alpha1.ExportJob) {
			job.Spec.Target.Registry, job.Spec.Target.S3 = nil, &v1alpha1.S3Target{Endpoint: "https://evil.example", Bucket: "vms"}
		}),
		export("to S3 with a Secret", "cert-manager's threat model", func(job *v1alpha1.ExportJob) {
			job.Spec.Target.Registry, job.Spec.Target.S3 = nil, &v1alpha1.S3Target{Endpoint: "https://s3.example.com", Bucket: "vms", SecretName: "push"}
		}),
	)
	return append(append(all, byJimImports()...), byJimStamps(cloneJob)...)
}

func byJimImports() (all []attempt) {
	importing := func(name, like string, source v1alpha1.ImportSource) attempt {
		return attempt{name: "ImportJob " + name, like: like, do: func(ctx context.Context, w *bypassWorld, _ *kubevirtv1.VirtualMachine) error {
			job := &v1alpha1.ImportJob{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, GenerateName: "jim-"}}
			job.Spec.Source = source
			if pvc := job.Spec.Source.PVC; pvc != nil && pvc.Namespace == "OTHER" {
				job.Spec.Source.PVC = &v1alpha1.NamespacedName{Name: pvc.Name, Namespace: w.other}
			}
			job.Spec.Target.Name, job.Spec.Target.Size = "disk", resource.MustParse("8Mi")
			return w.jim.Create(ctx, job)
		}}
	}
	for _, url := range []string{
		"http://169.254.169.254/latest/meta-data", "https://169.254.169.254/x", "https://[fe80::1]/x", "https://[::1]/x", "https://[::ffff:10.0.0.1]/x", "https://127.0.0.1/x", "https://127.1/x",
		"https://0x7f000001/x", "https://2130706433/x", "https://0177.0.0.1/x", "https://localhost/x", "https://kubernetes.default.svc/x", "https://kubernetes.default.svc./x",
		"https://kubernetes.default.svc.cluster.local/x", "https://metadata.google.internal/x", "https://10.0.0.1/x", "https://172.16.0.1/x", "https://192.168.0.1/x", "https://100.100.100.200/x",
		"https://user:pass@example.com/x", "https://example.com@10.0.0.1/x", "https://10.0.0.1#@example.com/x", "http://mirror.lan/other/x", "http://mirror.lan.evil.example/images/x",
		"file:///etc/passwd", "https://single/x", "https://EXAMPLE.LOCAL/x", "https://[fd00::1]/x", "https://0.0.0.0/x",
	} {
		all = append(all, importing("from "+url, "SSRF, PLATFORM of imports", v1alpha1.ImportSource{HTTP: &v1alpha1.HTTPSource{URL: url}}))
	}
	return append(all,
		importing("of another's claim", "CVE-2026-41068", v1alpha1.ImportSource{PVC: &v1alpha1.NamespacedName{Name: "disk", Namespace: "OTHER"}}),
		importing("with a Secret he may not read", "cert-manager's threat model", v1alpha1.ImportSource{HTTP: &v1alpha1.HTTPSource{URL: "https://example.com/x", SecretName: "push"}}),
		importing("with a Secret as header", "cert-manager's threat model", v1alpha1.ImportSource{HTTP: &v1alpha1.HTTPSource{URL: "https://example.com/x", SecretExtraHeaders: []string{"push"}}}),
	)
}

func byJimStamps(cloneJob func(*bypassWorld, *kubevirtv1.VirtualMachine, func(*v1alpha1.CloneJob)) *v1alpha1.CloneJob) (all []attempt) {
	for how, patch := range map[string]func(*v1alpha1.CloneJob) (types.PatchType, string){
		"by another's name": func(*v1alpha1.CloneJob) (types.PatchType, string) {
			return types.MergePatchType, `{"metadata":{"annotations":{"wukong.io/requested-by":"alice"}}}`
		},
		"taken away": func(*v1alpha1.CloneJob) (types.PatchType, string) {
			return types.MergePatchType, `{"metadata":{"annotations":{"wukong.io/requested-by":null}}}`
		},
		"in groups": func(*v1alpha1.CloneJob) (types.PatchType, string) {
			return types.JSONPatchType, `[{"op":"add","path":"/metadata/annotations/wukong.io~1requested-groups","value":"[\"system:masters\"]"}]`
		},
		"all annotations": func(*v1alpha1.CloneJob) (types.PatchType, string) {
			return types.JSONPatchType, `[{"op":"remove","path":"/metadata/annotations"}]`
		},
		"spec": func(*v1alpha1.CloneJob) (types.PatchType, string) {
			return types.MergePatchType, `{"spec":{"targets":{"name":"other"}}}`
		},
	} {
		all = append(all, attempt{name: "a job's stamp or spec changed: " + how, like: "cert-manager CertificateRequest immutability", do: func(ctx context.Context, w *bypassWorld, vm *kubevirtv1.VirtualMachine) error {
			job := cloneJob(w, vm, func(*v1alpha1.CloneJob) {})
			if err := w.jim.Create(ctx, job); err != nil {
				return err // with the webhook down there is no job to change
			}
			DeferCleanup(func(ctx SpecContext) error { return client.IgnoreNotFound(shared.admin.Delete(ctx, job)) }, NodeTimeout(patience))
			kind, body := patch(job)
			err := w.jim.Patch(ctx, job.DeepCopy(), client.RawPatch(kind, []byte(body)))
			return errorOr(err, shared.admin.Delete(ctx, job))
		}})
	}
	return append(all, attempt{
		name: "a job with alice's stamp", like: "cert-manager requester stamps", inert: true,
		do: func(ctx context.Context, w *bypassWorld, vm *kubevirtv1.VirtualMachine) error {
			job := cloneJob(w, vm, func(job *v1alpha1.CloneJob) {
				job.Annotations = map[string]string{}
				for key, value := range stampFor("", alice, "", "system:masters") {
					job.Annotations[key] = fmt.Sprint(value)
				}
			})
			if err := w.jim.Create(ctx, job); err != nil {
				return err
			}
			if by := job.Annotations[v1alpha1.AnnotationRequestedBy]; by != jim {
				return fmt.Errorf("ESCAPED: the job is stamped with %q", by)
			}
			return shared.admin.Delete(ctx, job)
		},
	})
}

func errorOr(first, second error) error {
	if first != nil {
		return first
	}
	return second
}
