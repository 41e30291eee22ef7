// Command wukong-manager runs Wukong's admission webhook, or its controllers.
// The two are Deployments of their own, with ServiceAccounts of their own.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/manager/signals"

	"wukong.io/wukong/pkg/validation"
)

func main() {
	if err := command().ExecuteContext(signals.SetupSignalHandler()); err != nil {
		fmt.Fprintln(os.Stderr, "wukong-manager:", err)
		os.Exit(1)
	}
}

// shared are the flags of both processes.
type shared struct {
	metricsAddress string
	probeAddress   string
	policy         validation.PolicySpec
	verbose        bool
}

func command() *cobra.Command {
	options := &shared{}
	root := &cobra.Command{
		Use:           "wukong-manager",
		Short:         "Run Wukong's webhook or its controllers",
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRun: func(*cobra.Command, []string) {
			log.SetLogger(zap.New(zap.UseDevMode(options.verbose)))
		},
	}
	flags := root.PersistentFlags()
	flags.StringVar(&options.metricsAddress, "metrics-address", ":8080", "address of the metrics, 0 for none")
	flags.StringVar(&options.probeAddress, "probe-address", ":8081", "address of /healthz and /readyz")
	flags.StringSliceVar(&options.policy.Registries, "allow-registry", nil, "registry that disks may be exported to, as host or host/path")
	flags.StringSliceVar(&options.policy.S3, "allow-s3", nil, "S3 bucket that disks may be exported to, as URL of endpoint and bucket")
	flags.StringSliceVar(&options.policy.Imports, "allow-import", nil, "beginning of URLs that disks may be imported from although their host is private")
	flags.BoolVar(&options.verbose, "verbose", false, "log for developers")
	root.AddCommand(webhookCommand(options), controllersCommand(options))
	return root
}
