package cdi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

const (
	webhookName = "cdi-api-datavolume-validate"
	webhookPath = "/datavolume-validate"
)

// gate refuses DataVolumes as CDI's webhook does, with CDI's own code for who may clone what: it asks the
// API server whether the user who creates the DataVolume has rights on the source, a DataSource resolved.
type gate struct {
	client  client.Client
	decoder admission.Decoder
}

// registerWebhook has the API server ask this process about new DataVolumes.
func registerWebhook(ctx context.Context, p endpoint) error {
	c, url := p.direct, p.url()+webhookPath
	config := &admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: webhookName}}
	err := c.Get(ctx, client.ObjectKeyFromObject(config), config)
	if client.IgnoreNotFound(err) != nil {
		return err
	}
	config.Webhooks = []admissionregistrationv1.ValidatingWebhook{{
		Name:                    "datavolume-validate.cdi.kubevirt.io",
		ClientConfig:            admissionregistrationv1.WebhookClientConfig{URL: &url, CABundle: p.bundle},
		FailurePolicy:           new(admissionregistrationv1.Fail),
		SideEffects:             new(admissionregistrationv1.SideEffectClassNone),
		TimeoutSeconds:          new(int32(30)),
		AdmissionReviewVersions: []string{"v1"},
		Rules: []admissionregistrationv1.RuleWithOperations{{
			Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
			Rule: admissionregistrationv1.Rule{
				APIGroups: []string{group}, APIVersions: []string{"v1beta1"}, Resources: []string{"datavolumes", "dataimportcrons"},
			},
		}},
	}}
	if apierrors.IsNotFound(err) {
		return c.Create(ctx, config)
	}
	return c.Update(ctx, config)
}

// Handle answers one request.
func (g *gate) Handle(ctx context.Context, req admission.Request) admission.Response {
	if req.Resource.Resource == "dataimportcrons" {
		return g.handleCron(req)
	}
	dv := &cdiv1.DataVolume{}
	if err := g.decoder.Decode(req, dv); err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}
	if reason := checkSpec(&dv.Spec); reason != "" {
		return refuse(reason)
	}
	if reason, err := g.claimInTheWay(ctx, req.Namespace, dv); err != nil || reason != "" {
		return refuseOr(reason, err)
	}
	answer, err := dv.AuthorizeUser(req.Namespace, req.Name, &authority{g, ctx}, req.UserInfo)
	switch {
	case errors.Is(err, cdiv1.ErrNoTokenOkay):
		return admission.Allowed("")
	case apierrors.IsNotFound(err) && dv.Spec.SourceRef != nil:
		return admission.Allowed("") // the DataVolume waits for its DataSource
	case err != nil:
		return admission.Errored(http.StatusBadRequest, err)
	case !answer.Allowed:
		return refuse(answer.Reason)
	default:
		return admission.Allowed("")
	}
}

func (g *gate) handleCron(req admission.Request) admission.Response {
	job := &cdiv1.DataImportCron{}
	if err := g.decoder.Decode(req, job); err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}
	return refuseOr(checkCron(job), nil)
}

func refuse(reason string) admission.Response {
	response := admission.Denied(reason)
	response.Result.Message = reason
	response.Result.Code = http.StatusUnprocessableEntity
	response.Result.Reason = metav1.StatusReasonInvalid
	return response
}

func refuseOr(reason string, err error) admission.Response {
	switch {
	case err != nil:
		return admission.Errored(http.StatusInternalServerError, err)
	case reason != "":
		return refuse(reason)
	default:
		return admission.Allowed("")
	}
}

// claimInTheWay refuses a DataVolume whose claim exists and may not be taken over.
func (g *gate) claimInTheWay(ctx context.Context, namespace string, dv *cdiv1.DataVolume) (string, error) {
	claim := &corev1.PersistentVolumeClaim{}
	err := g.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: dv.Name}, claim)
	if err != nil || dv.Name == "" {
		return "", client.IgnoreNotFound(err)
	}
	owner := metav1.GetControllerOf(claim)
	if adoptable(dv, claim) || (owner != nil && owner.Kind == "DataVolume") {
		return "", nil
	}
	return fmt.Sprintf("Destination PVC %s/%s already exists", namespace, dv.Name), nil
}

// authority asks the API server what CDI's authorisation code wants to know.
type authority struct {
	*gate
	ctx context.Context //nolint:containedctx // CDI's interface has no other place for it
}

// CreateSar asks whether somebody may do something.
func (a *authority) CreateSar(review *authorizationv1.SubjectAccessReview) (*authorizationv1.SubjectAccessReview, error) {
	return review, a.client.Create(a.ctx, review)
}

// GetNamespace reads a namespace.
func (a *authority) GetNamespace(name string) (*corev1.Namespace, error) {
	namespace := &corev1.Namespace{}
	return namespace, a.client.Get(a.ctx, client.ObjectKey{Name: name}, namespace)
}

// GetDataSource reads a DataSource.
func (a *authority) GetDataSource(namespace, name string) (*cdiv1.DataSource, error) {
	source := &cdiv1.DataSource{}
	return source, a.client.Get(a.ctx, client.ObjectKey{Namespace: namespace, Name: name}, source)
}

// setFields counts the pointers of a union that are set.
func setFields(union any) int {
	count := 0
	for _, field := range reflect.ValueOf(union).Fields() {
		if field.Kind() == reflect.Pointer && !field.IsNil() {
			count++
		}
	}
	return count
}
