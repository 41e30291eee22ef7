package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"wukong.io/wukong/pkg/cli/compare"
	"wukong.io/wukong/pkg/cli/manifest"
	"wukong.io/wukong/pkg/cli/output"
	"wukong.io/wukong/pkg/fleet"
)

// diffOptions are those of the command diff.
type diffOptions struct {
	env    *environment
	source source
	output *output.Flag

	fleet fleet.Fleet
}

func newDiffCommand(env *environment) *cobra.Command {
	o := &diffOptions{env: env, output: output.NewFlag(output.Diff, output.Table, output.YAML, output.JSON, output.Name)}
	cmd := &cobra.Command{
		Use:   "diff NAME -f FILE",
		Short: "Show what an install or upgrade would change in the cluster",
		Long: `Show what an install or upgrade would change in the cluster.

Only what the fleet sets is compared: what KubeVirt, CDI and the API server fill in is no
difference. The values of Secrets are never shown, only whether they change. The exit code
is 0 without differences, 1 with, and more than 1 after an error.`,
		Example: env.examples(`
  # What would change, as a unified diff
  wukong diff shop -n prod -f fleet.yaml

  # Which objects, and which of their fields
  wukong diff shop -n prod -f fleet.yaml -o table`),
		Args:              oneName,
		ValidArgsFunction: env.completeFleets,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.complete(args); err != nil {
				return beyondDiffers(err)
			}
			return beyondDiffers(o.run(cmd.Context()))
		},
	}
	o.source.addFlags(cmd.Flags())
	o.output.AddTo(cmd)
	return cmd
}

// beyondDiffers keeps errors apart from differences: their code is more than 1.
func beyondDiffers(err error) error {
	exit, ok := errors.AsType[*ExitError](err)
	if err == nil || ok && (exit.Code > exitDiffers || exit.Cause == nil) {
		return err
	}
	return &ExitError{Code: max(ExitCode(err), exitUsage), Cause: err}
}

func (o *diffOptions) complete(args []string) error {
	var err error
	if o.fleet, err = o.source.read(o.env, args); err != nil {
		return err
	}
	return requireName(o.env, o.fleet, "diff")
}

func (o *diffOptions) run(ctx context.Context) error {
	changes, err := o.changes(ctx)
	if err != nil {
		return err
	}
	result := changeList{changes: changes, palette: o.env.palette(o.env.Out)}
	if o.output.Format == output.Diff {
		err = result.writeDiff(o.env.Out)
	} else {
		err = o.output.Write(o.env.Out, result)
	}
	if err != nil {
		return err
	}
	if len(changes) == 0 {
		o.env.say("No differences.")
		return nil
	}
	o.env.say("%s", result.summary())
	return &ExitError{Code: exitDiffers}
}

func (o *diffOptions) changes(ctx context.Context) ([]compare.Change, error) {
	wanted, err := o.env.render(ctx, o.fleet)
	if err != nil {
		return nil, err
	}
	previous, err := o.previous()
	if err != nil {
		return nil, err
	}
	c, err := o.env.cluster()
	if err != nil {
		return nil, err
	}
	live, err := c.ofFleet(ctx, groupKinds(wanted.objects, previous), o.fleet.Namespace, wanted.label)
	if err != nil {
		return nil, err
	}
	if err := c.complete(ctx, live, previous, o.fleet.Namespace); err != nil {
		return nil, err
	}
	return compare.Changes(compare.Input{Namespace: o.fleet.Namespace, Wanted: wanted.objects, Previous: previous, Live: live})
}

// previous gives what the installed release holds.
func (o *diffOptions) previous() ([]*unstructured.Unstructured, error) {
	configuration, err := o.env.helm(o.fleet.Namespace)
	if err != nil {
		return nil, err
	}
	current, err := currentRelease(configuration, o.fleet.Name)
	if current == nil || err != nil {
		return nil, err
	}
	return manifest.Parse([]byte(current.Manifest))
}

// complete reads one by one the objects of a release that were not found by
// their label, as somebody may have taken it away.
func (c *cluster) complete(ctx context.Context, live objects, previous []*unstructured.Unstructured, namespace string) error {
	for _, object := range previous {
		key := manifest.KeyOf(object, namespace)
		clusterWide := key
		clusterWide.Namespace = ""
		if live[key] != nil || live[clusterWide] != nil {
			continue
		}
		found, err := c.get(ctx, key)
		if err != nil {
			return err
		}
		if found != nil {
			live[manifest.KeyOf(found, "")] = found
		}
	}
	return nil
}

// changeList is what would change.
type changeList struct {
	changes []compare.Change
	palette output.Palette
}

func (l changeList) writeDiff(out io.Writer) error {
	for _, change := range l.changes {
		if err := compare.WriteUnified(out, change, l.palette); err != nil {
			return err
		}
	}
	return nil
}

// summary counts the changes in a sentence.
func (l changeList) summary() string {
	counts := map[compare.Action]int{}
	for _, change := range l.changes {
		counts[change.Action]++
	}
	words := []struct {
		action compare.Action
		text   string
	}{{compare.Create, "to create"}, {compare.Update, "to update"}, {compare.Delete, "to delete"}, {compare.Release, "to leave the fleet and be kept"}}
	var parts []string
	for _, word := range words {
		if n := counts[word.action]; n > 0 {
			parts = append(parts, strconv.Itoa(n)+" "+word.text)
		}
	}
	return fmt.Sprintf("%s: %s.", count(len(l.changes), "object"), strings.Join(parts, ", "))
}

// shownFields bounds how many fields a row of the table names.
const shownFields = 4

// WriteTable implements output.Writer.
func (l changeList) WriteTable(out io.Writer) error {
	if len(l.changes) == 0 {
		return nil
	}
	grid := output.NewGrid("ACTION", "KIND", "NAME", "FIELDS")
	for _, change := range l.changes {
		fields := change.Fields
		more := ""
		if len(fields) > shownFields {
			more = fmt.Sprintf(" and %d more", len(fields)-shownFields)
			fields = fields[:shownFields]
		}
		grid.Add(string(change.Action), change.Key.Kind, change.Key.Name, dash(strings.Join(fields, ", ")+more))
	}
	return grid.Write(out)
}

// changeData is a change for another program.
type changeData struct {
	Action    string   `json:"action"`
	Group     string   `json:"group,omitempty"`
	Kind      string   `json:"kind"`
	Namespace string   `json:"namespace,omitempty"`
	Name      string   `json:"name"`
	Fields    []string `json:"fields,omitempty"`
}

// Data implements output.Writer.
func (l changeList) Data() any {
	data := make([]changeData, len(l.changes))
	for i, change := range l.changes {
		data[i] = changeData{
			Action: string(change.Action), Group: change.Key.Group, Kind: change.Key.Kind,
			Namespace: change.Key.Namespace, Name: change.Key.Name, Fields: change.Fields,
		}
	}
	return data
}

// Names implements output.Writer.
func (l changeList) Names() []string {
	names := make([]string, len(l.changes))
	for i, change := range l.changes {
		names[i] = resourceName(change.Key)
	}
	return names
}
