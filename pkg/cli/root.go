package cli

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/utils/clock"
)

// Options are what the command line gets from its process, besides its
// streams.
type Options struct {
	// Program is the name the process was called by, argv[0].
	Program string
	// Clock tells the time.
	Clock clock.WithTicker
	// Getenv reads the process's environment: NO_COLOR and HELM_DRIVER.
	Getenv func(string) string
}

// The names of the program, alone and as kubectl's plugin.
const (
	programAlone  = "wukong"
	programPlugin = "kubectl wukong"
)

// programName says what a person types to call the program.
func programName(argument string) string {
	base := strings.TrimSuffix(filepath.Base(argument), ".exe")
	if strings.HasPrefix(base, "kubectl-") || strings.HasPrefix(base, "kubectl_") {
		return programPlugin
	}
	return programAlone
}

// New makes the command with all its subcommands.
func New(streams genericiooptions.IOStreams, options Options) *cobra.Command {
	env := newEnvironment(streams, options)
	root := &cobra.Command{
		Use:   programAlone,
		Short: "Fleets of KubeVirt virtual machines from one file",
		Long: `Fleets of KubeVirt virtual machines from one file.

A fleet file is the values of the chart vm-fleet, and the spec of a Wukong object: images,
pools of machines, networks. This program renders and checks it offline, compares it with
the cluster, and installs it as a Helm release that stock helm understands.`,
		Example: env.examples(`
  # Begin with a file from the catalogue, see what it makes, install it
  wukong init classroom -o fleet.yaml
  wukong plan school -f fleet.yaml
  wukong install school -f fleet.yaml`),
		Annotations:       map[string]string{cobra.CommandDisplayNameAnnotation: env.program},
		SilenceErrors:     true,
		SilenceUsage:      true,
		DisableAutoGenTag: true,
		Args:              knownCommand,
		PersistentPreRun:  func(*cobra.Command, []string) { env.quieten() },
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.ErrOut)
	root.SuggestionsMinimumDistance = 2
	root.SetFlagErrorFunc(flagError)
	env.addFlags(root.PersistentFlags())
	addCommands(root, env)
	return root
}

// addCommands adds the subcommands in groups, in the order of their use.
func addCommands(root *cobra.Command, env *environment) {
	root.AddGroup(
		&cobra.Group{ID: "files", Title: "Fleet files, offline:"},
		&cobra.Group{ID: "cluster", Title: "Fleets in a cluster:"},
	)
	groups := []struct {
		id       string
		commands []*cobra.Command
	}{
		{"files", []*cobra.Command{
			newTemplatesCommand(env), newInitCommand(env), newValidateCommand(env), newPlanCommand(env), newRenderCommand(env),
		}},
		{"cluster", []*cobra.Command{
			newDiffCommand(env), newInstallCommand(env), newUpgradeCommand(env), newStatusCommand(env), newUninstallCommand(env),
		}},
		{"", []*cobra.Command{newVersionCommand(env)}},
	}
	for _, group := range groups {
		for _, command := range group.commands {
			command.GroupID = group.id
			root.AddCommand(command)
		}
	}
	root.InitDefaultCompletionCmd("completion")
	describeCompletion(root, env)
}

// describeCompletion adds to cobra's completion command what a kubectl plugin
// needs besides.
func describeCompletion(root *cobra.Command, env *environment) {
	command, _, err := root.Find([]string{"completion"})
	if err != nil || command == root {
		return
	}
	command.Short = "Write a completion script for a shell"
	command.Long = env.examples(`Write a completion script for a shell; see the help of each shell for how to load it.

As a kubectl plugin the program is completed by kubectl itself, which asks an executable
named kubectl_complete-wukong on the PATH. It is one line:

  printf '#!/bin/sh\nexec kubectl-wukong __complete "$@"\n' > kubectl_complete-wukong
  chmod +x kubectl_complete-wukong`)
}

// examples puts the name the program was called by into examples.
func (e *environment) examples(text string) string {
	text = strings.TrimPrefix(text, "\n")
	if e.program == programAlone {
		return text
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if command, ok := strings.CutPrefix(line, "  "+programAlone+" "); ok {
			lines[i] = "  " + e.program + " " + command
		}
	}
	return strings.Join(lines, "\n")
}

// knownCommand refuses a word that is no command, with the nearest one.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	message := fmt.Sprintf("unknown command %q", args[0])
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		message += fmt.Sprintf("; did you mean %s?", strings.Join(near, " or "))
	}
	return usage(fmt.Errorf("%s\nSee %q", message, cmd.CommandPath()+" --help"))
}

// noArguments refuses arguments.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usage(fmt.Errorf("found argument %q, want none\nSee %q", args[0], cmd.CommandPath()+" --help"))
}

// oneName accepts at most one argument, the name of what the command is about.
func oneName(cmd *cobra.Command, args []string) error {
	if len(args) <= 1 {
		return nil
	}
	return usage(fmt.Errorf("found %d arguments (%s), want one name\nSee %q",
		len(args), strings.Join(args, " "), cmd.CommandPath()+" --help"))
}

// flagError says what is wrong with the flags, with the nearest flag where one
// is misspelt.
func flagError(cmd *cobra.Command, err error) error {
	message := err.Error()
	if near := nearestFlag(cmd, message); near != "" {
		message += fmt.Sprintf("; did you mean --%s?", near)
	}
	return usage(fmt.Errorf("%s\nSee %q", message, cmd.CommandPath()+" --help"))
}
