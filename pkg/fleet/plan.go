package fleet

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/release"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"wukong.io/wukong/pkg/apis/wukong/v1alpha1"
)

const (
	// ReleaseLimit is what a Helm release Secret holds, in bytes.
	ReleaseLimit = 1 << 20
	// exactMachines is up to how many machines of a pool a release is measured
	// by rendering it; larger ones are measured at this size and twice it, as
	// what is compressed grows evenly.
	exactMachines = 500
)

// Plan says what a fleet would make.
type Plan struct {
	// Machines is how many virtual machines there would be.
	Machines int `json:"machines"`
	// Pools are the fleet's pools, in the order of their keys.
	Pools []PoolPlan `json:"pools"`
	// Objects counts what would be made by kind.
	Objects map[string]int `json:"objects"`
	// Imports is how many disks and images would be imported.
	Imports int `json:"imports"`
	// ImportBytes is the size of what would be imported into.
	ImportBytes int64 `json:"importBytes"`
	// Clones is how many disks would be cloned.
	Clones int `json:"clones"`
	// CloneBytes is the size of the cloned disks that give one; a clone
	// without takes the size of its source.
	CloneBytes int64 `json:"cloneBytes"`
	// Empty is how many disks would be blank.
	Empty int `json:"empty"`
	// EmptyBytes is their size.
	EmptyBytes int64 `json:"emptyBytes"`
	// ExistingClaims is how many disks are existing claims.
	ExistingClaims int `json:"existingClaims"`
	// ReleaseBytes is the predicted size of the Helm release, in bytes of the
	// ReleaseLimit its Secret holds.
	ReleaseBytes int `json:"releaseBytes"`
	// ReleaseLimit is what a release Secret holds, in bytes.
	ReleaseLimit int `json:"releaseLimit"`
	// Fits says whether the release fits.
	Fits bool `json:"fits"`
}

// PoolPlan says what a pool would make.
type PoolPlan struct {
	// Name is the pool's key.
	Name string `json:"name"`
	// Machines is how many there would be.
	Machines int `json:"machines"`
	// First and Last are the names of the first and the last machine.
	First string `json:"first,omitempty"`
	Last  string `json:"last,omitempty"`
	// Source says what the machines are made from: a template, or a clone.
	Source string `json:"source"`
}

// Plan says what a fleet would make, and how large its Helm release would be.
func (r *Renderer) Plan(ctx context.Context, fleet Fleet) (*Plan, error) {
	objects, err := r.Render(ctx, fleet, Options{anySize: true})
	if err != nil {
		return nil, err
	}
	plan := &Plan{Objects: map[string]int{}, ReleaseLimit: ReleaseLimit}
	for _, object := range objects {
		plan.count(object)
	}
	if plan.Objects["Wukong"] > 0 {
		// The controller's machines are planned too, though not in the release.
		if objects, err = r.Render(ctx, fleet, Options{InCluster: true}); err != nil {
			return nil, err
		}
		for _, object := range objects {
			plan.count(object)
		}
	}
	plan.pools(fleet)
	if plan.ReleaseBytes, err = r.ReleaseBytes(ctx, fleet); err != nil {
		return nil, err
	}
	plan.Fits = plan.ReleaseBytes <= ReleaseLimit
	return plan, nil
}

func (p *Plan) pools(fleet Fleet) {
	name, _ := fleet.Values["nameOverride"].(string)
	name = cmp.Or(name, fleet.Name)
	pools, _ := fleet.Values["pools"].(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(pools)) {
		pool, _ := pools[key].(map[string]any)
		start, count := poolRange(pool)
		entry := PoolPlan{Name: key, Machines: count, Source: poolSource(pool)}
		if count > 0 {
			entry.First = fmt.Sprintf("%s-%s-%d", name, key, start)
			entry.Last = fmt.Sprintf("%s-%s-%d", name, key, start+count-1)
		}
		p.Pools = append(p.Pools, entry)
		p.Machines += count
	}
}

func poolSource(pool map[string]any) string {
	source, _ := pool["cloneSource"].(map[string]any)
	for _, kind := range []string{"virtualMachine", "snapshot"} {
		if from, ok := source[kind].(map[string]any); ok {
			return fmt.Sprintf("clone of %s %v", kind, from["name"])
		}
	}
	return "template"
}

func (p *Plan) count(object Object) {
	switch o := object.(type) {
	case *cdiv1.DataVolume:
		p.countDisk(&o.Spec)
	case *cdiv1.DataImportCron:
		p.countDisk(&o.Spec.Template.Spec)
	case *kubevirtv1.VirtualMachine:
		p.countMachine(o)
	case *v1alpha1.CloneJob:
		p.Clones++
	}
	kind := object.GetObjectKind().GroupVersionKind().Kind
	if u, ok := object.(*unstructured.Unstructured); ok {
		kind = u.GetKind()
	}
	p.Objects[kind]++
}

func (p *Plan) countMachine(vm *kubevirtv1.VirtualMachine) {
	for i := range vm.Spec.DataVolumeTemplates {
		p.countDisk(&vm.Spec.DataVolumeTemplates[i].Spec)
	}
	for _, volume := range vm.Spec.Template.Spec.Volumes {
		if volume.PersistentVolumeClaim != nil {
			p.ExistingClaims++
		}
	}
}

func (p *Plan) countDisk(spec *cdiv1.DataVolumeSpec) {
	var size int64
	if spec.Storage != nil {
		size = spec.Storage.Resources.Requests.Storage().Value()
	}
	switch {
	case spec.SourceRef != nil, spec.Source != nil && (spec.Source.PVC != nil || spec.Source.Snapshot != nil):
		p.Clones++
		p.CloneBytes += size
	case spec.Source != nil && spec.Source.Blank != nil:
		p.Empty++
		p.EmptyBytes += size
	default:
		p.Imports++
		p.ImportBytes += size
	}
}

// ReleaseBytes predicts the size of the data in the fleet's Helm release
// Secret: the chart, the values and every manifest, compressed. Fleets with
// larger pools than some hundred machines are measured at two sizes and
// extrapolated.
func (r *Renderer) ReleaseBytes(ctx context.Context, fleet Fleet) (int, error) {
	if fleet.Values["expand"] == "server" {
		return r.measure(ctx, fleet, nil)
	}
	caps := map[string]int{}
	pools, _ := fleet.Values["pools"].(map[string]any)
	for key, pool := range pools {
		pool, _ := pool.(map[string]any)
		if _, count := poolRange(pool); count > 2*exactMachines {
			caps[key] = exactMachines
		}
	}
	base, err := r.measure(ctx, fleet, caps)
	if err != nil || len(caps) == 0 {
		return base, err
	}
	total := base
	for _, key := range slices.Sorted(maps.Keys(caps)) {
		wider := maps.Clone(caps)
		wider[key] = 2 * exactMachines
		more, err := r.measure(ctx, fleet, wider)
		if err != nil {
			return 0, err
		}
		pool, _ := pools[key].(map[string]any)
		_, count := poolRange(pool)
		total += (more - base) * (count - exactMachines) / exactMachines
	}
	return total, nil
}

// measure gives the size of the release of a fleet some of whose pools are cut
// to a number of machines.
func (r *Renderer) measure(ctx context.Context, fleet Fleet, caps map[string]int) (int, error) {
	manifests, err := r.Manifests(ctx, cutPools(fleet, caps), Options{anySize: true})
	if err != nil {
		return 0, err
	}
	loaded, err := Chart()
	if err != nil {
		return 0, err
	}
	data, err := json.Marshal(&release.Release{
		Name: fleet.Name, Namespace: fleet.Namespace, Version: 1,
		Info:  &release.Info{Status: release.StatusDeployed, Description: "Install complete"},
		Chart: loaded, Config: fleet.Values, Manifest: sortManifests(manifests),
	})
	if err != nil {
		return 0, fmt.Errorf("encoding release: %w", err)
	}
	var packed bytes.Buffer
	writer, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return 0, fmt.Errorf("compressing release: %w", err)
	}
	if _, err := writer.Write(data); err != nil {
		return 0, fmt.Errorf("compressing release: %w", err)
	}
	if err := writer.Close(); err != nil {
		return 0, fmt.Errorf("compressing release: %w", err)
	}
	return base64.StdEncoding.EncodedLen(packed.Len()), nil
}

// cutPools gives a fleet whose named pools have at most so many machines, and
// no override past them.
func cutPools(fleet Fleet, caps map[string]int) Fleet {
	if len(caps) == 0 {
		return fleet
	}
	values := maps.Clone(fleet.Values)
	pools, _ := values["pools"].(map[string]any)
	pools = maps.Clone(pools)
	for key, limit := range caps {
		pool, _ := pools[key].(map[string]any)
		pool = maps.Clone(pool)
		start, count := poolRange(pool)
		pool["replicas"] = min(count, limit)
		if overrides, ok := pool["overrides"].(map[string]any); ok {
			overrides = maps.Clone(overrides)
			maps.DeleteFunc(overrides, func(ordinal string, _ any) bool {
				var n int
				_, err := fmt.Sscan(ordinal, &n)
				return err != nil || n >= start+limit
			})
			pool["overrides"] = overrides
		}
		pools[key] = pool
	}
	values["pools"] = pools
	return Fleet{Namespace: fleet.Namespace, Name: fleet.Name, Values: values}
}

//nolint:gochecknoglobals // a compiled constant
var kindLine = regexp.MustCompile(`(?m)^kind: (\w+)$`)

// sortManifests groups documents by kind, as Helm does before it stores them.
func sortManifests(manifests []byte) string {
	documents := strings.SplitAfter(string(manifests), "\n---\n")
	kind := func(document string) string {
		if match := kindLine.FindStringSubmatch(document); match != nil {
			return match[1]
		}
		return ""
	}
	slices.SortStableFunc(documents, func(a, b string) int { return cmp.Compare(kind(a), kind(b)) })
	return strings.Join(documents, "# Source: "+fleetTemplate+"\n")
}
