package cli

import (
	"io"
	"strconv"

	"helm.sh/helm/v3/pkg/release"

	"wukong.io/wukong/pkg/cli/output"
	"wukong.io/wukong/pkg/cli/wait"
)

// deployed is the result of an install or upgrade.
type deployed struct {
	Fleet     string         `json:"fleet"`
	Namespace string         `json:"namespace"`
	Revision  int            `json:"revision"`
	Status    string         `json:"status"`
	DryRun    bool           `json:"dryRun,omitempty"`
	Machines  int            `json:"machines"`
	Objects   map[string]int `json:"objects"`
	// Ready is how far the fleet was when the wait ended; nil without a wait.
	Ready    *readiness `json:"ready,omitempty"`
	Warnings []problem  `json:"warnings,omitempty"`
	Failures []problem  `json:"failures,omitempty"`
}

// readiness counts what is as it should be.
type readiness struct {
	Ready int `json:"ready"`
	Total int `json:"total"`
}

// problem is something a person should look at.
type problem struct {
	Kind    string `json:"kind"`
	Name    string `json:"name"`
	State   string `json:"state,omitempty"`
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
}

func newDeployed(d *deploy, made *release.Release) *deployed {
	return &deployed{
		Fleet: made.Name, Namespace: made.Namespace, Revision: made.Version, Status: made.Info.Status.String(),
		DryRun: d.dryRun, Machines: d.plan.Machines, Objects: d.plan.Objects,
	}
}

// add takes over how a wait ended.
func (d *deployed) add(summary wait.Summary) {
	d.Ready = &readiness{Total: len(summary.Items), Ready: len(summary.With(wait.Ready))}
	for _, item := range summary.Warnings() {
		d.Warnings = append(d.Warnings, problem{Kind: item.Key.Kind, Name: item.Key.Name, Message: item.Verdict.Warning})
	}
	for _, item := range summary.With(wait.Failed, wait.Failing, wait.Blocked) {
		d.Failures = append(d.Failures, newProblem(item))
	}
}

func newProblem(item wait.Item) problem {
	return problem{
		Kind: item.Key.Kind, Name: item.Key.Name, State: item.Verdict.State.String(),
		Reason: item.Verdict.Reason, Message: item.Verdict.Message,
	}
}

// WriteTable implements output.Writer.
func (d *deployed) WriteTable(out io.Writer) error {
	grid := output.NewGrid("FLEET", "NAMESPACE", "REVISION", "STATUS", "MACHINES", "READY")
	ready := "-"
	if d.Ready != nil {
		ready = strconv.Itoa(d.Ready.Ready) + "/" + strconv.Itoa(d.Ready.Total)
	}
	status := d.Status
	if d.DryRun {
		status = "dry run"
	}
	grid.Add(d.Fleet, d.Namespace, strconv.Itoa(d.Revision), status, strconv.Itoa(d.Machines), ready)
	return grid.Write(out)
}

// Data implements output.Writer.
func (d *deployed) Data() any { return d }

// Names implements output.Writer.
func (d *deployed) Names() []string { return []string{d.Fleet} }
