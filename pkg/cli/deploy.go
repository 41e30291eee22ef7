package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/release"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"wukong.io/wukong/pkg/cli/manifest"
	"wukong.io/wukong/pkg/cli/output"
	"wukong.io/wukong/pkg/cli/preflight"
	"wukong.io/wukong/pkg/fleet"
)

// defaultTimeout of waits: images are large.
const defaultTimeout = 30 * time.Minute

// deployOptions are those that install and upgrade share.
type deployOptions struct {
	env             *environment
	source          source
	output          *output.Flag
	wait            bool
	timeout         time.Duration
	dryRun          bool
	createNamespace bool
	takeOwnership   bool
	description     string

	fleet fleet.Fleet
}

func (o *deployOptions) addFlags(flags *pflag.FlagSet) {
	o.source.addFlags(flags)
	flags.BoolVar(&o.wait, "wait", true, "wait until machines and disks are as the fleet asks; a halted machine is ready when it is stopped")
	flags.DurationVar(&o.timeout, "timeout", defaultTimeout, "how long to wait")
	flags.BoolVar(&o.dryRun, "dry-run", false, "check everything against the cluster and make nothing")
	flags.BoolVar(&o.takeOwnership, "take-ownership", false, "take over objects that belong to another release, such as disks that were kept")
	flags.StringVar(&o.description, "description", "", "description of the release, for helm history")
}

func (o *deployOptions) complete(args []string, command string) error {
	var err error
	if o.fleet, err = o.source.read(o.env, args); err != nil {
		return err
	}
	if o.timeout <= 0 {
		return usage(fmt.Errorf("--timeout: found %s, want more than 0, as 30m", o.timeout))
	}
	return requireName(o.env, o.fleet, command)
}

// deploy is one install or upgrade.
type deploy struct {
	*deployOptions
	cluster       *cluster
	configuration *action.Configuration
	rendered      *rendered
	plan          *fleet.Plan
}

// prepare does everything that comes before the first object is made: it
// validates the fleet, predicts its size and asks the cluster for what the
// fleet needs.
func (o *deployOptions) prepare(ctx context.Context) (*deploy, error) {
	d := &deploy{deployOptions: o}
	steps := []func(context.Context) error{d.predict, d.render, d.connect, d.preflight}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// predict validates the fleet and refuses one that Helm could not store. A
// database has no such limit.
func (d *deploy) predict(ctx context.Context) error {
	renderer, err := d.env.renderer()
	if err != nil {
		return err
	}
	if d.plan, err = renderer.Plan(ctx, d.fleet); err != nil {
		return err
	}
	if d.plan.Fits || d.env.getenv("HELM_DRIVER") == "sql" {
		return nil
	}
	return &ExitError{Code: exitRefused, Cause: errors.New(tooLarge(d.fleet, d.plan) + " Nothing was made.")}
}

func (d *deploy) render(ctx context.Context) error {
	var err error
	d.rendered, err = d.env.render(ctx, d.fleet)
	return err
}

func (d *deploy) connect(context.Context) error {
	var err error
	if d.cluster, err = d.env.cluster(); err != nil {
		return err
	}
	d.configuration, err = d.env.helm(d.fleet.Namespace)
	return err
}

func (d *deploy) preflight(ctx context.Context) error {
	exists, err := d.namespaceExists(ctx)
	if err != nil {
		return err
	}
	asked := preflight.Cluster{Client: d.cluster.dynamic, Metadata: d.cluster.metadata, Mapper: d.cluster.mapper}
	needs := preflight.Collect(d.rendered.objects, d.fleet.Namespace)
	facts, err := preflight.Gather(ctx, asked, needs)
	if err != nil {
		return fmt.Errorf("checking the cluster: %w", err)
	}
	disks, err := d.cluster.ofFleet(ctx, []schema.GroupKind{{Group: "cdi.kubevirt.io", Kind: "DataVolume"}}, d.fleet.Namespace, d.rendered.label)
	if err != nil {
		return fmt.Errorf("checking the cluster: %w", err)
	}
	findings := append(preflight.Decide(needs, facts), preflight.Immutable(d.rendered.objects, preflight.ByName(disks))...)
	if exists {
		refused, err := preflight.Admission(ctx, asked, d.fleet.Namespace, d.rendered.objects)
		if err != nil {
			return fmt.Errorf("asking the cluster about the machines: %w", err)
		}
		findings = append(findings, refused...)
	}
	return d.refuse(findings)
}

// namespaceExists refuses a namespace that is missing, unless it is to be made.
// Somebody who may not read namespaces is believed.
func (d *deploy) namespaceExists(ctx context.Context) (bool, error) {
	found, err := d.cluster.get(ctx, manifest.Key{Kind: "Namespace", Name: d.fleet.Namespace})
	switch {
	case apierrors.IsForbidden(err):
		return true, nil
	case err != nil || found != nil:
		return found != nil, err
	case d.createNamespace:
		return false, nil
	default:
		return false, &ExitError{Code: exitRefused, Cause: fmt.Errorf("namespace %q does not exist: make it, or add --create-namespace", d.fleet.Namespace)}
	}
}

// refuse warns of what may still be mended and refuses what may not.
func (d *deploy) refuse(findings []preflight.Finding) error {
	var fatal []string
	for _, finding := range findings {
		if finding.Fatal {
			fatal = append(fatal, "- "+finding.Message)
			continue
		}
		d.env.warn("%s", finding.Message)
	}
	if len(fatal) == 0 {
		return nil
	}
	if more := len(fatal) - shownProblems; more > 0 {
		fatal = append(fatal[:shownProblems], fmt.Sprintf("- and %d more", more))
	}
	return &ExitError{Code: exitRefused, Cause: fmt.Errorf("the cluster cannot take fleet %q; nothing was made:\n%s", d.fleet.Name, strings.Join(fatal, "\n"))}
}

// install makes the release.
func (d *deploy) install(ctx context.Context, replace bool) error {
	chart, err := fleet.Chart()
	if err != nil {
		return err
	}
	install := action.NewInstall(d.configuration)
	install.ReleaseName, install.Namespace = d.fleet.Name, d.fleet.Namespace
	install.CreateNamespace, install.TakeOwnership = d.createNamespace, d.takeOwnership
	install.Replace, install.Description = replace, d.description
	install.DryRun, install.Timeout = d.dryRun, d.timeout
	d.announce("Installing")
	made, err := install.RunWithContext(ctx, chart, d.fleet.Values)
	if err != nil {
		return d.helmError("installing", err)
	}
	return d.finish(ctx, made)
}

// historyMax is how many revisions of a release are kept, as in stock helm.
const historyMax = 10

// upgrade changes the release.
func (d *deploy) upgrade(ctx context.Context) error {
	chart, err := fleet.Chart()
	if err != nil {
		return err
	}
	upgrade := action.NewUpgrade(d.configuration)
	upgrade.Namespace, upgrade.TakeOwnership = d.fleet.Namespace, d.takeOwnership
	upgrade.ResetValues, upgrade.MaxHistory = true, historyMax // the file is the whole truth
	upgrade.DryRun, upgrade.Timeout, upgrade.Description = d.dryRun, d.timeout, d.description
	d.announce("Upgrading")
	made, err := upgrade.RunWithContext(ctx, d.fleet.Name, chart, d.fleet.Values)
	if err != nil {
		return d.helmError("upgrading", err)
	}
	return d.finish(ctx, made)
}

func (d *deploy) announce(what string) {
	note := ""
	if d.dryRun {
		note = ", in a dry run"
	}
	d.env.say("%s fleet %q in namespace %q: %s, %s%s", what, d.fleet.Name, d.fleet.Namespace,
		count(d.plan.Machines, "machine"), count(len(d.rendered.objects), "object"), note)
}

// helmError adds to Helm's words what to do.
func (d *deploy) helmError(doing string, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	text := strings.TrimSpace(err.Error())
	message := fmt.Sprintf("%s fleet %q: %s", doing, d.fleet.Name, text)
	switch {
	case strings.Contains(text, "cannot be imported into the current release"):
		message += "\nNothing was made. See who owns it; to make it part of this fleet, add --take-ownership"
	case strings.Contains(text, "another operation"):
		message += fmt.Sprintf("\nIf nobody is at it any more, undo the unfinished revision with: helm rollback %s -n %s", d.fleet.Name, d.fleet.Namespace)
	default:
		message += fmt.Sprintf("\nWhat was made stays. Mend the cause and run %q, or remove all with %q",
			d.env.program+" upgrade "+d.fleet.Name, d.env.program+" uninstall "+d.fleet.Name)
	}
	return &ExitError{Code: exitFailure, Cause: errors.New(message)}
}

// finish waits for the fleet and prints the result.
func (d *deploy) finish(ctx context.Context, made *release.Release) error {
	result := newDeployed(d, made)
	var waitErr error
	if d.wait && !d.dryRun {
		summary, err := d.env.await(ctx, d.cluster, d.rendered, d.timeout)
		result.add(summary)
		waitErr = err
	}
	if err := d.output.Write(d.env.Out, result); err != nil {
		return err
	}
	if waitErr != nil {
		return waitErr
	}
	if !d.dryRun {
		d.env.say("See it with: %s status %s -n %s", d.env.program, d.fleet.Name, d.fleet.Namespace)
	}
	return nil
}
