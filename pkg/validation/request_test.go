package validation_test

import (
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kubevirtv1 "kubevirt.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"wukong.io/wukong/pkg/apis/wukong/v1alpha1"
	"wukong.io/wukong/pkg/validation"
)

var update = flag.Bool("update", false, "rewrite the messages in testdata")

// machine is web-0 in prod, with a disk on a DataVolume, one on a claim, and one
// that does not last.
func machine(change ...func(*kubevirtv1.VirtualMachine)) *kubevirtv1.VirtualMachine {
	vm := &kubevirtv1.VirtualMachine{ObjectMeta: metav1.ObjectMeta{Namespace: "prod", Name: "web-0", UID: "vm-uid"}}
	vm.Spec.Template = &kubevirtv1.VirtualMachineInstanceTemplateSpec{}
	vm.Spec.Template.Spec.Volumes = []kubevirtv1.Volume{
		{Name: "root", VolumeSource: kubevirtv1.VolumeSource{DataVolume: &kubevirtv1.DataVolumeSource{Name: "web-0-root"}}},
		{Name: "data", VolumeSource: kubevirtv1.VolumeSource{PersistentVolumeClaim: &kubevirtv1.PersistentVolumeClaimVolumeSource{
			PersistentVolumeClaimVolumeSource: corev1.PersistentVolumeClaimVolumeSource{ClaimName: "web-0-data"},
		}}},
		{Name: "scratch", VolumeSource: kubevirtv1.VolumeSource{EmptyDisk: &kubevirtv1.EmptyDiskSource{}}},
	}
	for _, c := range change {
		c(vm)
	}
	return vm
}

func running(vm *kubevirtv1.VirtualMachine)  { vm.Status.Created = true }
func diskless(vm *kubevirtv1.VirtualMachine) { vm.Spec.Template.Spec.Volumes = nil }
func persistentTPM(vm *kubevirtv1.VirtualMachine) {
	vm.Spec.Template.Spec.Domain.Devices.TPM = &kubevirtv1.TPMDevice{Persistent: new(true)}
}

func machineNamed(t *testing.T, name string) *kubevirtv1.VirtualMachine {
	t.Helper()
	switch name {
	case "", "stopped":
		return machine()
	case "running":
		return machine(running)
	case "tpm":
		return machine(persistentTPM)
	case "diskless":
		return machine(diskless)
	}
	t.Fatalf("no machine is named %q", name)
	return nil
}

type badRequest struct {
	Case    string   `json:"case"`
	Verb    string   `json:"verb"`
	Value   string   `json:"value"`
	Machine string   `json:"machine,omitempty"`
	Pad     int      `json:"pad,omitempty"`
	Want    []string `json:"want"`
}

// TestBadRequests compares every message with the table in testdata.
func TestBadRequests(t *testing.T) {
	path := filepath.Join("testdata", "bad-requests.yaml")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var cases []badRequest
	if err := yaml.UnmarshalStrict(data, &cases); err != nil {
		t.Fatalf("reading %s: %v", path, err)
	}
	if len(cases) < 300 {
		t.Errorf("%s has %d cases, want at least 300", path, len(cases))
	}
	seen := map[string]bool{}
	for i := range cases {
		tc := &cases[i]
		if seen[tc.Case] {
			t.Errorf("two cases are named %q", tc.Case)
		}
		seen[tc.Case] = true
		t.Run(tc.Case, func(t *testing.T) {
			value := tc.Value
			if tc.Pad > 0 {
				value = strings.Repeat(value, tc.Pad/len(value))
			}
			_, errs := validation.ParseRequest(tc.Verb, value, machineNamed(t, tc.Machine))
			got := messages(errs)
			if len(got) == 0 {
				t.Fatalf("%s: %q was let through", tc.Verb, value)
			}
			if *update {
				tc.Want = got
			}
			if diff := cmp.Diff(tc.Want, got); diff != "" {
				t.Errorf("messages (-want +got):\n%s", diff)
			}
		})
	}
	if *update {
		rewrite(t, path, data, cases)
	}
}

func messages(errs field.ErrorList) []string {
	texts := make([]string, len(errs))
	for i, err := range errs {
		texts[i] = err.Error()
	}
	return texts
}

// rewrite writes the table again, with its heading comment.
func rewrite(t *testing.T, path string, old []byte, cases []badRequest) {
	t.Helper()
	var out strings.Builder
	for line := range strings.Lines(string(old)) {
		if !strings.HasPrefix(line, "#") {
			break
		}
		out.WriteString(line)
	}
	for _, tc := range cases {
		write := func(prefix, name, value string) {
			out.WriteString(prefix + name + strconv.Quote(value) + "\n") // as YAML reads it too
		}
		write("- ", "case: ", tc.Case)
		write("  ", "verb: ", tc.Verb)
		write("  ", "value: ", tc.Value)
		if tc.Machine != "" {
			out.WriteString("  machine: " + tc.Machine + "\n")
		}
		if tc.Pad > 0 {
			out.WriteString("  pad: " + strconv.Itoa(tc.Pad) + "\n")
		}
		out.WriteString("  want:\n")
		for _, message := range tc.Want {
			write("  ", "- ", message)
		}
	}
	if err := os.WriteFile(path, []byte(out.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestEveryBadRequestSaysWhatToDo holds the wording to its rules.
func TestEveryBadRequestSaysWhatToDo(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "bad-requests.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []badRequest
	if err := yaml.UnmarshalStrict(data, &cases); err != nil {
		t.Fatal(err)
	}
	for _, tc := range cases {
		for _, message := range tc.Want {
			if !strings.HasPrefix(message, "metadata.annotations[wukong.io/"+tc.Verb+"]") {
				t.Errorf("%s: message does not name the annotation: %s", tc.Case, message)
			}
			if strings.ContainsFunc(message, func(r rune) bool { return r < ' ' || r == 0x7f }) {
				t.Errorf("%s: message holds control characters: %q", tc.Case, message)
			}
			if len(message) > 700 {
				t.Errorf("%s: message has %d characters: %s", tc.Case, len(message), message)
			}
			for _, secret := range []string{"s3cret", "hunter2", "user:pass"} {
				if strings.Contains(message, secret) {
					t.Errorf("%s: message repeats a secret: %s", tc.Case, message)
				}
			}
		}
	}
}

func TestGoodRequests(t *testing.T) {
	image := "registry.example.com/vms/web:v1"
	own := &v1alpha1.NamespacedName{Name: "web-0"}
	cases := map[string]struct {
		verb, value string
		vm          *kubevirtv1.VirtualMachine
		want        validation.Request
	}{
		"clone by name": {
			verb: "clone", value: "web-copy",
			want: validation.Request{Clone: &v1alpha1.CloneJobSpec{
				Source:  v1alpha1.CloneSource{VirtualMachine: own, Mode: v1alpha1.CloneOnline},
				Targets: v1alpha1.CloneTargets{Name: "web-copy"},
			}},
		},
		"clone of a running machine by name": {
			verb: "clone", value: "web-copy", vm: machine(running),
			want: validation.Request{Clone: &v1alpha1.CloneJobSpec{
				Source:  v1alpha1.CloneSource{VirtualMachine: own, Mode: v1alpha1.CloneOnline},
				Targets: v1alpha1.CloneTargets{Name: "web-copy"},
			}},
		},
		"clone as JSON": {
			verb: "clone", value: `{"targets": {"namePrefix": "web", "count": 3, "start": 1, "labels": {"app": "web"}}, "deadlineSeconds": 600}`,
			want: validation.Request{Clone: &v1alpha1.CloneJobSpec{
				Source:    v1alpha1.CloneSource{VirtualMachine: own},
				Targets:   v1alpha1.CloneTargets{NamePrefix: "web", Count: new(int32(3)), Start: new(int32(1)), Labels: map[string]string{"app": "web"}},
				JobLimits: v1alpha1.JobLimits{DeadlineSeconds: new(int64(600))},
			}},
		},
		"clone into another namespace under the same name": {
			verb: "clone", value: `{"source":{"virtualMachine":{"name":"web-0","namespace":"prod"},"mode":"Online","identity":{"guest":"Regenerate","cloudInit":"Copy"},"runStrategy":"Halted"},"targets":{"name":"web-0","namespace":"test"}}` + "\n",
			want: validation.Request{Clone: &v1alpha1.CloneJobSpec{
				Source: v1alpha1.CloneSource{
					VirtualMachine: own, Mode: v1alpha1.CloneOnline,
					Identity: &v1alpha1.CloneIdentity{Guest: "Regenerate", CloudInit: "Copy"}, RunStrategy: "Halted",
				},
				Targets: v1alpha1.CloneTargets{Name: "web-0", Namespace: "test"},
			}},
		},
		"export to a registry": {
			verb: "export", value: image,
			want: validation.Request{Export: &v1alpha1.ExportJobSpec{
				Source: v1alpha1.ExportSource{VirtualMachine: "web-0"},
				Target: v1alpha1.ExportTarget{Registry: &v1alpha1.RegistryTarget{Image: image}},
			}},
		},
		"export of one disk to S3": {
			verb: "export", value: `{"target":{"s3":{"endpoint":"https://s3.example.com","bucket":"vms","prefix":"web/","secretName":"s3"},"disks":["data"]}}`,
			want: validation.Request{Export: &v1alpha1.ExportJobSpec{
				Source: v1alpha1.ExportSource{VirtualMachine: "web-0"},
				Target: v1alpha1.ExportTarget{
					S3:    &v1alpha1.S3Target{Endpoint: "https://s3.example.com", Bucket: "vms", Prefix: "web/", SecretName: "s3"},
					Disks: []string{"data"},
				},
			}},
		},
		"rollback by name": {
			verb: "rollback", value: "before-upgrade",
			want: validation.Request{Rollback: &v1alpha1.RollbackJobSpec{VirtualMachine: "web-0", Snapshot: "before-upgrade"}},
		},
		"rollback to a snapshot with dots": {
			verb: "rollback", value: `{"virtualMachine":"web-0","snapshot":"v1.2.3","start":"Never"}`,
			want: validation.Request{Rollback: &v1alpha1.RollbackJobSpec{VirtualMachine: "web-0", Snapshot: "v1.2.3", Start: "Never"}},
		},
		"snapshot by name": {
			verb: "snapshot", value: "before-upgrade",
			want: validation.Request{Snapshot: &validation.SnapshotRequest{Name: "before-upgrade"}},
		},
		"snapshot as JSON": {
			verb: "snapshot", value: `{"name":"s","deletionPolicy":"Retain","failureDeadline":"10m"}`,
			want: validation.Request{Snapshot: &validation.SnapshotRequest{Name: "s", DeletionPolicy: "Retain", FailureDeadline: &metav1.Duration{Duration: 10 * time.Minute}}},
		},
		"snapshot policy": {verb: "snapshot-policy", value: "nightly", want: validation.Request{SnapshotPolicy: "nightly"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			vm := tc.vm
			if vm == nil {
				vm = machine()
			}
			before := vm.DeepCopy()
			got, errs := validation.ParseRequest(tc.verb, tc.value, vm)
			if len(errs) > 0 {
				t.Fatalf("refused: %v", messages(errs))
			}
			tc.want.Verb, tc.want.Value = tc.verb, tc.value
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(before, vm); diff != "" {
				t.Errorf("the machine was changed:\n%s", diff)
			}
		})
	}
}

func TestRequestFacts(t *testing.T) {
	request, errs := validation.ParseRequest("export", `{"target":{"registry":{"image":"registry.example.com/web","secretName":"push"}}}`, machine())
	if len(errs) > 0 {
		t.Fatal(messages(errs))
	}
	if diff := cmp.Diff([]string{"push"}, request.SecretNames()); diff != "" {
		t.Errorf("SecretNames (-want +got):\n%s", diff)
	}
	if got := request.TargetNamespace("prod"); got != "prod" {
		t.Errorf("TargetNamespace of an export = %q, want prod", got)
	}
	clone, errs := validation.ParseRequest("clone", `{"targets":{"name":"a","namespace":"test"}}`, machine())
	if len(errs) > 0 {
		t.Fatal(messages(errs))
	}
	if got := clone.TargetNamespace("prod"); got != "test" {
		t.Errorf("TargetNamespace of a clone = %q, want test", got)
	}
	if names := clone.SecretNames(); len(names) > 0 {
		t.Errorf("SecretNames of a clone = %v, want none", names)
	}
}

func TestParseRequestWithoutMachine(t *testing.T) {
	for _, verb := range append(v1alpha1.RequestVerbs(), v1alpha1.VerbSnapshotPolicy) {
		for _, value := range []string{"", "x", "{}", `{"targets":{"name":"x"}}`} {
			without, errs := validation.ParseRequest(verb, value, nil)
			empty, emptyErrs := validation.ParseRequest(verb, value, &kubevirtv1.VirtualMachine{})
			if diff := cmp.Diff(without, empty); diff != "" || len(errs) != len(emptyErrs) {
				t.Errorf("%s=%q without a machine differs from one of an empty machine:\n%s", verb, value, diff)
			}
		}
	}
}

func TestRequestPolicy(t *testing.T) {
	policy, err := validation.ParsePolicy(validation.PolicySpec{Registries: []string{"registry.example.com/vms"}})
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		verb, value string
		policy      *validation.Policy
		want        []string
	}{
		"clone needs no destination": {verb: "clone", value: "web-1"},
		"listed":                     {verb: "export", value: "registry.example.com/vms/web", policy: policy},
		"not listed": {verb: "export", value: "registry.example.com/vms-2/web", policy: policy, want: []string{
			`metadata.annotations[wukong.io/export]: Forbidden: image "registry.example.com/vms-2/web" is not allowed: export to a listed destination, or ask the cluster's administrator to list it in policy.destinations.registries of the wukong chart's values`,
		}},
		"nothing is listed": {verb: "export", value: `{"target":{"registry":{"image":"registry.example.com/vms/web"}}}`, want: []string{
			`metadata.annotations[wukong.io/export].target.registry.image: Forbidden: image "registry.example.com/vms/web" is not allowed: no destination is, until the cluster's administrator lists it in policy.destinations.registries of the wukong chart's values`,
		}},
		"a claim needs no list": {verb: "export", value: `{"target":{"pvc":{"claimName":"out"}}}`},
		"a bucket that is not listed": {verb: "export", value: `{"target":{"s3":{"endpoint":"https://s3.example.com","bucket":"vms"}}}`, policy: policy, want: []string{
			`metadata.annotations[wukong.io/export].target.s3.endpoint: Forbidden: bucket "vms" at "https://s3.example.com" is not allowed: no destination is, until the cluster's administrator lists it in policy.destinations.s3 of the wukong chart's values`,
		}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			request, errs := validation.ParseRequest(tc.verb, tc.value, machine())
			if len(errs) > 0 {
				t.Fatal(messages(errs))
			}
			got := messages(validation.ValidateRequestPolicy(request, tc.policy))
			if len(got) == 0 {
				got = nil
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("messages (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRequestMustBeText(t *testing.T) {
	_, errs := validation.ParseRequest("rollback", "{\"snapshot\":\"s\",\"\xff\":1}", machine())
	compare(t, []string{"metadata.annotations[wukong.io/rollback]: Invalid value: \"{\\\"snapshot\\\":\\\"s\\\",\\\"�\\\":1}\": must be UTF-8 text"}, errs)
	_, errs = validation.ParseRequest("rollback", "s\xff", machine())
	compare(t, []string{"metadata.annotations[wukong.io/rollback]: Invalid value: \"s�\": must not hold control or invisible characters: must be the name of a VirtualMachineSnapshot, or JSON of a RollbackJob's spec"}, errs)
}
