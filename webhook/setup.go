package webhook

import (
	"context"
	"fmt"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"wukong.io/wukong/pkg/fleet"
	"wukong.io/wukong/pkg/validation"
)

// Paths of the webhook's handlers, which charts/wukong registers.
const (
	PathMutateMachine    = "/mutate/virtualmachines"
	PathMutateJob        = "/mutate/jobs"
	PathValidateMachine  = "/validate/virtualmachines"
	PathValidateSnapshot = "/validate/virtualmachinesnapshots"
	PathValidateVolume   = "/validate/datavolumes"
	PathValidateOwn      = "/validate/wukong"
)

// Options configure the webhook.
type Options struct {
	// Policy says where disks may be sent to and fetched from; nil is the
	// default, which allows no destination and public sources.
	Policy *validation.Policy
	// ControllersUser is the user name of Wukong's controllers, who write stamps
	// and reports.
	ControllersUser string
	// KubeVirtNamespace is where KubeVirt runs: its ServiceAccounts restore
	// machines, and ask for nothing.
	KubeVirtNamespace string
	// Clock gives the time of a stamp.
	Clock clock.PassiveClock
}

// AddToScheme registers the kinds the webhook reads.
func AddToScheme(scheme *runtime.Scheme) error {
	if err := fleet.AddToScheme(scheme); err != nil {
		return fmt.Errorf("registering the kinds of fleets: %w", err)
	}
	return addToScheme(scheme)
}

// Setup registers every handler with the manager's webhook server, and the
// informers they read.
func Setup(ctx context.Context, mgr manager.Manager, options Options) error {
	found := kinds{scheme: mgr.GetScheme(), mapper: mgr.GetRESTMapper()}
	present, absent, err := found.present(ctx, watchedKinds())
	if err != nil {
		return err
	}
	if err := setupCache(ctx, mgr, present); err != nil {
		return err
	}
	if len(absent) > 0 {
		if err := mgr.Add(arrival{kinds: found, absent: absent}); err != nil {
			return fmt.Errorf("adding the watch for definitions: %w", err)
		}
	}
	renderer, err := fleet.New()
	if err != nil {
		return fmt.Errorf("loading the fleet engine: %w", err)
	}
	base := handler{
		Options: options,
		cache:   newKnownReader(mgr.GetCache(), absent),
		live:    mgr.GetClient(),
		reader:  mgr.GetAPIReader(),
		decoder: admission.NewDecoder(mgr.GetScheme()),
	}
	for path, h := range handlers(base, renderer) {
		mgr.GetWebhookServer().Register(path, &webhook.Admission{Handler: h})
	}
	return nil
}

// handlers lists every handler by its path.
func handlers(base handler, renderer *fleet.Renderer) map[string]admission.Handler {
	return map[string]admission.Handler{
		PathMutateMachine:    &machineDefaulter{base},
		PathMutateJob:        &jobStamper{base},
		PathValidateMachine:  &machineValidator{base},
		PathValidateSnapshot: &snapshotValidator{base},
		PathValidateVolume:   &volumeValidator{base},
		PathValidateOwn:      &ownValidator{handler: base, renderer: renderer},
	}
}

// handler is what every handler has.
type handler struct {
	Options
	cache   client.Reader
	live    client.Writer
	reader  client.Reader
	decoder admission.Decoder
}

// letThrough says whether a review must pass whatever it holds: what is being
// deleted must be able to go, and so must its finalizers.
func letThrough(req *admissionv1.AdmissionRequest, deleting bool) bool {
	return req.Operation == admissionv1.Delete || req.SubResource != "" || deleting
}

func badRequest(err error) admission.Response {
	return admission.Errored(http.StatusBadRequest, err)
}
