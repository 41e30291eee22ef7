package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"wukong.io/wukong/pkg/cli/output"
	"wukong.io/wukong/pkg/fleet"
)

// planOptions are those of the command plan.
type planOptions struct {
	env    *environment
	source source
	output *output.Flag

	fleet fleet.Fleet
}

func newPlanCommand(env *environment) *cobra.Command {
	o := &planOptions{env: env, output: output.NewFlag(output.Standard()...)}
	cmd := &cobra.Command{
		Use:   "plan [NAME] -f FILE",
		Short: "Show what a fleet would make, how much it copies, and whether Helm can hold it",
		Long: `Show what a fleet would make: machines by pool, objects by kind, how many disks are
imported, cloned and created and how large they are, and how much of the 1 MiB that Helm
allows a release its objects would take. No cluster is asked.`,
		Example: env.examples(`
  # What a file would make
  wukong plan shop -f fleet.yaml

  # What it would make with more machines
  wukong plan shop -f fleet.yaml --set pools.web.replicas=500`),
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
	return cmd
}

func (o *planOptions) complete(args []string) error {
	f, err := o.source.read(o.env, args)
	o.fleet = o.source.nameFromFile(f)
	return err
}

func (o *planOptions) run(ctx context.Context) error {
	renderer, err := o.env.renderer()
	if err != nil {
		return err
	}
	plan, err := renderer.Plan(ctx, o.fleet)
	if err != nil {
		return err
	}
	if err := o.output.Write(o.env.Out, newForecast(o.fleet, plan)); err != nil {
		return err
	}
	if !plan.Fits {
		o.env.warn("%s", tooLarge(o.fleet, plan))
	}
	return nil
}

// tooLarge says that Helm cannot hold the fleet, and the ways out.
func tooLarge(f fleet.Fleet, plan *fleet.Plan) string {
	message := fmt.Sprintf("fleet %q would not fit a Helm release: it takes %s of at most %s.\n"+
		"Either let the controller expand it, with \"expand: server\" in the fleet file,\nor split its pools over several fleets", f.Name, kib(plan.ReleaseBytes), kib(plan.ReleaseLimit))
	if largest := largestPool(plan); largest != "" {
		message += fmt.Sprintf("; the largest is pool %q", largest)
	}
	return message + "."
}

func largestPool(plan *fleet.Plan) string {
	name, machines := "", 0
	for _, pool := range plan.Pools {
		if pool.Machines > machines {
			name, machines = pool.Name, pool.Machines
		}
	}
	return name
}

// forecast is what a fleet would make.
type forecast struct {
	Fleet     string         `json:"fleet"`
	Namespace string         `json:"namespace"`
	Machines  int            `json:"machines"`
	Pools     []poolForecast `json:"pools"`
	Objects   map[string]int `json:"objects"`
	Disks     diskForecast   `json:"disks"`
	Release   releaseSize    `json:"release"`
}

type poolForecast struct {
	Name     string `json:"name"`
	Machines int    `json:"machines"`
	First    string `json:"first,omitempty"`
	Last     string `json:"last,omitempty"`
	Source   string `json:"source"`
}

type diskForecast struct {
	Imports        int   `json:"imports"`
	ImportBytes    int64 `json:"importBytes"`
	Clones         int   `json:"clones"`
	CloneBytes     int64 `json:"cloneBytes"`
	Empty          int   `json:"empty"`
	EmptyBytes     int64 `json:"emptyBytes"`
	ExistingClaims int   `json:"existingClaims"`
}

type releaseSize struct {
	Bytes int  `json:"bytes"`
	Limit int  `json:"limit"`
	Fits  bool `json:"fits"`
}

func newForecast(f fleet.Fleet, plan *fleet.Plan) forecast {
	result := forecast{
		Fleet: f.Name, Namespace: f.Namespace, Machines: plan.Machines, Objects: plan.Objects,
		Pools: make([]poolForecast, len(plan.Pools)),
		Disks: diskForecast{
			Imports: plan.Imports, ImportBytes: plan.ImportBytes,
			Clones: plan.Clones, CloneBytes: plan.CloneBytes,
			Empty: plan.Empty, EmptyBytes: plan.EmptyBytes,
			ExistingClaims: plan.ExistingClaims,
		},
		Release: releaseSize{Bytes: plan.ReleaseBytes, Limit: plan.ReleaseLimit, Fits: plan.Fits},
	}
	for i, pool := range plan.Pools {
		result.Pools[i] = poolForecast{Name: pool.Name, Machines: pool.Machines, First: pool.First, Last: pool.Last, Source: pool.Source}
	}
	return result
}

// WriteTable implements output.Writer.
func (f forecast) WriteTable(out io.Writer) error {
	fmt.Fprintf(out, "Fleet %s in namespace %s: %s\n\n", f.Fleet, f.Namespace, count(f.Machines, "machine"))
	if err := output.WriteGrids(out, f.poolGrid(), f.objectGrid(), f.Disks.grid()); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "\nHelm release   %s %s\n", bar(f.Release.Bytes, f.Release.Limit, 30), f.Release)
	return err
}

func (f forecast) poolGrid() *output.Grid {
	grid := output.NewGrid("POOL", "MACHINES", "NAMES", "FROM")
	for _, pool := range f.Pools {
		grid.Add(pool.Name, strconv.Itoa(pool.Machines), pool.names(), pool.Source)
	}
	return grid
}

func (p poolForecast) names() string {
	switch {
	case p.Machines == 0:
		return "-"
	case p.First == p.Last:
		return p.First
	default:
		return p.First + " .. " + p.Last
	}
}

func (f forecast) objectGrid() *output.Grid {
	grid := output.NewGrid("OBJECTS", "COUNT")
	for _, kind := range slices.Sorted(maps.Keys(f.Objects)) {
		grid.Add(kind, strconv.Itoa(f.Objects[kind]))
	}
	return grid
}

func (d diskForecast) grid() *output.Grid {
	grid := output.NewGrid("DISKS", "COUNT", "SIZE")
	lines := []struct {
		name  string
		count int
		bytes int64
	}{
		{"imported", d.Imports, d.ImportBytes},
		{"cloned", d.Clones, d.CloneBytes},
		{"empty", d.Empty, d.EmptyBytes},
		{"existing claims", d.ExistingClaims, 0},
	}
	for _, line := range lines {
		if line.count == 0 {
			continue
		}
		bytes := "-"
		if line.bytes > 0 {
			bytes = size(line.bytes)
		}
		grid.Add(line.name, strconv.Itoa(line.count), bytes)
	}
	return grid
}

func kib(bytes int) string { return fmt.Sprintf("%.0f KiB", float64(bytes)/1024) }

// String says how much of a release is taken.
func (r releaseSize) String() string {
	percent := 100 * float64(r.Bytes) / float64(max(1, r.Limit))
	text := fmt.Sprintf("%s of %s (%.1f %%)", kib(r.Bytes), kib(r.Limit), percent)
	if !r.Fits {
		text += ", does not fit"
	}
	return text
}

// Data implements output.Writer.
func (f forecast) Data() any { return f }

// Names implements output.Writer: the pools.
func (f forecast) Names() []string {
	names := make([]string, len(f.Pools))
	for i, pool := range f.Pools {
		names[i] = pool.Name
	}
	return names
}
