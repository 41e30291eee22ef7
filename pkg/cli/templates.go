package cli

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"wukong.io/wukong/pkg/cli/output"
	"wukong.io/wukong/templates"
)

// templatesOptions are those of the command templates.
type templatesOptions struct {
	env    *environment
	output *output.Flag
}

func newTemplatesCommand(env *environment) *cobra.Command {
	o := &templatesOptions{env: env, output: output.NewFlag(output.Standard()...)}
	cmd := &cobra.Command{
		Use:   "templates",
		Short: "List the catalogue of fleet files",
		Example: env.examples(`
  # What there is to begin with
  wukong templates

  # Their names alone, for a script
  wukong templates -o name`),
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	o.output.AddTo(cmd)
	return cmd
}

func (o *templatesOptions) run(_ context.Context) error {
	list, err := templates.List()
	if err != nil {
		return err
	}
	result := make(catalogue, len(list))
	for i, t := range list {
		result[i] = catalogueEntry{Name: t.Name, Title: t.Title, Description: t.Description}
	}
	return o.output.Write(o.env.Out, result)
}

// catalogue is the list of templates.
type catalogue []catalogueEntry

type catalogueEntry struct {
	Name        string `json:"name"`
	Title       string `json:"title"`
	Description string `json:"description,omitempty"`
}

// WriteTable implements output.Writer.
func (c catalogue) WriteTable(out io.Writer) error {
	grid := output.NewGrid("NAME", "TITLE")
	for _, entry := range c {
		grid.Add(entry.Name, entry.Title)
	}
	return grid.Write(out)
}

// Data implements output.Writer.
func (c catalogue) Data() any { return c }

// Names implements output.Writer.
func (c catalogue) Names() []string {
	names := make([]string, len(c))
	for i, entry := range c {
		names[i] = entry.Name
	}
	return names
}
