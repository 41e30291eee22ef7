package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"wukong.io/wukong/pkg/apis/wukong/v1alpha1"
	"wukong.io/wukong/pkg/cli/output"
)

// statusOptions are those of the command status.
type statusOptions struct {
	env    *environment
	output *output.Flag

	name, namespace string
}

func newStatusCommand(env *environment) *cobra.Command {
	o := &statusOptions{env: env, output: output.NewFlag(output.Table, output.Wide, output.YAML, output.JSON, output.Name)}
	cmd := &cobra.Command{
		Use:   "status [NAME]",
		Short: "Show the fleets of a namespace, or how one is",
		Long: `Show the fleets of a namespace, or how one is: what fails first, then pools, images and the
disks that were kept. With -o wide every machine is shown.`,
		Example: env.examples(`
  # All fleets
  wukong status -n prod

  # One of them, machine by machine
  wukong status shop -n prod -o wide`),
		Args:              oneName,
		ValidArgsFunction: env.completeFleets,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.complete(args); err != nil {
				return err
			}
			return o.run(cmd.Context())
		},
	}
	o.output.AddTo(cmd)
	return cmd
}

func (o *statusOptions) complete(args []string) error {
	if len(args) > 0 {
		o.name = args[0]
	}
	var err error
	o.namespace, err = o.env.namespace()
	return err
}

func (o *statusOptions) run(ctx context.Context) error {
	c, err := o.env.cluster()
	if err != nil {
		return err
	}
	found, err := c.ofFleet(ctx, statusKinds(), o.namespace, o.name)
	if err != nil {
		return err
	}
	byFleet := map[string][]*unstructured.Unstructured{}
	for _, object := range found {
		name := object.GetLabels()[v1alpha1.LabelFleet]
		byFleet[name] = append(byFleet[name], object)
	}
	if o.name != "" && len(found) == 0 {
		return o.notFound(ctx, c)
	}
	reports := make(fleetList, 0, len(byFleet))
	for _, name := range slices.Sorted(maps.Keys(byFleet)) {
		reports = append(reports, newFleetReport(name, o.namespace, o.env.clock.Now(), byFleet[name]))
	}
	if o.name != "" {
		return o.output.Write(o.env.Out, reports[0])
	}
	if len(reports) == 0 {
		o.env.say("No fleets in namespace %q.", o.namespace)
	}
	return o.output.Write(o.env.Out, reports)
}

// statusKinds are the kinds a fleet's status is read off.
func statusKinds() []schema.GroupKind {
	return []schema.GroupKind{
		{Group: "kubevirt.io", Kind: "VirtualMachine"},
		{Group: "kubevirt.io", Kind: "VirtualMachineInstance"},
		{Group: "cdi.kubevirt.io", Kind: "DataVolume"},
		{Group: "cdi.kubevirt.io", Kind: "DataImportCron"},
		{Group: "snapshot.storage.k8s.io", Kind: "VolumeSnapshot"},
		{Group: "wukong.io", Kind: "CloneJob"},
		{Group: "wukong.io", Kind: "Wukong"},
	}
}

// notFound names the fleets there are.
func (o *statusOptions) notFound(ctx context.Context, c *cluster) error {
	names, err := c.fleetNames(ctx, o.namespace)
	if err != nil {
		return err
	}
	message := fmt.Sprintf("found no fleet %q in namespace %q", o.name, o.namespace)
	if near := nearest(o.name, names); near != "" {
		message += fmt.Sprintf("; did you mean %q?", near)
	}
	if len(names) == 0 {
		return fmt.Errorf("%s: there is none; name another with -n", message)
	}
	return fmt.Errorf("%s\nThere are: %s", message, joinSome(names))
}
