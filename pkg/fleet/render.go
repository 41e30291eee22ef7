package fleet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	k8sruntime "k8s.io/apimachinery/pkg/runtime"

	"wukong.io/wukong/pkg/apis/wukong/v1alpha1"
)

const (
	// fleetTemplate is the one template of vm-fleet that renders objects.
	fleetTemplate = "vm-fleet/templates/fleet.yaml"
	// windowSize is how many machines one call of the engine renders: enough
	// to make parsing the templates cheap, few enough to keep all cores busy.
	windowSize = 512
)

// Renderer expands fleets. It is safe for use by several goroutines.
type Renderer struct {
	chart  *chart.Chart
	schema *jsonschema.Schema
	scheme *k8sruntime.Scheme
}

// New loads the embedded charts.
func New() (*Renderer, error) {
	loaded, err := Chart()
	if err != nil {
		return nil, err
	}
	schema, err := compileSchema(loaded.Schema)
	if err != nil {
		return nil, err
	}
	scheme := k8sruntime.NewScheme()
	if err := AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("building scheme: %w", err)
	}
	loaded.Templates = slices.DeleteFunc(loaded.Templates, func(file *chart.File) bool {
		return file.Name == "templates/NOTES.txt"
	})
	return &Renderer{chart: loaded, schema: schema, scheme: scheme}, nil
}

// Options say which part of a fleet to render, and how.
type Options struct {
	// Window renders the objects of some machines of one pool alone; nil
	// renders the whole fleet.
	Window *Window
	// Service is who manages the objects, by the label
	// app.kubernetes.io/managed-by; "Helm" if empty.
	Service string
	// InCluster expands as the Wukong controller does: there is no Helm
	// release, so none that could be too large, and expand: server does not
	// apply.
	InCluster bool
	// Parallelism is how many windows are rendered at once; the number of
	// cores if 0.
	Parallelism int
	// anySize renders a fleet whose release would be too large, to measure it.
	anySize bool
}

// Window is a range of machines of one pool.
type Window struct {
	// Pool is the pool's key.
	Pool string
	// Start is the first ordinal.
	Start int
	// Count is how many ordinals there are.
	Count int
}

// Render gives the objects of a fleet: what its machines have in common, then
// the machines, pool by pool in the order of their ordinals. Bad input gives
// an ErrorList.
func (r *Renderer) Render(ctx context.Context, fleet Fleet, options Options) ([]Object, error) {
	job, err := r.newJob(fleet, options, "json")
	if err != nil {
		return nil, err
	}
	parts := make([][]Object, len(job.windows)+1)
	err = job.run(ctx, func(i int, text string) error {
		objects, err := r.decode(text)
		parts[i] = objects
		return err
	})
	if err != nil {
		return nil, err
	}
	return slices.Concat(parts...), nil
}

// Manifests gives the YAML documents of a fleet, as stock Helm renders them,
// in the order of Render.
func (r *Renderer) Manifests(ctx context.Context, fleet Fleet, options Options) ([]byte, error) {
	job, err := r.newJob(fleet, options, "yaml")
	if err != nil {
		return nil, err
	}
	parts := make([]string, len(job.windows)+1)
	err = job.run(ctx, func(i int, text string) error {
		parts[i] = text
		return nil
	})
	if err != nil {
		return nil, err
	}
	return []byte(strings.Join(parts, "")), nil
}

// Validate gives nil, or an ErrorList with every mistake of a fleet.
func (r *Renderer) Validate(ctx context.Context, fleet Fleet) error {
	return r.validate(ctx, fleet, Options{})
}

// ValidateInCluster checks a fleet that the Wukong controller expands, as
// Options.InCluster does.
func (r *Renderer) ValidateInCluster(ctx context.Context, fleet Fleet) error {
	return r.validate(ctx, fleet, Options{InCluster: true})
}

func (r *Renderer) validate(ctx context.Context, fleet Fleet, options Options) error {
	job, err := r.newJob(fleet, options, "json")
	if err != nil {
		return err
	}
	// One machine of each shape is decoded too: only their types know what may
	// stand in a patch or a probe.
	if !job.small() {
		job.windows = slices.DeleteFunc(job.windows, func(w Window) bool { return !job.shapes(w) })
	}
	return job.run(ctx, func(_ int, text string) error {
		_, err := r.decode(text)
		return err
	})
}

// job is one expansion: its values, checked and with the chart's defaults, and
// the windows it is rendered in.
type job struct {
	renderer *Renderer
	fleet    Fleet
	options  Options
	format   string
	values   map[string]any
	windows  []Window
}

func (r *Renderer) newJob(fleet Fleet, options Options, format string) (*job, error) {
	if errs := checkSchema(r.schema, fleet.Values); len(errs) > 0 {
		return nil, errs
	}
	values, err := chartutil.CoalesceValues(r.chart, fleet.Values)
	if err != nil {
		return nil, fmt.Errorf("merging values: %w", err)
	}
	j := &job{renderer: r, fleet: fleet, options: options, format: format, values: values}
	if options.Window != nil {
		j.windows, err = j.window(*options.Window)
		return j, err
	}
	if options.InCluster || values["expand"] != "server" {
		j.windows = poolWindows(values)
	}
	return j, nil
}

// window checks a window against its pool, and splits it.
func (j *job) window(w Window) ([]Window, error) {
	pools, _ := j.values["pools"].(map[string]any)
	pool, ok := pools[w.Pool].(map[string]any)
	if !ok {
		return nil, ErrorList{{Path: "pools", Message: fmt.Sprintf("found no pool %q, must be one of %s",
			w.Pool, strings.Join(slices.Sorted(maps.Keys(pools)), ", "))}}
	}
	start, count := poolRange(pool)
	if w.Count < 0 || w.Start < start || w.Start+w.Count > start+count {
		return nil, ErrorList{{Path: "pools." + w.Pool, Message: fmt.Sprintf(
			"found ordinals %d to %d, must be within %d to %d", w.Start, w.Start+w.Count-1, start, start+count-1)}}
	}
	return split(w), nil
}

// poolWindows gives the windows of every pool in the order of their keys.
func poolWindows(values map[string]any) []Window {
	var windows []Window
	pools, _ := values["pools"].(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(pools)) {
		pool, _ := pools[key].(map[string]any)
		start, count := poolRange(pool)
		windows = append(windows, split(Window{Pool: key, Start: start, Count: count})...)
	}
	return windows
}

func split(w Window) []Window {
	var windows []Window
	for done := 0; done < w.Count; done += windowSize {
		windows = append(windows, Window{Pool: w.Pool, Start: w.Start + done, Count: min(windowSize, w.Count-done)})
	}
	return windows
}

// run renders the shared part, which checks the fleet, then the windows side
// by side. It gives each part's text to the callback with its place.
func (j *job) run(ctx context.Context, done func(i int, text string) error) error {
	first := "shared"
	if j.small() {
		// Parsing the templates is most of the work for a small fleet: once.
		first = "all"
		j.windows = nil
	}
	text, err := j.render(map[string]any{"part": first})
	if err != nil {
		return err
	}
	if j.options.Window == nil {
		if err := done(0, text); err != nil {
			return j.failure([]error{err})
		}
	}
	workers := j.options.Parallelism
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	errs := make([]error, len(j.windows))
	next := make(chan int)
	var wait sync.WaitGroup
	for range min(workers, len(j.windows)) {
		wait.Go(func() {
			for i := range next {
				errs[i] = j.machines(i, done)
			}
		})
	}
	err = feed(ctx, next, len(j.windows))
	wait.Wait()
	if err != nil {
		return err
	}
	return j.failure(errs)
}

// failure gives the mistakes of all windows as one list; an error that is no
// mistake of the user's comes first.
func (j *job) failure(errs []error) error {
	var list ErrorList
	for _, err := range errs {
		var machine *machineError
		switch {
		case err == nil:
		case errors.As(err, &machine) && j.blame(machine) != nil:
			list = append(list, j.blame(machine))
		default:
			return err
		}
	}
	if len(list) == 0 {
		return nil
	}
	return list.sorted()
}

// blame finds the open field of the fleet that a machine's unknown field came
// from: a probe, an affinity or a patch; nil if it was none.
func (j *job) blame(machine *machineError) *Error {
	pools, _ := j.values["pools"].(map[string]any)
	key, ordinal := machine.labels[v1alpha1.LabelPool], machine.labels[v1alpha1.LabelOrdinal]
	pool, _ := pools[key].(map[string]any)
	overrides, _ := pool["overrides"].(map[string]any)
	layers := []struct {
		path   string
		values any
	}{
		{"pools." + key + ".overrides." + ordinal, overrides[ordinal]},
		{"pools." + key + ".template", pool["template"]},
		{"defaults", j.values["defaults"]},
	}
	text := strings.ReplaceAll(machine.err.Error(), "\n", "; ")
	for _, open := range []struct{ field, in string }{
		{"readinessProbe", "readinessProbe"}, {"livenessProbe", "livenessProbe"}, {"placement", "affinity"}, {"patch", ""},
	} {
		for _, layer := range layers {
			values, _ := layer.values.(map[string]any)
			if values[open.field] != nil && strings.Contains(text, open.in) {
				return &Error{Path: layer.path + "." + open.field, Message: "gives no VirtualMachine: " + text}
			}
		}
	}
	return nil
}

// feed sends 0
// shapes says whether a window has a machine unlike those of the windows before
// it: the first of a pool, or one with an override.
func (j *job) shapes(w Window) bool {
	pools, _ := j.values["pools"].(map[string]any)
	pool, _ := pools[w.Pool].(map[string]any)
	start, _ := poolRange(pool)
	if w.Start == start {
		return true
	}
	overrides, _ := pool["overrides"].(map[string]any)
	for ordinal := range overrides {
		if n, err := strconv.Atoi(ordinal); err == nil && n >= w.Start && n < w.Start+w.Count {
			return true
		}
	}
	return false
}

// feed sends 0 to n-1, or stops when the context ends.
func feed(ctx context.Context, next chan<- int, n int) error {
	defer close(next)
	for i := range n {
		select {
		case next <- i:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return ctx.Err()
}

func (j *job) machines(i int, done func(i int, text string) error) error {
	window := j.windows[i]
	text, err := j.render(map[string]any{
		"part": "machines", "pool": window.Pool, "start": window.Start, "count": window.Count,
	})
	if err != nil {
		return err
	}
	return done(i+1, text)
}

// small says whether one call of the engine is enough for a whole fleet.
func (j *job) small() bool {
	machines := 0
	for _, window := range j.windows {
		machines += window.Count
	}
	return j.options.Window == nil && machines <= windowSize
}

// render calls Helm's engine for one part. The engine is given no client: it
// can look nothing up.
func (j *job) render(part map[string]any) (string, error) {
	part["format"] = j.format
	if j.options.InCluster {
		part["expand"] = "controller"
	}
	part["anySize"] = j.options.anySize
	values := maps.Clone(j.values)
	global, _ := values["global"].(map[string]any)
	global = maps.Clone(global)
	if global == nil {
		global = map[string]any{}
	}
	global["wukong"] = part
	values["global"] = global

	service := j.options.Service
	if service == "" {
		service = "Helm"
	}
	rendered, err := engine.Engine{}.Render(j.renderer.chart, chartutil.Values{
		"Chart":        j.renderer.chart.Metadata,
		"Capabilities": chartutil.DefaultCapabilities,
		"Release": map[string]any{
			"Name": j.fleet.Name, "Namespace": j.fleet.Namespace, "Service": service,
			"IsInstall": true, "IsUpgrade": false, "Revision": 1,
		},
		"Values": chartutil.Values(values),
	})
	if err != nil {
		return "", parseFailure(err)
	}
	return rendered[fleetTemplate], nil
}

// poolRange reads the first ordinal and the size of a pool.
func poolRange(pool map[string]any) (start, count int) {
	count = 1
	if replicas, ok := pool["replicas"]; ok {
		count = toInt(replicas)
	}
	if ordinals, ok := pool["ordinals"].(map[string]any); ok {
		start = toInt(ordinals["start"])
	}
	return start, count
}
