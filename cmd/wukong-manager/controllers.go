package main

import (
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"wukong.io/wukong/pkg/controller"
	"wukong.io/wukong/pkg/validation"
)

// controllersOptions are the flags of the controllers.
type controllersOptions struct {
	*shared
	leaderElect bool
	namespace   string
}

func controllersCommand(shared *shared) *cobra.Command {
	o := &controllersOptions{shared: shared}
	cmd := &cobra.Command{
		Use:   "controllers",
		Short: "Carry out what machines' annotations ask for",
		Args:  cobra.NoArgs,
		RunE:  o.run,
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.leaderElect, "leader-elect", true, "let one replica work, and the others wait")
	flags.StringVar(&o.namespace, "namespace", "wukong-system", "namespace of the leader's Lease")
	return cmd
}

func (o *controllersOptions) run(cmd *cobra.Command, _ []string) error {
	policy, err := validation.ParsePolicy(o.policy)
	if err != nil {
		return fmt.Errorf("reading the policy: %w", err)
	}
	scheme := runtime.NewScheme()
	builder := runtime.NewSchemeBuilder(clientgoscheme.AddToScheme, controller.AddToScheme)
	if err := builder.AddToScheme(scheme); err != nil {
		return fmt.Errorf("building scheme: %w", err)
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("finding the cluster: %w", err)
	}
	config.QPS = -1 // the API server's own priority and fairness is the limit
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:                        scheme,
		Cache:                         controller.CacheOptions(),
		Client:                        client.Options{FieldValidation: "Strict"},
		Metrics:                       server.Options{BindAddress: o.metricsAddress},
		HealthProbeBindAddress:        o.probeAddress,
		LeaderElection:                o.leaderElect,
		LeaderElectionID:              "wukong-controllers",
		LeaderElectionNamespace:       o.namespace,
		LeaderElectionReleaseOnCancel: true,
	})
	if err != nil {
		return fmt.Errorf("creating the manager: %w", err)
	}
	if err := controller.Setup(mgr, policy); err != nil {
		return fmt.Errorf("setting up the controllers: %w", err)
	}
	if err := mgr.AddHealthzCheck("ping", func(*http.Request) error { return nil }); err != nil {
		return fmt.Errorf("adding /healthz: %w", err)
	}
	if err := mgr.AddReadyzCheck("ping", func(*http.Request) error { return nil }); err != nil {
		return fmt.Errorf("adding /readyz: %w", err)
	}
	return mgr.Start(cmd.Context())
}
