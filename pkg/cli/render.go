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

	"wukong.io/wukong/pkg/cli/manifest"
	"wukong.io/wukong/pkg/cli/output"
	"wukong.io/wukong/pkg/fleet"
)

// renderOptions are those of the command render.
type renderOptions struct {
	env      *environment
	source   source
	output   *output.Flag
	pool     string
	ordinals string

	fleet  fleet.Fleet
	window *fleet.Window
}

func newRenderCommand(env *environment) *cobra.Command {
	o := &renderOptions{env: env, output: output.NewFlag(output.YAML, output.JSON, output.Name, output.Table)}
	cmd := &cobra.Command{
		Use:   "render NAME -f FILE",
		Short: "Write the objects a fleet is made of",
		Long: `Write the objects a fleet is made of, as stock helm would install them.

The result depends on the fleet file, its name and the namespace alone; no cluster is
asked. With --pool and --ordinals only the objects of some machines are written.`,
		Example: env.examples(`
  # Everything, checked by the API server without making anything
  wukong render shop -n prod -f fleet.yaml | kubectl apply --dry-run=server -f -

  # The objects of machines 2 to 4 of one pool
  wukong render shop -f fleet.yaml --pool web --ordinals 2-4`),
		Args: oneName,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.complete(args); err != nil {
				return err
			}
			return o.run(cmd.Context())
		},
	}
	o.source.addFlags(cmd.Flags())
	o.output.AddTo(cmd)
	cmd.Flags().StringVar(&o.pool, "pool", "", "only this pool's machines")
	cmd.Flags().StringVar(&o.ordinals, "ordinals", "", "only machines with these ordinals, as 3 or 0-9; needs --pool")
	return cmd
}

func (o *renderOptions) complete(args []string) error {
	var err error
	if o.fleet, err = o.source.read(o.env, args); err != nil {
		return err
	}
	if err := requireName(o.env, o.fleet, "render"); err != nil {
		return err
	}
	if o.window, err = parseWindow(o.pool, o.ordinals, o.fleet.Values); err != nil {
		return usage(err)
	}
	return nil
}

// parseWindow reads --pool and --ordinals.
func parseWindow(pool, ordinals string, values map[string]any) (*fleet.Window, error) {
	if pool == "" && ordinals == "" {
		return nil, nil
	}
	if pool == "" {
		return nil, errors.New("--ordinals needs --pool: ordinals count the machines of one pool")
	}
	if ordinals == "" {
		return wholePool(pool, values), nil
	}
	first, last, isRange := strings.Cut(ordinals, "-")
	if !isRange {
		last = first
	}
	start, errStart := parseOrdinal(first)
	end, errEnd := parseOrdinal(last)
	if errStart != nil || errEnd != nil || end < start {
		return nil, fmt.Errorf("--ordinals: found %q, want one ordinal as 3, or the first and the last as 0-9", ordinals)
	}
	return &fleet.Window{Pool: pool, Start: start, Count: end - start + 1}, nil
}

// wholePool gives the window of all of a pool's machines. Where the values are
// not as they should be, rendering says so better.
func wholePool(name string, values map[string]any) *fleet.Window {
	window := &fleet.Window{Pool: name, Count: 1}
	if replicas, ok := nestedNumber(values, "pools", name, "replicas"); ok {
		window.Count = replicas
	}
	if start, ok := nestedNumber(values, "pools", name, "ordinals", "start"); ok {
		window.Start = start
	}
	return window
}

func nestedNumber(values map[string]any, path ...string) (int, bool) {
	value, found, err := unstructured.NestedFieldNoCopy(values, path...)
	if !found || err != nil {
		return 0, false
	}
	switch value := value.(type) {
	case float64:
		return int(value), true
	case int64:
		return int(value), true
	default:
		return 0, false
	}
}

func parseOrdinal(text string) (int, error) {
	ordinal, err := strconv.ParseUint(strings.TrimSpace(text), 10, 31)
	return int(ordinal), err
}

func (o *renderOptions) run(ctx context.Context) error {
	renderer, err := o.env.renderer()
	if err != nil {
		return err
	}
	text, err := renderer.Manifests(ctx, o.fleet, fleet.Options{Window: o.window})
	if err != nil {
		return err
	}
	if o.output.Format == output.YAML {
		_, err := o.env.Out.Write(text)
		return err
	}
	objects, err := manifest.Parse(text)
	if err != nil {
		return err
	}
	return o.output.Write(o.env.Out, objectList(objects))
}

// objectList is a list of objects.
type objectList []*unstructured.Unstructured

// WriteTable implements output.Writer.
func (l objectList) WriteTable(out io.Writer) error {
	grid := output.NewGrid("KIND", "NAME")
	for _, object := range l {
		grid.Add(object.GetKind(), object.GetName())
	}
	return grid.Write(out)
}

// Data implements output.Writer: a List, which kubectl reads.
func (l objectList) Data() any {
	items := make([]any, len(l))
	for i, object := range l {
		items[i] = object.Object
	}
	return map[string]any{"apiVersion": "v1", "kind": "List", "items": items}
}

// Names implements output.Writer.
func (l objectList) Names() []string {
	names := make([]string, len(l))
	for i, object := range l {
		names[i] = resourceName(manifest.KeyOf(object, ""))
	}
	return names
}

// resourceName names an object as kubectl -o name does.
func resourceName(key manifest.Key) string {
	kind := strings.ToLower(key.Kind)
	if key.Group != "" {
		kind += "." + key.Group
	}
	return kind + "/" + key.Name
}
