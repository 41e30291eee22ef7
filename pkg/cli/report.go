package cli

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"wukong.io/wukong/pkg/apis/wukong/v1alpha1"
	"wukong.io/wukong/pkg/cli/manifest"
	"wukong.io/wukong/pkg/cli/output"
	"wukong.io/wukong/pkg/cli/wait"
)

// fleetReport is how a fleet is.
type fleetReport struct {
	Fleet     string          `json:"fleet"`
	Namespace string          `json:"namespace"`
	Machines  int             `json:"machines"`
	Ready     int             `json:"ready"`
	Failures  []problem       `json:"failures,omitempty"`
	Pools     []poolReport    `json:"pools"`
	Images    []imageReport   `json:"images,omitempty"`
	Members   []machineReport `json:"members,omitempty"`
	Kept      []string        `json:"keptDisks,omitempty"`
	Created   time.Time       `json:"created,omitzero"`

	now time.Time
}

// poolReport counts the machines of a pool.
type poolReport struct {
	Name     string         `json:"name"`
	Machines int            `json:"machines"`
	Ready    int            `json:"ready"`
	States   map[string]int `json:"states,omitempty"`
}

// imageReport is how a golden image is.
type imageReport struct {
	Name     string `json:"name"`
	Ready    bool   `json:"ready"`
	Reason   string `json:"reason"`
	Progress string `json:"progress,omitempty"`
}

// machineReport is how a machine is.
type machineReport struct {
	Name    string    `json:"name"`
	Pool    string    `json:"pool"`
	Status  string    `json:"status"`
	Ready   bool      `json:"ready"`
	Node    string    `json:"node,omitempty"`
	Address string    `json:"address,omitempty"`
	Warning string    `json:"warning,omitempty"`
	Created time.Time `json:"created,omitzero"`
}

// newFleetReport reads the state of a fleet off its objects.
func newFleetReport(name, namespace string, now time.Time, list []*unstructured.Unstructured) fleetReport {
	r := fleetReport{Fleet: name, Namespace: namespace, Pools: []poolReport{}, now: now}
	slices.SortFunc(list, func(a, b *unstructured.Unstructured) int {
		return cmp.Or(cmp.Compare(a.GetKind(), b.GetKind()), compareNumbered(a.GetName(), b.GetName()))
	})
	world := wait.World{}
	instances := map[string]*unstructured.Unstructured{}
	expected := make([]*unstructured.Unstructured, 0, len(list))
	for _, item := range list {
		if item.GetKind() == "VirtualMachineInstance" {
			instances[item.GetName()] = item
			continue
		}
		world[manifest.KeyOf(item, namespace)] = item
		expected = append(expected, item)
		r.Created = earliest(r.Created, item.GetCreationTimestamp().Time)
	}
	summary := wait.Evaluate(wait.NewPlan(expected, namespace), world)
	for _, item := range summary.Items {
		r.add(item, world[item.Key], instances[item.Key.Name])
	}
	for _, item := range summary.With(wait.Failed, wait.Failing) {
		r.Failures = append(r.Failures, newProblem(item))
	}
	r.Kept = keptDisks(world)
	return r
}

func earliest(a, b time.Time) time.Time {
	if b.IsZero() || !a.IsZero() && a.Before(b) {
		return a
	}
	return b
}

// add takes one object into the report.
func (r *fleetReport) add(item wait.Item, live, instance *unstructured.Unstructured) {
	isReady := item.Verdict.State == wait.Ready
	switch {
	case item.Image != "":
		r.addImage(item)
	case item.Key.Kind == "VirtualMachine":
		machine := machineReport{
			Name: item.Key.Name, Pool: live.GetLabels()[v1alpha1.LabelPool], Status: item.Verdict.Reason,
			Ready: isReady, Warning: item.Verdict.Warning, Created: live.GetCreationTimestamp().Time,
		}
		if instance != nil {
			machine.Node, _, _ = unstructured.NestedString(instance.Object, "status", "nodeName")
			machine.Address = addresses(instance)
		}
		r.Machines++
		if isReady {
			r.Ready++
		}
		r.Members = append(r.Members, machine)
		r.addToPool(machine)
	}
}

// addImage takes in an image, or one of its objects: the image is as ready as
// the least ready of them.
func (r *fleetReport) addImage(item wait.Item) {
	image := imageReport{Name: item.Image, Ready: item.Verdict.State == wait.Ready, Reason: item.Verdict.Reason, Progress: item.Verdict.Progress}
	for i, known := range r.Images {
		if known.Name != item.Image {
			continue
		}
		if known.Ready {
			r.Images[i] = image
		}
		return
	}
	r.Images = append(r.Images, image)
}

func (r *fleetReport) addToPool(machine machineReport) {
	i := slices.IndexFunc(r.Pools, func(p poolReport) bool { return p.Name == machine.Pool })
	if i < 0 {
		i = len(r.Pools)
		r.Pools = append(r.Pools, poolReport{Name: machine.Pool, States: map[string]int{}})
	}
	pool := &r.Pools[i]
	pool.Machines++
	pool.States[machine.Status]++
	if machine.Ready {
		pool.Ready++
	}
}

// addresses gives the addresses of a machine's interfaces.
func addresses(instance *unstructured.Unstructured) string {
	list, _, _ := unstructured.NestedSlice(instance.Object, "status", "interfaces")
	var found []string
	for _, item := range list {
		fields, _ := item.(map[string]any)
		if address, ok := fields["ipAddress"].(string); ok && address != "" {
			found = append(found, address)
		}
	}
	return strings.Join(found, ",")
}

// keptDisks are disks whose machine is gone.
func keptDisks(world wait.World) []string {
	machines := map[string]bool{}
	for key := range world {
		if key.Kind == "VirtualMachine" {
			machines[key.Name] = true
		}
	}
	var kept []string
	for key, item := range world {
		machine, ok := item.GetLabels()[v1alpha1.LabelVM]
		if key.Kind == "DataVolume" && ok && !machines[machine] {
			kept = append(kept, key.Name)
		}
	}
	slices.SortFunc(kept, compareNumbered)
	return kept
}

// compareNumbered sorts web-2 before web-10.
func compareNumbered(a, b string) int {
	for part := range min(len(a), len(b)) {
		if a[part] == b[part] {
			continue
		}
		start := part
		for start > 0 && isDigit(a[start-1]) {
			start--
		}
		numberA, numberB := digits(a[start:]), digits(b[start:])
		if numberA != "" && numberB != "" && len(numberA) != len(numberB) {
			return cmp.Compare(len(numberA), len(numberB))
		}
		return cmp.Compare(a[part], b[part])
	}
	return cmp.Compare(len(a), len(b))
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func digits(text string) string {
	end := 0
	for end < len(text) && isDigit(text[end]) {
		end++
	}
	return text[:end]
}

// WriteTable implements output.Writer.
func (r fleetReport) WriteTable(out io.Writer) error {
	return output.WriteGrids(out, r.headGrid(), r.failureGrid(), r.poolGrid(), r.imageGrid(), r.keptGrid())
}

// WriteWide implements output.WideWriter.
func (r fleetReport) WriteWide(out io.Writer) error {
	return output.WriteGrids(out, r.headGrid(), r.failureGrid(), r.poolGrid(), r.imageGrid(), r.memberGrid(), r.keptGrid())
}

func (r fleetReport) headGrid() *output.Grid {
	grid := newFleetGrid()
	r.addRow(grid)
	return grid
}

func newFleetGrid() *output.Grid {
	return output.NewGrid("FLEET", "MACHINES", "READY", "FAILURES", "IMAGES", "KEPT DISKS", "AGE")
}

func (r fleetReport) addRow(grid *output.Grid) {
	imagesReady := 0
	for _, image := range r.Images {
		if image.Ready {
			imagesReady++
		}
	}
	grid.Add(r.Fleet, strconv.Itoa(r.Machines), strconv.Itoa(r.Ready), strconv.Itoa(len(r.Failures)),
		fmt.Sprintf("%d/%d", imagesReady, len(r.Images)), strconv.Itoa(len(r.Kept)), age(r.now, r.Created))
}

func (r fleetReport) failureGrid() *output.Grid {
	grid := output.NewGrid("FAILING", "NAME", "REASON", "MESSAGE")
	for _, failure := range r.Failures {
		grid.Add(failure.Kind, failure.Name, failure.Reason, dash(failure.Message))
	}
	return grid
}

func (r fleetReport) poolGrid() *output.Grid {
	grid := output.NewGrid("POOL", "MACHINES", "READY", "STATES")
	for _, pool := range r.Pools {
		var states []string
		for _, state := range slices.Sorted(maps.Keys(pool.States)) {
			states = append(states, fmt.Sprintf("%d %s", pool.States[state], state))
		}
		grid.Add(dash(pool.Name), strconv.Itoa(pool.Machines), strconv.Itoa(pool.Ready), strings.Join(states, ", "))
	}
	return grid
}

func (r fleetReport) imageGrid() *output.Grid {
	grid := output.NewGrid("IMAGE", "READY", "STATE", "PROGRESS")
	for _, image := range r.Images {
		grid.Add(image.Name, strconv.FormatBool(image.Ready), image.Reason, dash(image.Progress))
	}
	return grid
}

func (r fleetReport) memberGrid() *output.Grid {
	grid := output.NewGrid("MACHINE", "STATUS", "READY", "NODE", "ADDRESS", "AGE", "NOTE")
	for _, machine := range r.Members {
		grid.Add(machine.Name, machine.Status, strconv.FormatBool(machine.Ready), dash(machine.Node), dash(machine.Address),
			age(r.now, machine.Created), machine.Warning)
	}
	return grid
}

func (r fleetReport) keptGrid() *output.Grid {
	grid := output.NewGrid("KEPT DISK")
	for _, disk := range r.Kept {
		grid.Add(disk)
	}
	return grid
}

// Data implements output.Writer.
func (r fleetReport) Data() any { return r }

// Names implements output.Writer: the machines.
func (r fleetReport) Names() []string {
	names := make([]string, len(r.Members))
	for i, machine := range r.Members {
		names[i] = resourceName(manifest.Key{Group: "kubevirt.io", Kind: "VirtualMachine", Name: machine.Name})
	}
	return names
}

// fleetList is all fleets of a namespace.
type fleetList []fleetReport

// WriteTable implements output.Writer.
func (l fleetList) WriteTable(out io.Writer) error {
	if len(l) == 0 {
		return nil
	}
	grid := newFleetGrid()
	for _, report := range l {
		report.addRow(grid)
	}
	return grid.Write(out)
}

// Data implements output.Writer. The machines are left out; a fleet's own
// status has them.
func (l fleetList) Data() any {
	short := slices.Clone(l)
	for i := range short {
		short[i].Members = nil
	}
	return short
}

// Names implements output.Writer.
func (l fleetList) Names() []string {
	names := make([]string, len(l))
	for i, report := range l {
		names[i] = report.Fleet
	}
	return names
}
