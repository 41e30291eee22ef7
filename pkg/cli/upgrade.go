package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"helm.sh/helm/v3/pkg/release"

	"wukong.io/wukong/pkg/cli/output"
)

func newUpgradeCommand(env *environment) *cobra.Command {
	o := &deployOptions{env: env, output: output.NewFlag(output.Standard()...)}
	install := false
	cmd := &cobra.Command{
		Use:   "upgrade NAME -f FILE",
		Short: "Change an installed fleet and wait until it is ready",
		Long: `Change an installed fleet and wait until it is ready.

The fleet becomes what the file says, whatever was set before. The checks and the wait are
those of install. Changes that a disk cannot take, such as another source or a smaller
size, are refused before anything is changed.`,
		Example: env.examples(`
  # See what would change, then change it
  wukong diff shop -n prod -f fleet.yaml
  wukong upgrade shop -n prod -f fleet.yaml

  # The same command, whether the fleet exists or not
  wukong upgrade --install shop -n prod -f fleet.yaml`),
		Args:              oneName,
		ValidArgsFunction: env.completeFleets,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.complete(args, "upgrade"); err != nil {
				return err
			}
			return o.runUpgrade(cmd.Context(), install)
		},
	}
	o.addFlags(cmd.Flags())
	cmd.Flags().BoolVarP(&install, "install", "i", false, "install the fleet if it is not installed")
	cmd.Flags().BoolVar(&o.createNamespace, "create-namespace", false, "with --install, make the namespace if it does not exist")
	o.output.AddTo(cmd)
	return cmd
}

func (o *deployOptions) runUpgrade(ctx context.Context, install bool) error {
	d, err := o.prepare(ctx)
	if err != nil {
		return err
	}
	current, err := currentRelease(d.configuration, d.fleet.Name)
	if err != nil {
		return err
	}
	if current != nil && current.Info.Status != release.StatusUninstalled {
		return d.upgrade(ctx)
	}
	if !install {
		return &ExitError{Code: exitRefused, Cause: fmt.Errorf("fleet %q is not installed in namespace %q: install it with %q, or add --install",
			d.fleet.Name, d.fleet.Namespace, d.env.program+" install "+d.fleet.Name)}
	}
	return d.install(ctx, current != nil)
}
