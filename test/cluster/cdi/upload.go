package cdi

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	uploadv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/upload/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	serviceName      = "cdi-api"
	serviceNamespace = "cdi"
	uploadGroup      = "upload.cdi.kubevirt.io"
	tokenLife        = 5 * time.Minute
)

// uploads is CDI's upload API and its upload proxy: a token for a claim, and with it the data of that claim.
type uploads struct {
	*env

	mu     sync.Mutex
	tokens map[string]grant
	busy   map[client.ObjectKey]bool
}

// grant is what a token allows, and until when.
type grant struct {
	claim client.ObjectKey
	until time.Time
}

func newUploads(e *env) *uploads {
	return &uploads{env: e, tokens: map[string]grant{}, busy: map[client.ObjectKey]bool{}}
}

func (u *uploads) handle(mux *http.ServeMux) {
	mux.HandleFunc("GET /apis/"+uploadGroup+"/v1beta1", u.discover)
	mux.HandleFunc("POST /apis/"+uploadGroup+"/v1beta1/namespaces/{namespace}/uploadtokenrequests", u.issue)
	for _, path := range []string{"/v1beta1/upload", "/v1beta1/upload-async"} {
		mux.HandleFunc("HEAD "+path, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
		mux.HandleFunc("POST "+path, u.receive)
		mux.HandleFunc("PUT "+path, u.receive)
	}
}

func answerJSON(w http.ResponseWriter, code int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(value) // a client that is gone needs no answer
}

func (u *uploads) discover(w http.ResponseWriter, _ *http.Request) {
	answerJSON(w, http.StatusOK, &metav1.APIResourceList{
		TypeMeta:     metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"},
		GroupVersion: uploadGroup + "/v1beta1",
		APIResources: []metav1.APIResource{{
			Name: "uploadtokenrequests", SingularName: "uploadtokenrequest", Kind: "UploadTokenRequest",
			Namespaced: true, Verbs: metav1.Verbs{"create"},
		}},
	})
}

// issue gives a token for a claim. Who may ask was checked by the API server before it came here.
func (u *uploads) issue(w http.ResponseWriter, r *http.Request) {
	request := &uploadv1.UploadTokenRequest{}
	if err := json.NewDecoder(r.Body).Decode(request); err != nil {
		answerJSON(w, http.StatusBadRequest, apierrors.NewBadRequest(err.Error()).Status())
		return
	}
	claim := client.ObjectKey{Namespace: r.PathValue("namespace"), Name: request.Spec.PvcName}
	if err := u.endpoint.direct.Get(r.Context(), claim, &corev1.PersistentVolumeClaim{}); err != nil {
		status := apierrors.NewBadRequest(err.Error()).Status()
		if known, ok := errors.AsType[*apierrors.StatusError](err); ok {
			status = known.Status()
		}
		answerJSON(w, int(status.Code), status)
		return
	}
	token := rand.Text()
	u.mu.Lock()
	u.tokens[token] = grant{claim: claim, until: u.clock.Now().Add(tokenLife)}
	u.mu.Unlock()
	request.Kind, request.APIVersion = "UploadTokenRequest", uploadGroup+"/v1beta1"
	request.Namespace = claim.Namespace
	request.Status.Token = token
	answerJSON(w, http.StatusCreated, request)
}

// receive takes the data of a claim.
func (u *uploads) receive(w http.ResponseWriter, r *http.Request) {
	claim, ok := u.granted(r)
	if !ok {
		http.Error(w, "the token is not valid", http.StatusUnauthorized)
		return
	}
	if !u.begin(claim) {
		http.Error(w, "an upload is under way", http.StatusServiceUnavailable)
		return
	}
	defer u.end(claim)
	if code, err := u.store(r, claim); err != nil {
		http.Error(w, err.Error(), code)
	}
}

func (u *uploads) granted(r *http.Request) (client.ObjectKey, bool) {
	token, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	u.mu.Lock()
	defer u.mu.Unlock()
	allowed, known := u.tokens[token]
	return allowed.claim, found && known && u.clock.Now().Before(allowed.until)
}

func (u *uploads) begin(claim client.ObjectKey) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.busy[claim] {
		return false
	}
	u.busy[claim] = true
	return true
}

func (u *uploads) end(claim client.ObjectKey) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.busy, claim)
}

// store writes the body into the volume and marks the claim as done, from where the populator goes on.
func (u *uploads) store(r *http.Request, key client.ObjectKey) (code int, err error) {
	ctx := r.Context()
	claim := &corev1.PersistentVolumeClaim{}
	if err := u.endpoint.direct.Get(ctx, key, claim); err != nil {
		return http.StatusNotFound, err
	}
	if claim.Annotations[annPodReady] != "true" || claim.Annotations[annPodPhase] != string(corev1.PodRunning) {
		return http.StatusServiceUnavailable, fmt.Errorf("PVC %s is not ready for an upload", key.Name)
	}
	holder := claim
	if populatorKind(claim) != "" {
		holder = &corev1.PersistentVolumeClaim{}
		if err := u.endpoint.direct.Get(ctx, client.ObjectKey{Namespace: key.Namespace, Name: primeName(claim)}, holder); err != nil {
			return http.StatusServiceUnavailable, err
		}
	}
	j, err := (&populators{u.env}).job(ctx, claim, holder)
	if err != nil {
		return http.StatusInternalServerError, err
	}
	t := &transfer{job: j, engine: u.engine}
	if err := t.copy(ctx, &stream{ReadCloser: r.Body, total: r.ContentLength}); err != nil {
		return http.StatusBadRequest, err
	}
	done := state{phase: corev1.PodSucceeded, progress: "100.0%", reason: reasonDone, message: "Upload Complete"}
	err = (&populators{u.env}).show(ctx, claim, done, claim.Annotations[annPrimeName])
	return http.StatusInternalServerError, err
}

// registerUploads makes the API server pass requests for the group on to this process. Loopback endpoints are
// not allowed, a Service that is another name of localhost is.
func registerUploads(ctx context.Context, p endpoint) error {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: serviceNamespace}}
	if err := client.IgnoreAlreadyExists(p.direct.Create(ctx, namespace)); err != nil {
		return err
	}
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: serviceName, Namespace: serviceNamespace}}
	service.Spec.Type, service.Spec.ExternalName = corev1.ServiceTypeExternalName, "localhost"
	if err := client.IgnoreAlreadyExists(p.direct.Create(ctx, service)); err != nil {
		return err
	}
	api := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiregistration.k8s.io/v1",
		"kind":       "APIService",
		"metadata":   map[string]any{"name": "v1beta1." + uploadGroup},
	}}
	err := client.IgnoreNotFound(p.direct.Get(ctx, client.ObjectKeyFromObject(api), api))
	if err != nil {
		return err
	}
	api.Object["spec"] = map[string]any{
		"group": uploadGroup, "version": "v1beta1", "groupPriorityMinimum": int64(1000), "versionPriority": int64(15),
		"caBundle": p.bundle,
		"service":  map[string]any{"name": serviceName, "namespace": serviceNamespace, "port": int64(p.port)},
	}
	if api.GetResourceVersion() == "" {
		return p.direct.Create(ctx, api)
	}
	return p.direct.Update(ctx, api)
}
