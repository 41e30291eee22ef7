package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/release"

	"wukong.io/wukong/pkg/cli/manifest"
	"wukong.io/wukong/pkg/cli/output"
	"wukong.io/wukong/pkg/cli/progress"
	"wukong.io/wukong/pkg/cli/wait"
)

// uninstallOptions are those of the command uninstall.
type uninstallOptions struct {
	env         *environment
	output      *output.Flag
	wait        bool
	timeout     time.Duration
	dryRun      bool
	keepHistory bool

	name, namespace string
}

func newUninstallCommand(env *environment) *cobra.Command {
	o := &uninstallOptions{env: env, output: output.NewFlag(output.Standard()...)}
	cmd := &cobra.Command{
		Use:   "uninstall NAME",
		Short: "Delete a fleet and say which disks were kept",
		Long: `Delete a fleet and say which disks were kept.

Disks of pools with the retention policy Retain, which is the default, outlive their fleet.
Install a fleet of the same name and namespace and it has them again.`,
		Example: env.examples(`
  # See what would go and what would stay
  wukong uninstall shop -n prod --dry-run

  # Delete it
  wukong uninstall shop -n prod`),
		Args:              oneName,
		ValidArgsFunction: env.completeFleets,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.complete(args); err != nil {
				return err
			}
			return o.run(cmd.Context())
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.wait, "wait", true, "wait until no machine is left")
	flags.DurationVar(&o.timeout, "timeout", defaultTimeout, "how long to wait")
	flags.BoolVar(&o.dryRun, "dry-run", false, "say what would go and what would stay, and delete nothing")
	flags.BoolVar(&o.keepHistory, "keep-history", false, "keep the release for helm history")
	o.output.AddTo(cmd)
	return cmd
}

func (o *uninstallOptions) complete(args []string) error {
	if len(args) == 0 {
		return usage(fmt.Errorf("no fleet named: see them with %q", o.env.program+" status"))
	}
	o.name = args[0]
	var err error
	o.namespace, err = o.env.namespace()
	return err
}

func (o *uninstallOptions) run(ctx context.Context) error {
	configuration, err := o.env.helm(o.namespace)
	if err != nil {
		return err
	}
	current, err := currentRelease(configuration, o.name)
	if err != nil {
		return err
	}
	if current == nil {
		return fmt.Errorf("fleet %q is not installed in namespace %q: see those that are with %q", o.name, o.namespace, o.env.program+" status")
	}
	result, err := newUninstalled(current, o.dryRun)
	if err != nil {
		return err
	}
	if err := o.delete(ctx, configuration, labelOf(current.Name, current.Config)); err != nil {
		return err
	}
	if err := o.output.Write(o.env.Out, result); err != nil {
		return err
	}
	if len(result.Kept) > 0 && !o.dryRun {
		o.env.say("%s kept. A fleet of the same name gets them again; to delete them for good:\n  kubectl delete datavolume -n %s -l %s",
			count(len(result.Kept), "object"), o.namespace, fleetSelector(labelOf(current.Name, current.Config)))
	}
	return nil
}

func (o *uninstallOptions) delete(ctx context.Context, configuration *action.Configuration, label string) error {
	if o.dryRun {
		return nil
	}
	uninstall := action.NewUninstall(configuration)
	uninstall.Timeout, uninstall.KeepHistory = o.timeout, o.keepHistory
	if _, err := uninstall.Run(o.name); err != nil {
		return fmt.Errorf("uninstalling fleet %q: %w", o.name, err)
	}
	if !o.wait {
		return nil
	}
	return o.awaitGone(ctx, label)
}

// awaitGone waits until the machines have shut down and are gone.
func (o *uninstallOptions) awaitGone(ctx context.Context, label string) error {
	c, err := o.env.cluster()
	if err != nil {
		return err
	}
	reporter := o.env.progress()
	most := 0
	err = wait.Gone(ctx, wait.Cluster{Client: c.dynamic, Mapper: c.mapper, Clock: o.env.clock}, o.namespace, label, o.timeout, func(left int) {
		if most = max(most, left); most == 0 {
			return
		}
		reporter.Update([]progress.Task{{Name: "machines deleted", Done: most - left, Total: most}})
	})
	reporter.Stop()
	if errors.Is(err, wait.ErrTimeout) {
		return &ExitError{Code: exitTimeout, Cause: fmt.Errorf("machines of fleet %q were not gone within %s; they go on shutting down by themselves", o.name, o.timeout)}
	}
	return err
}

// uninstalled is the result of deleting a fleet.
type uninstalled struct {
	Fleet     string   `json:"fleet"`
	Namespace string   `json:"namespace"`
	DryRun    bool     `json:"dryRun,omitempty"`
	Deleted   int      `json:"deleted"`
	Kept      []object `json:"kept"`
}

// object names an object.
type object struct {
	Group string `json:"group,omitempty"`
	Kind  string `json:"kind"`
	Name  string `json:"name"`
}

// keepAnnotation is how Helm is told to keep an object.
const keepAnnotation = "helm.sh/resource-policy"

// newUninstalled reads off the release what Helm deletes and what it keeps.
func newUninstalled(current *release.Release, dryRun bool) (uninstalled, error) {
	result := uninstalled{Fleet: current.Name, Namespace: current.Namespace, DryRun: dryRun, Kept: []object{}}
	list, err := manifest.Parse([]byte(current.Manifest))
	if err != nil {
		return result, fmt.Errorf("reading the release of fleet %q: %w", current.Name, err)
	}
	for _, item := range list {
		if item.GetAnnotations()[keepAnnotation] != "keep" {
			result.Deleted++
			continue
		}
		result.Kept = append(result.Kept, object{Group: item.GroupVersionKind().Group, Kind: item.GetKind(), Name: item.GetName()})
	}
	return result, nil
}

// WriteTable implements output.Writer.
func (u uninstalled) WriteTable(out io.Writer) error {
	grid := output.NewGrid("FLEET", "NAMESPACE", "DELETED", "KEPT")
	grid.Add(u.Fleet, u.Namespace, strconv.Itoa(u.Deleted), strconv.Itoa(len(u.Kept)))
	kept := output.NewGrid("KEPT", "NAME")
	for _, item := range u.Kept {
		kept.Add(item.Kind, item.Name)
	}
	return output.WriteGrids(out, grid, kept)
}

// Data implements output.Writer.
func (u uninstalled) Data() any { return u }

// Names implements output.Writer: what was kept.
func (u uninstalled) Names() []string {
	names := make([]string, len(u.Kept))
	for i, item := range u.Kept {
		names[i] = resourceName(manifest.Key{Group: item.Group, Kind: item.Kind, Name: item.Name})
	}
	return names
}
