package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"helm.sh/helm/v3/pkg/release"

	"wukong.io/wukong/pkg/cli/output"
)

func newInstallCommand(env *environment) *cobra.Command {
	o := &deployOptions{env: env, output: output.NewFlag(output.Standard()...)}
	cmd := &cobra.Command{
		Use:   "install NAME -f FILE",
		Short: "Install a fleet as a Helm release and wait until it is ready",
		Long: `Install a fleet as a Helm release and wait until it is ready.

Before anything is made the fleet is validated, its release's size predicted, and the
cluster asked for what the fleet needs: kinds, storage classes, snapshot classes, and what
it refers to. The release is one that stock helm lists, upgrades and uninstalls.

The wait knows what the fleet asks for: a halted machine is ready when it is stopped, a
disk that waits for its first consumer is ready while its machine is halted, and a change
that needs a restart is a warning. It ends early where something has failed for good.`,
		Example: env.examples(`
  # Install and wait
  wukong install shop -n prod --create-namespace -f fleet.yaml

  # Only ask whether the cluster could take it
  wukong install shop -n prod -f fleet.yaml --dry-run`),
		Args: oneName,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.complete(args, "install"); err != nil {
				return err
			}
			return o.runInstall(cmd.Context())
		},
	}
	o.addFlags(cmd.Flags())
	cmd.Flags().BoolVar(&o.createNamespace, "create-namespace", false, "make the namespace if it does not exist")
	o.output.AddTo(cmd)
	return cmd
}

func (o *deployOptions) runInstall(ctx context.Context) error {
	d, err := o.prepare(ctx)
	if err != nil {
		return err
	}
	current, err := currentRelease(d.configuration, d.fleet.Name)
	if err != nil {
		return err
	}
	if current != nil && current.Info.Status != release.StatusUninstalled {
		return &ExitError{Code: exitRefused, Cause: fmt.Errorf("fleet %q is installed already, at revision %d (%s): change it with %q",
			d.fleet.Name, current.Version, current.Info.Status, d.env.program+" upgrade "+d.fleet.Name)}
	}
	return d.install(ctx, current != nil)
}
