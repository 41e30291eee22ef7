package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"wukong.io/wukong/pkg/defaults"
	"wukong.io/wukong/pkg/fleet"
)

// classes is a cluster of three storage classes, one the default. It copies
// what it gives, as the caches do.
type classes struct{ nothing }

// Get implements client.Reader.
func (c classes) Get(ctx context.Context, key client.ObjectKey, into client.Object, options ...client.GetOption) error {
	profile, ok := into.(*cdiv1.StorageProfile)
	if !ok {
		return c.nothing.Get(ctx, key, into, options...)
	}
	set := cdiv1.ClaimPropertySet{AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany}, VolumeMode: new(corev1.PersistentVolumeBlock)}
	found := cdiv1.StorageProfile{ObjectMeta: metav1.ObjectMeta{Name: key.Name}}
	found.Status.ClaimPropertySets = []cdiv1.ClaimPropertySet{set}
	found.DeepCopyInto(profile)
	return nil
}

// List implements client.Reader.
func (c classes) List(ctx context.Context, into client.ObjectList, options ...client.ListOption) error {
	list, ok := into.(*storagev1.StorageClassList)
	if !ok {
		return c.nothing.List(ctx, into, options...)
	}
	for i := range 3 {
		class := storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("class-%d", i)}, Provisioner: "csi.example.com"}
		if i == 0 {
			class.Annotations = map[string]string{"storageclass.kubernetes.io/is-default-class": "true"}
		}
		list.Items = append(list.Items, class)
	}
	return nil
}

// benchFleet is a pool like those of the documentation: two disks, one of them
// cloned from an image, a network, cloud-init and packages.
const benchFleet = `images:
  fedora: {importSource: {registry: {url: "docker://quay.io/containerdisks/fedora:41"}}, size: 10Gi}
pools:
  web:
    replicas: 1
    template:
      resources: {cpu: 2, memory: 4Gi}
      disks:
        root: {size: 20Gi, source: {image: fedora}, bootOrder: 1}
        data: {size: 100Gi, source: {empty: {}}}
      networks:
        default: {pod: {}}
      cloudInit: {user: ops, packages: [nginx]}
`

// updateReview is the review of an edit of a fleet's machine as the API server
// sends it, with the defaults of its creation in place.
func updateReview(b *testing.B, base handler, renderer *fleet.Renderer) admission.Request {
	b.Helper()
	values, err := fleet.ParseValues([]byte(benchFleet))
	if err != nil {
		b.Fatal(err)
	}
	objects, err := renderer.Render(b.Context(), fleet.Fleet{Namespace: "shop", Name: "shop", Values: values}, fleet.Options{InCluster: true})
	if err != nil {
		b.Fatal(err)
	}
	var vm *kubevirtv1.VirtualMachine
	for _, object := range objects {
		if found, ok := object.(*kubevirtv1.VirtualMachine); ok {
			vm = found
		}
	}
	if vm == nil {
		b.Fatalf("found no machine among the %d objects of the fleet", len(objects))
	}
	vm.UID, vm.ResourceVersion, vm.Generation = "6f1c0c5e-0b0c-4a5e-9d3a-0d5b8f0b2c11", "123456", 3
	vm.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "helm", Operation: "Update", APIVersion: "kubevirt.io/v1", FieldsType: "FieldsV1", FieldsV1: managedFields(b, vm)}}
	tree, err := decodeMap(encoded(b, vm))
	if err != nil {
		b.Fatal(err)
	}
	defaulter := &machineDefaulter{base}
	defaults.VirtualMachine(tree, nil, defaulter.facts(b.Context()))
	before := encoded(b, tree)
	metadataOf(tree)["generation"] = 4
	labels, ok := metadataOf(tree)["labels"].(map[string]any)
	if !ok {
		b.Fatal("the fleet's machine has no labels")
	}
	labels["example.com/tier"] = "front"
	req := admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
		UID: types.UID("d1b6f0d6-4b0f-4b62-9c34-5e6a7e1f0a11"), Operation: admissionv1.Update, Name: vm.Name, Namespace: vm.Namespace,
		Kind:     metav1.GroupVersionKind{Group: "kubevirt.io", Version: "v1", Kind: "VirtualMachine"},
		Resource: metav1.GroupVersionResource{Group: "kubevirt.io", Version: "v1", Resource: "virtualmachines"},
		UserInfo: authenticationv1.UserInfo{Username: "alice", Groups: []string{"team-a", "system:authenticated"}},
		Object:   runtime.RawExtension{Raw: encoded(b, tree)}, OldObject: runtime.RawExtension{Raw: before},
	}}
	if answer := (&machineValidator{base}).Handle(b.Context(), req); !answer.Allowed {
		b.Fatalf("the edit was refused: %v", answer.Result)
	}
	if answer := defaulter.Handle(b.Context(), req); len(answer.Patches) > 0 {
		b.Fatalf("the machine has its defaults and the edit was changed: %v", answer.Patches)
	}
	return req
}

// managedFields says that one manager owns every field, as after a first apply.
func managedFields(b *testing.B, vm *kubevirtv1.VirtualMachine) *metav1.FieldsV1 {
	b.Helper()
	var tree map[string]any
	if err := json.Unmarshal(encoded(b, vm), &tree); err != nil {
		b.Fatal(err)
	}
	fields := &metav1.FieldsV1{}
	fields.SetRawBytes(encoded(b, owned(tree)))
	return fields
}

func owned(tree any) any {
	fields := map[string]any{}
	object, _ := tree.(map[string]any)
	for key, value := range object {
		fields["f:"+key] = owned(value)
	}
	return fields
}

func encoded(b *testing.B, value any) []byte {
	b.Helper()
	raw, err := json.Marshal(value)
	if err != nil {
		b.Fatal(err)
	}
	return raw
}

func benchHandler(b *testing.B) (handler, *fleet.Renderer) {
	b.Helper()
	scheme := runtime.NewScheme()
	if err := AddToScheme(scheme); err != nil {
		b.Fatal(err)
	}
	renderer, err := fleet.New()
	if err != nil {
		b.Fatal(err)
	}
	return handler{
		Options: Options{ControllersUser: "system:serviceaccount:wukong-system:wukong-controllers", KubeVirtNamespace: "kubevirt", Clock: clock.RealClock{}},
		cache:   classes{}, live: denying{}, reader: classes{}, decoder: admission.NewDecoder(scheme),
	}, renderer
}

// BenchmarkReviews measures an edit of a fleet's machine: how many decoded
// reviews a handler answers in a second, and how many whole HTTP requests.
// Run it with GOMAXPROCS=1 for the figure of one core.
func BenchmarkReviews(b *testing.B) {
	base, renderer := benchHandler(b)
	req := updateReview(b, base, renderer)
	body := encoded(b, admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"}, Request: &req.AdmissionRequest,
	})
	for path, name := range map[string]string{PathMutateMachine: "mutate", PathValidateMachine: "validate"} {
		h := handlers(base, renderer)[path]
		b.Run(name+"/handler", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if answer := h.Handle(b.Context(), req); !answer.Allowed {
					b.Fatalf("the edit was refused: %v", answer.Result)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "reviews/s")
		})
		server := &admission.Webhook{Handler: h}
		b.Run(name+"/http", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				request := httptest.NewRequestWithContext(b.Context(), http.MethodPost, path, bytes.NewReader(body))
				request.Header.Set("Content-Type", "application/json")
				recorder := httptest.NewRecorder()
				server.ServeHTTP(recorder, request)
				if recorder.Code != http.StatusOK {
					b.Fatalf("answered %d: %s", recorder.Code, recorder.Body)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "reviews/s")
		})
	}
}
