package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	webhookserver "sigs.k8s.io/controller-runtime/pkg/webhook"

	"wukong.io/wukong/pkg/certificate"
	"wukong.io/wukong/pkg/validation"
	"wukong.io/wukong/webhook"
)

// webhookOptions are the flags of the webhook.
type webhookOptions struct {
	*shared
	host              string
	port              int
	certDir           string
	selfSigned        bool
	namespace         string
	secret            string
	hosts             []string
	mutating          string
	validating        string
	lifetimes         certificate.Lifetimes
	controllersUser   string
	kubeVirtNamespace string
}

func webhookCommand(shared *shared) *cobra.Command {
	o := &webhookOptions{shared: shared}
	cmd := &cobra.Command{
		Use:   "webhook",
		Short: "Answer the API server's admission reviews",
		Args:  cobra.NoArgs,
		RunE:  o.run,
	}
	flags := cmd.Flags()
	flags.StringVar(&o.host, "listen", "", "address to listen on; all if empty")
	flags.IntVar(&o.port, "port", 9443, "port to listen on")
	flags.StringVar(&o.certDir, "cert-dir", "/var/run/wukong/cert", "folder of tls.crt and tls.key, where the webhook does not manage its certificate itself")
	flags.BoolVar(&o.selfSigned, "manage-certificate", true, "make and renew the certificate; false where cert-manager does")
	flags.StringVar(&o.namespace, "namespace", "wukong-system", "namespace of the certificate's Secret")
	flags.StringVar(&o.secret, "secret", "wukong-webhook-cert", "name of the certificate's Secret")
	flags.StringSliceVar(&o.hosts, "host", []string{"wukong-webhook.wukong-system.svc"}, "host the API server reaches the webhook at")
	flags.StringVar(&o.mutating, "mutating-configuration", "mutating.wukong.io", "mutating webhook configuration that is told the certificate's authority")
	flags.StringVar(&o.validating, "validating-configuration", "validating.wukong.io", "validating webhook configuration that is told the certificate's authority")
	defaults := certificate.DefaultLifetimes()
	flags.DurationVar(&o.lifetimes.Authority, "authority-lifetime", defaults.Authority, "lifetime of the authority that signs the certificate")
	flags.DurationVar(&o.lifetimes.Serving, "certificate-lifetime", defaults.Serving, "lifetime of the certificate")
	flags.DurationVar(&o.lifetimes.Settle, "authority-settle", defaults.Settle, "how long a new authority is trusted before it signs")
	flags.DurationVar(&o.lifetimes.Interval, "certificate-interval", defaults.Interval, "how often the certificate is looked at")
	flags.StringVar(&o.controllersUser, "controllers-user", "system:serviceaccount:wukong-system:wukong-controllers", "user name of Wukong's controllers")
	flags.StringVar(&o.kubeVirtNamespace, "kubevirt-namespace", "kubevirt", "namespace KubeVirt runs in")
	return cmd
}

func (o *webhookOptions) run(cmd *cobra.Command, _ []string) error {
	policy, err := validation.ParsePolicy(o.policy)
	if err != nil {
		return fmt.Errorf("reading the policy: %w", err)
	}
	scheme := runtime.NewScheme()
	builder := runtime.NewSchemeBuilder(clientgoscheme.AddToScheme, webhook.AddToScheme)
	if err := builder.AddToScheme(scheme); err != nil {
		return fmt.Errorf("building scheme: %w", err)
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("finding the cluster: %w", err)
	}
	config.QPS = -1 // the API server's own priority and fairness is the limit
	var rotator *certificate.Rotator
	if o.selfSigned {
		if rotator, err = o.rotator(config, scheme); err != nil {
			return err
		}
		if err := ensureCertificate(cmd.Context(), rotator); err != nil {
			return err
		}
	}
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:                 scheme,
		Cache:                  webhook.CacheOptions(),
		Metrics:                server.Options{BindAddress: o.metricsAddress},
		HealthProbeBindAddress: o.probeAddress,
		WebhookServer:          o.server(rotator),
	})
	if err != nil {
		return fmt.Errorf("creating the manager: %w", err)
	}
	err = webhook.Setup(cmd.Context(), mgr, webhook.Options{
		Policy: policy, ControllersUser: o.controllersUser, KubeVirtNamespace: o.kubeVirtNamespace, Clock: clock.RealClock{},
	})
	if err != nil {
		return fmt.Errorf("setting up the webhook: %w", err)
	}
	if rotator != nil {
		if err := mgr.Add(rotator); err != nil {
			return fmt.Errorf("adding the certificate's rotation: %w", err)
		}
	}
	if err := probes(mgr); err != nil {
		return err
	}
	return mgr.Start(cmd.Context())
}

// ensureCertificate makes the certificate before the server starts, and tries
// again while another replica does the same.
func ensureCertificate(ctx context.Context, rotator *certificate.Rotator) error {
	for {
		err := rotator.Ensure(ctx)
		if err == nil {
			return nil
		}
		ctrl.Log.Error(err, "Could not make the webhook's certificate; will try again")
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// server serves the certificate of the rotator, or, without one, that in the
// folder.
func (o *webhookOptions) server(rotator *certificate.Rotator) webhookserver.Server {
	options := webhookserver.Options{Host: o.host, Port: o.port, CertDir: o.certDir}
	if rotator != nil {
		options.TLSOpts = []func(*tls.Config){func(config *tls.Config) { config.GetCertificate = rotator.Certificate }}
	}
	return webhookserver.NewServer(options)
}

func (o *webhookOptions) rotator(config *rest.Config, scheme *runtime.Scheme) (*certificate.Rotator, error) {
	live, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("creating a client: %w", err)
	}
	return certificate.New(live, clock.RealClock{}, certificate.Options{
		Secret: types.NamespacedName{Namespace: o.namespace, Name: o.secret},
		Hosts:  o.hosts, Mutating: o.mutating, Validating: o.validating, Lifetimes: o.lifetimes,
	}), nil
}

// probes are alive while the process is, and ready when the caches are full and
// the server answers.
func probes(mgr ctrl.Manager) error {
	if err := mgr.AddHealthzCheck("ping", func(*http.Request) error { return nil }); err != nil {
		return fmt.Errorf("adding /healthz: %w", err)
	}
	err := mgr.AddReadyzCheck("caches", func(req *http.Request) error {
		if !mgr.GetCache().WaitForCacheSync(req.Context()) {
			return errors.New("caches are not full yet")
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("adding /readyz: %w", err)
	}
	if err := mgr.AddReadyzCheck("webhook", mgr.GetWebhookServer().StartedChecker()); err != nil {
		return fmt.Errorf("adding /readyz: %w", err)
	}
	return nil
}
