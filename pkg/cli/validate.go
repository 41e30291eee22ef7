package cli

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"wukong.io/wukong/pkg/cli/output"
	"wukong.io/wukong/pkg/fleet"
)

// validateOptions are those of the command validate.
type validateOptions struct {
	env    *environment
	source source
	output *output.Flag

	fleet fleet.Fleet
}

func newValidateCommand(env *environment) *cobra.Command {
	o := &validateOptions{env: env, output: output.NewFlag(output.Standard()...)}
	cmd := &cobra.Command{
		Use:   "validate [NAME] -f FILE",
		Short: "Check a fleet file and report every mistake at once",
		Long: `Check a fleet file and report every mistake at once.

The rules are those of the chart, the CLI and the controller; no cluster is asked. Machines
carry the fleet's name, so give it where names are long: without it the file's is taken.
The exit code is 1 where the fleet is invalid.`,
		Example: env.examples(`
  # Every mistake, with the path of the value
  wukong validate shop -f fleet.yaml

  # For another program
  wukong validate shop -f fleet.yaml -o json`),
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

func (o *validateOptions) complete(args []string) error {
	f, err := o.source.read(o.env, args)
	o.fleet = o.source.nameFromFile(f)
	return err
}

func (o *validateOptions) run(ctx context.Context) error {
	renderer, err := o.env.renderer()
	if err != nil {
		return err
	}
	err = renderer.Validate(ctx, o.fleet)
	mistakes, invalid := errors.AsType[fleet.ErrorList](err)
	if err != nil && !invalid {
		return err
	}
	result := newVerdict(o.fleet, mistakes)
	if err := o.output.Write(o.env.Out, result); err != nil {
		return err
	}
	if invalid {
		o.env.say("%s: fleet %q has %s", o.env.palette(o.env.ErrOut).Red("invalid"), o.fleet.Name, count(len(mistakes), "mistake"))
		return &ExitError{Code: exitInvalid}
	}
	o.env.say("%s: fleet %q in namespace %q", o.env.palette(o.env.ErrOut).Green("valid"), o.fleet.Name, o.fleet.Namespace)
	return nil
}

// verdict is the result of checking a fleet.
type verdict struct {
	Fleet     string    `json:"fleet"`
	Namespace string    `json:"namespace"`
	Valid     bool      `json:"valid"`
	Errors    []mistake `json:"errors"`
}

// mistake is one error in a fleet.
type mistake struct {
	Path    string `json:"path"`
	Message string `json:"message"`
}

func newVerdict(f fleet.Fleet, list fleet.ErrorList) verdict {
	v := verdict{Fleet: f.Name, Namespace: f.Namespace, Valid: len(list) == 0, Errors: make([]mistake, len(list))}
	for i, e := range list {
		v.Errors[i] = mistake{Path: e.Path, Message: e.Message}
	}
	return v
}

// WriteTable implements output.Writer.
func (v verdict) WriteTable(out io.Writer) error {
	if v.Valid {
		return nil
	}
	grid := output.NewGrid("PATH", "FOUND AND ALLOWED")
	for _, e := range v.Errors {
		path := e.Path
		if path == "" {
			path = "."
		}
		grid.Add(path, e.Message)
	}
	return grid.Write(out)
}

// Data implements output.Writer.
func (v verdict) Data() any { return v }

// Names implements output.Writer: the paths of the mistakes.
func (v verdict) Names() []string {
	names := make([]string, len(v.Errors))
	for i, e := range v.Errors {
		names[i] = e.Path
	}
	return names
}
