package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"wukong.io/wukong/templates"
)

// initOptions are those of the command init.
type initOptions struct {
	env   *environment
	name  string
	file  string
	force bool
}

func newInitCommand(env *environment) *cobra.Command {
	o := &initOptions{env: env}
	cmd := &cobra.Command{
		Use:   "init NAME",
		Short: "Write a fleet file from the catalogue",
		Example: env.examples(`
  # Begin a fleet of 40 desktops
  wukong init classroom -o fleet.yaml

  # Look at it first
  wukong init classroom`),
		Args:              oneName,
		ValidArgsFunction: completeTemplates,
		RunE: func(_ *cobra.Command, args []string) error {
			if err := o.complete(args); err != nil {
				return err
			}
			return o.run()
		},
	}
	cmd.Flags().StringVarP(&o.file, "output", "o", "-", "file to write; - is stdout")
	cmd.Flags().BoolVar(&o.force, "force", false, "overwrite the file if it exists")
	return cmd
}

func (o *initOptions) complete(args []string) error {
	if len(args) == 0 {
		return usage(fmt.Errorf("no template named: see them with %q", o.env.program+" templates"))
	}
	o.name = args[0]
	return nil
}

func (o *initOptions) run() error {
	text, err := findTemplate(o.name)
	if err != nil {
		return err
	}
	if o.file == "-" {
		_, err := o.env.Out.Write(text)
		return err
	}
	if err := o.write(text); err != nil {
		return err
	}
	o.env.say("Wrote %s. Next:\n  %s plan NAME -f %s\n  %s install NAME -f %s", o.file, o.env.program, o.file, o.env.program, o.file)
	return nil
}

// write makes the file. Without --force the system itself refuses one that
// exists, so that nothing can come between a check and the writing.
func (o *initOptions) write(text []byte) error {
	flags := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if o.force {
		flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	file, err := os.OpenFile(o.file, flags, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("file %q exists: give another name, or --force to overwrite it", o.file)
	}
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Close())
}

// findTemplate reads a template; an unknown name is answered with those there
// are.
func findTemplate(name string) ([]byte, error) {
	list, err := templates.List()
	if err != nil {
		return nil, err
	}
	names := make([]string, len(list))
	for i, t := range list {
		names[i] = t.Name
		if t.Name == name {
			return templates.Get(name)
		}
	}
	message := fmt.Sprintf("found no template %q", name)
	if near := nearest(name, names); near != "" {
		message += fmt.Sprintf("; did you mean %q?", near)
	}
	return nil, usage(fmt.Errorf("%s\nThere are: %s", message, strings.Join(names, ", ")))
}

func completeTemplates(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	list, err := templates.List()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names := make([]cobra.Completion, len(list))
	for i, t := range list {
		names[i] = cobra.CompletionWithDesc(t.Name, t.Title)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
