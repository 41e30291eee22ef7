package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"wukong.io/wukong/pkg/fleet"
)

// nothing is a cluster in which nothing exists and nobody may do anything.
type nothing struct{}

func (nothing) Get(_ context.Context, key client.ObjectKey, _ client.Object, _ ...client.GetOption) error {
	return apierrors.NewNotFound(schema.GroupResource{}, key.Name)
}

func (nothing) List(context.Context, client.ObjectList, ...client.ListOption) error { return nil }

// denying answers every SubjectAccessReview with no.
type denying struct{ client.Writer }

func (denying) Create(context.Context, client.Object, ...client.CreateOption) error { return nil }

// servers are all handlers behind HTTP, as the API server meets them. A panic is not recovered.
func servers(tb testing.TB) map[string]http.Handler {
	tb.Helper()
	scheme := runtime.NewScheme()
	if err := AddToScheme(scheme); err != nil {
		tb.Fatal(err)
	}
	renderer, err := fleet.New()
	if err != nil {
		tb.Fatal(err)
	}
	base := handler{
		Options: Options{ControllersUser: "system:serviceaccount:wukong-system:wukong-controllers", KubeVirtNamespace: "kubevirt", Clock: clock.RealClock{}},
		cache:   nothing{}, live: denying{}, reader: nothing{}, decoder: admission.NewDecoder(scheme),
	}
	recovered := false
	all := map[string]http.Handler{}
	for path, h := range handlers(base, renderer) {
		all[path] = &admission.Webhook{Handler: h, RecoverPanic: &recovered}
	}
	return all
}

// review serves one review, and says how long it took.
func review(tb testing.TB, server http.Handler, path string, body []byte) time.Duration {
	tb.Helper()
	request := httptest.NewRequestWithContext(tb.Context(), http.MethodPost, path, bytes.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	recorder := httptest.NewRecorder()
	began := time.Now()
	server.ServeHTTP(recorder, request)
	took := time.Since(began)
	var answered admissionv1.AdmissionReview
	if err := json.Unmarshal(recorder.Body.Bytes(), &answered); err != nil {
		tb.Fatalf("%s answered %q to %s: %v", path, recorder.Body, body, err)
	}
	if answered.Response == nil {
		tb.Fatalf("%s answered without a response to %s", path, body)
	}
	return took
}

const seedMachine = `{"apiVersion":"kubevirt.io/v1","kind":"VirtualMachine","metadata":{"name":"web","namespace":"shop","uid":"u1","labels":{"wukong.io/managed":"true"},
 "annotations":{%s}},"spec":{"runStrategy":"Always","instancetype":{"name":"u1"},"preference":{"name":"p","kind":"VirtualMachinePreference"},
 "dataVolumeTemplates":[{"metadata":{"name":"web-root"},"spec":{"sourceRef":{"kind":"DataSource","name":"fedora"},"pvc":{"storageClassName":"fast","resources":{"requests":{"storage":"8Gi"}}}}}],
 "template":{"spec":{"domain":{"firmware":{"uuid":"x"},"devices":{"disks":[{"name":"root","disk":{}},{"name":"cd","cdrom":{}}],
 "interfaces":[{"name":"default","masquerade":{},"macAddress":"02:00:00:00:00:01"},{"name":"lan","bridge":{}}],"tpm":{"persistent":true}}},
 "networks":[{"name":"default","pod":{}},{"name":"lan","multus":{"networkName":"a/b"}}],
 "volumes":[{"name":"root","dataVolume":{"name":"web-root"}},{"name":"cd","persistentVolumeClaim":{"claimName":"tools"}}]}}}}`

func seedReview(kind, operation, user, object, old string) string {
	text := fmt.Sprintf(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"r1","kind":{"group":"x","version":"v1","kind":%q},
 "resource":{"group":"x","version":"v1","resource":"x"},"name":"web","namespace":"shop","operation":%q,"userInfo":{"username":%q,"uid":"","groups":["a","b&c"],"extra":{"k":["v"]}},"object":%s`, kind, operation, user, object)
	if old != "" {
		text += `,"oldObject":` + old
	}
	return text + "}}"
}

func seeds() []string {
	plain, asking := fmt.Sprintf(seedMachine, ""), fmt.Sprintf(seedMachine,
		`"wukong.io/clone":"copy","wukong.io/export":"{\"target\":{\"registry\":{\"image\":\"r.example.com/a:1\",\"secretName\":\"s\"}}}","wukong.io/rollback":"before","wukong.io/snapshot":"{\"name\":\"x\"}","wukong.io/snapshot-policy":"nightly","wukong.io/requested-by.clone":"root"`)
	meta := `"metadata":{"name":"j","namespace":"shop","annotations":{"wukong.io/requested-by":"root"}}`
	jobs := map[string]string{
		"CloneJob":       `{"apiVersion":"wukong.io/v1alpha1","kind":"CloneJob",` + meta + `,"spec":{"source":{"virtualMachine":{"name":"web"},"mode":"Online"},"targets":{"namePrefix":"c","count":3}}}`,
		"ExportJob":      `{"apiVersion":"wukong.io/v1alpha1","kind":"ExportJob",` + meta + `,"spec":{"source":{"virtualMachine":"web"},"target":{"s3":{"endpoint":"https://s3.example.com","bucket":"b"},"schedule":"1 2 * * *"}}}`,
		"ImportJob":      `{"apiVersion":"wukong.io/v1alpha1","kind":"ImportJob",` + meta + `,"spec":{"source":{"http":{"url":"https://example.com/x","secretName":"s"}},"target":{"name":"d","size":"8Gi"}}}`,
		"RollbackJob":    `{"apiVersion":"wukong.io/v1alpha1","kind":"RollbackJob",` + meta + `,"spec":{"virtualMachine":"web","snapshot":"before"}}`,
		"SnapshotPolicy": `{"apiVersion":"wukong.io/v1alpha1","kind":"SnapshotPolicy",` + meta + `,"spec":{"schedule":"15 2 * * *","selector":{"matchLabels":{"a":"b"}},"retention":{"maxCount":7}}}`,
		"Wukong":         `{"apiVersion":"wukong.io/v1alpha1","kind":"Wukong",` + meta + `,"spec":{"pools":{"web":{"replicas":2,"template":{"disks":{"root":{"size":"8Gi","source":{"empty":{}}}}}}}}}`,
		"DataVolume":     `{"apiVersion":"cdi.kubevirt.io/v1beta1","kind":"DataVolume",` + meta + `,"spec":{"source":{"http":{"url":"http://10.0.0.1/x"}}}}`,
		"VirtualMachineSnapshot": `{"apiVersion":"snapshot.kubevirt.io/v1beta1","kind":"VirtualMachineSnapshot",` + meta +
			`,"spec":{"source":{"apiGroup":"kubevirt.io","kind":"VirtualMachine","name":"web"}}}`,
	}
	all := []string{
		seedReview("VirtualMachine", "CREATE", "alice", asking, ""), seedReview("VirtualMachine", "UPDATE", "alice", asking, plain),
		seedReview("VirtualMachine", "UPDATE", "system:serviceaccount:kubevirt:kubevirt-controller", asking, plain), seedReview("VirtualMachine", "DELETE", "alice", "null", plain),
	}
	for kind, object := range jobs {
		all = append(all, seedReview(kind, "CREATE", "alice", object, ""), seedReview(kind, "UPDATE", "alice", object, object))
	}
	slices.Sort(all)
	return all
}

// FuzzReviews sends whole reviews to every handler: none panics, and each is answered. Fleets are left to the fuzzing
// of pkg/fleet, as their expansion is too slow for this one.
func FuzzReviews(f *testing.F) {
	for _, seed := range seeds() {
		f.Add([]byte(seed))
	}
	all := servers(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		var asked admissionv1.AdmissionReview
		if json.Unmarshal(body, &asked) == nil && asked.Request != nil && asked.Request.Kind.Kind == "Wukong" {
			t.Skip()
		}
		for path, server := range all {
			review(t, server, path, body)
		}
	})
}

// Reviews whose trees are broken in every way JSON allows are answered, without a panic, and soon.
func TestBrokenReviewsAreAnswered(t *testing.T) {
	count := 4000
	if testing.Short() {
		count = 400
	}
	all := servers(t)
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same in every run
	slowest, where := time.Duration(0), ""
	for range count {
		seed := seeds()[random.IntN(len(seeds()))]
		var tree any
		if err := json.Unmarshal([]byte(seed), &tree); err != nil {
			t.Fatal(err)
		}
		for range 1 + random.IntN(3) {
			tree = broken(random, tree, 0)
		}
		body, err := json.Marshal(tree)
		if err != nil {
			t.Fatal(err)
		}
		for path, server := range all {
			if took := review(t, server, path, body); took > slowest {
				slowest, where = took, path
			}
		}
	}
	t.Logf("%d reviews by each of %d handlers; the slowest took %s (%s)", count, len(all), slowest.Round(time.Microsecond), where)
}

// broken changes one place of a tree.
func broken(random *rand.Rand, tree any, depth int) any {
	if depth > 1 && random.IntN(6) == 0 {
		return []any{
			nil, "", "{", "\u0000", -1, 1e300, true, map[string]any{}, []any{}, []any{nil}, map[string]any{"": nil}, strings.Repeat("a", 300), "02:00:00:00:00:01",
		}[random.IntN(13)]
	}
	switch value := tree.(type) {
	case map[string]any:
		keys := make([]string, 0, len(value))
		for key := range value {
			keys = append(keys, key)
		}
		if len(keys) == 0 {
			return value
		}
		slices.Sort(keys)
		key := keys[random.IntN(len(keys))]
		if depth == 0 {
			key = "request"
		}
		value[key] = broken(random, value[key], depth+1)
	case []any:
		if len(value) > 0 {
			i := random.IntN(len(value))
			value[i] = broken(random, value[i], depth+1)
		}
	}
	return tree
}
