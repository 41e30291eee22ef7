package validation_test

import (
	"encoding/json"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"wukong.io/wukong/pkg/apis/wukong/v1alpha1"
	"wukong.io/wukong/pkg/validation"
)

// checkErrors holds whatever a validator says to the rules of every error.
func checkErrors(t *testing.T, errs field.ErrorList) {
	t.Helper()
	if len(errs) > 21 {
		t.Errorf("%d errors at once", len(errs))
	}
	for _, err := range errs {
		text := err.Error()
		if err.Field == "" || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) || len(text) > 4096 {
			t.Errorf("error without a field, with control characters or too long: %q", text)
		}
	}
}

func FuzzParseRequest(f *testing.F) {
	data, err := os.ReadFile(filepath.Join("testdata", "bad-requests.yaml"))
	if err != nil {
		f.Fatal(err)
	}
	var cases []badRequest
	if err := yaml.Unmarshal(data, &cases); err != nil {
		f.Fatal(err)
	}
	for _, tc := range cases {
		f.Add(tc.Verb, tc.Value, tc.Machine == "running")
	}
	for _, value := range []string{
		"web-1", "registry.example.com/vms/web:v1", `{"targets":{"name":"web-1"}}`, `{"name":"s","failureDeadline":"5m"}`, `{"snapshot":"s"}`,
		`{"target":{"registry":{"image":"registry.example.com/web"}}}`, "\xff\xfe", `{"targets":{"name":"` + "\xff" + `"}}`, strings.Repeat("[", 10000), "{" + strings.Repeat(`"a":{`, 4000),
	} {
		for _, verb := range append(v1alpha1.RequestVerbs(), v1alpha1.VerbSnapshotPolicy) {
			f.Add(verb, value, false)
		}
	}
	f.Fuzz(func(t *testing.T, verb, value string, isRunning bool) {
		vm := machine()
		vm.Status.Created = isRunning
		request, errs := validation.ParseRequest(verb, value, vm)
		if strings.ContainsFunc(verb, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return // the verb is ours, and stands in every error
		}
		checkErrors(t, errs)
		if len(errs) > 0 {
			return
		}
		checkRequest(t, request)
	})
}

// checkRequest holds a request that was let through to what the controller
// relies on.
func checkRequest(t *testing.T, request validation.Request) {
	t.Helper()
	if strings.ContainsAny(request.Value, "\x00") || len(request.Value) > validation.RequestMax {
		t.Errorf("let through %q", request.Value)
	}
	set := 0
	for _, isSet := range []bool{request.Clone != nil, request.Export != nil, request.Rollback != nil, request.Snapshot != nil, request.SnapshotPolicy != ""} {
		if isSet {
			set++
		}
	}
	if set != 1 {
		t.Errorf("%d members are set, want 1", set)
	}
	again, errs := validation.ParseRequest(request.Verb, request.Value, machine())
	if len(errs) > 0 || !equal(again, request) {
		t.Errorf("another reading gives %+v, %v", again, errs)
	}
	switch {
	case request.Clone != nil:
		if source := request.Clone.Source; source.Snapshot != nil || source.VirtualMachine.Name != "web-0" || source.VirtualMachine.Namespace != "" {
			t.Errorf("clones %+v, want the machine itself", source)
		}
		if request.Clone.Targets.Name == "web-0" && request.TargetNamespace("prod") == "prod" {
			t.Error("clones a machine onto itself")
		}
		job := &v1alpha1.CloneJob{Spec: *request.Clone}
		job.Namespace = "prod"
		if errs := validation.ValidateCloneJob(job); len(errs) > 0 {
			t.Errorf("the job is refused: %v", errs)
		}
	case request.Export != nil:
		if request.Export.Source != (v1alpha1.ExportSource{VirtualMachine: "web-0"}) {
			t.Errorf("exports %+v, want the machine itself", request.Export.Source)
		}
		if request.Export.Target.PVC == nil && len(validation.ValidateRequestPolicy(request, nil)) == 0 {
			t.Error("exports out of the cluster without a list")
		}
	case request.Rollback != nil:
		if request.Rollback.VirtualMachine != "web-0" {
			t.Errorf("rolls back %q", request.Rollback.VirtualMachine)
		}
		if errs := validation.ValidateRollbackJob(&v1alpha1.RollbackJob{Spec: *request.Rollback}); len(errs) > 0 {
			t.Errorf("the job is refused: %v", errs)
		}
	}
}

func equal(a, b validation.Request) bool {
	left, errLeft := json.Marshal(a)
	right, errRight := json.Marshal(b)
	return errLeft == nil && errRight == nil && string(left) == string(right)
}

func FuzzCheckURL(f *testing.F) {
	for kind, urls := range forbiddenURLs() {
		for _, rawURL := range urls {
			f.Add(string(kind), rawURL)
		}
	}
	f.Add("http", "https://example.com:8443/a%20b?x=%2f")
	f.Add("registry", "docker://quay.io/a/b:c")
	f.Fuzz(func(t *testing.T, kind, rawURL string) {
		err := (*validation.Policy)(nil).CheckURL(validation.URLKind(kind), rawURL)
		if err != nil {
			if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r == 0x7f }) {
				t.Errorf("error holds control characters: %q", err)
			}
			return
		}
		if image, ok := strings.CutPrefix(rawURL, "docker://"); ok {
			if strings.ContainsAny(image, " \\?#%") || strings.Contains(image, "..") {
				t.Errorf("%q was let through", rawURL)
			}
			return // the registry may be left out, so net/url reads it otherwise
		}
		parsed, parseErr := url.Parse(rawURL)
		if parseErr != nil {
			t.Fatalf("%q was let through, net/url: %v", rawURL, parseErr)
		}
		if parsed.User != nil || parsed.Fragment != "" || strings.Contains(parsed.Path, "/../") {
			t.Errorf("%q was let through", rawURL)
		}
		if parsed.Scheme == "gs" {
			return // the host is a bucket
		}
		host := strings.ToLower(parsed.Hostname())
		if addr, err := netip.ParseAddr(host); err == nil && validation.ForbiddenAddr(addr) != "" {
			t.Errorf("%q was let through to %s", rawURL, addr)
		}
		if !strings.ContainsAny(host, ".:") || strings.HasSuffix(host, ".") || strings.HasSuffix(host, ".local") || strings.HasSuffix(host, ".svc") || strings.HasSuffix(host, ".internal") {
			t.Errorf("%q was let through to %q", rawURL, host)
		}
	})
}

func FuzzParseImage(f *testing.F) {
	for _, seed := range []string{"quay.io/a/b:c", "quay.io:5000/a@sha256:" + strings.Repeat("a", 64), "[::1]:5000/a", "a", "", "quay.io/", "quay.io/a:b:c", "u@quay.io/a", "127.1/a", "quay.io/a\n", "quay.io//a"} {
		f.Add(seed)
	}
	policy, err := validation.ParsePolicy(validation.PolicySpec{Registries: []string{"quay.io/vms"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		image, err := validation.ParseImage(text)
		allowed := policy.CheckRegistry(text) == nil
		if allowed && (err != nil || image.Host.Name != "quay.io" || image.Repository != "vms" && !strings.HasPrefix(image.Repository, "vms/")) {
			t.Errorf("%q may be exported to: %+v, %v", text, image, err)
		}
		if err != nil {
			return
		}
		written := image.Host.String() + "/" + image.Repository
		if image.Tag != "" {
			written += ":" + image.Tag
		}
		if image.Digest != "" {
			written += "@" + image.Digest
		}
		again, err := validation.ParseImage(written)
		if err != nil || again != image {
			t.Errorf("%q is %+v, and written again %q is %+v, %v", text, image, written, again, err)
		}
	})
}

func FuzzParseHost(f *testing.F) {
	for _, seed := range []string{"example.com:80", "[::1]:80", "127.1", "0x7f.1", "xn--bcher-kva.com", "a..b", "a.", "[fe80::1%25a]", "1.2.3.4", "a:b:c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		host, err := validation.ParseHost(text)
		validation.ForbiddenHost(host)
		if err != nil {
			return
		}
		again, err := validation.ParseHost(host.String())
		if err != nil || again != host {
			t.Errorf("%q is %+v, and written again %q is %+v, %v", text, host, host.String(), again, err)
		}
		if (validation.ForbiddenHost(host) == "") != (validation.ForbiddenHost(again) == "") {
			t.Errorf("%q is judged in two ways", text)
		}
	})
}

func FuzzParsePolicy(f *testing.F) {
	f.Add("registry.example.com/vms", "https://s3.example.com/a", "docker://quay.io/a")
	f.Add("127.0.0.1:5000", "http://10.0.0.1", "gs://bucket/prefix")
	f.Add("", "", "")
	f.Fuzz(func(t *testing.T, registry, s3, imports string) {
		policy, err := validation.ParsePolicy(validation.PolicySpec{Registries: []string{registry}, S3: []string{s3}, Imports: []string{imports}})
		if err != nil {
			return
		}
		if policy.CheckRegistry("never.listed.example/a") == nil && !strings.HasPrefix(strings.ToLower(registry), "never.listed.example") {
			t.Errorf("registry %q allows another one", registry)
		}
	})
}

func FuzzSchedule(f *testing.F) {
	for _, seed := range []string{"0 3 * * *", "*/5 0-6/2 1,15 JAN-MAR MON", "@daily", "TZ=UTC 0 3 * * *", "TZ=", "CRON_TZ=x", "0 0 30 2 *", "0 3 * * * *", "", "* * * * 7", "*/0 * * * *", "99999999999999999999 * * * *"} {
		f.Add(seed, "Europe/Berlin")
	}
	f.Add("0 3 * * *", "../../etc/passwd")
	f.Fuzz(func(t *testing.T, schedule, zone string) {
		policy := &v1alpha1.SnapshotPolicy{Spec: v1alpha1.SnapshotPolicySpec{Schedule: schedule, TimeZone: zone, StaggerWindowSeconds: new(int64(600))}}
		errs := validation.ValidateSnapshotPolicy(policy)
		checkErrors(t, errs)
		if len(errs) == 0 && len(strings.Fields(schedule)) != 5 {
			t.Errorf("schedule %q was let through", schedule)
		}
	})
}

// FuzzJobs reads arbitrary JSON into every kind and validates it: nothing may
// panic, however the object is filled.
func FuzzJobs(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"spec":{}}`, `{"spec":{"source":{"virtualMachine":{"name":"a"}},"targets":{"name":"b"}}}`, `{"spec":{"source":{"http":{"url":"https://example.com/a"}},"target":{"name":"a","size":"1Gi"}}}`,
		`{"spec":{"source":{"virtualMachine":"a"},"target":{"registry":{"image":"quay.io/a/b"}}}}`, `{"spec":{"virtualMachine":"a","snapshot":"b"}}`, `{"spec":{"schedule":"0 3 * * *","retention":{"keepDaily":7,"maxAge":"24h"}}}`,
		`{"spec":{"pools":{"web":{"replicas":-1,"ordinals":{"start":-5},"template":{"disks":{"root":{"source":{"import":{"vddk":{}}}}}},"overrides":{"x":{},"-1":{}}}}}}`, `{"spec":{"images":{"a":{"importSource":{"registry":{"url":"docker://quay.io/a"}}}}}}`,
	} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, old, changed string) {
		validateAll(t, []byte(old), []byte(changed))
	})
}

func read[T any](data []byte) *T {
	object := new(T)
	_ = json.Unmarshal(data, object) // as much as fits
	return object
}

func validateAll(t *testing.T, old, changed []byte) {
	t.Helper()
	checkErrors(t, validation.ValidateCloneJob(read[v1alpha1.CloneJob](changed)))
	checkErrors(t, validation.ValidateExportJob(read[v1alpha1.ExportJob](changed), nil))
	checkErrors(t, validation.ValidateImportJob(read[v1alpha1.ImportJob](changed), nil))
	checkErrors(t, validation.ValidateRollbackJob(read[v1alpha1.RollbackJob](changed)))
	checkErrors(t, validation.ValidateSnapshotPolicy(read[v1alpha1.SnapshotPolicy](changed)))
	checkErrors(t, validation.ValidateWukong(read[v1alpha1.Wukong](changed), nil))
	checkErrors(t, validation.ValidateCloneJobUpdate(read[v1alpha1.CloneJob](old), read[v1alpha1.CloneJob](changed)))
	checkErrors(t, validation.ValidateExportJobUpdate(read[v1alpha1.ExportJob](old), read[v1alpha1.ExportJob](changed)))
	checkErrors(t, validation.ValidateImportJobUpdate(read[v1alpha1.ImportJob](old), read[v1alpha1.ImportJob](changed)))
	checkErrors(t, validation.ValidateRollbackJobUpdate(read[v1alpha1.RollbackJob](old), read[v1alpha1.RollbackJob](changed)))
	checkErrors(t, validation.ValidateSnapshotPolicyUpdate(read[v1alpha1.SnapshotPolicy](old), read[v1alpha1.SnapshotPolicy](changed)))
	before, after := read[v1alpha1.Wukong](old), read[v1alpha1.Wukong](changed)
	checkErrors(t, validation.ValidateWukongUpdate(&before.Spec, &after.Spec))
	validation.WukongUpdateWarnings(&before.Spec, &after.Spec)
	if errs := validation.ValidateWukongUpdate(&before.Spec, &before.Spec); len(errs) > 0 {
		t.Errorf("an edit that changes nothing is refused: %v", errs)
	}
}
