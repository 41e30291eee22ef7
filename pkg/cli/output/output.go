package output

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"
)

// Format is how a result is printed.
type Format string

// The formats. Diff and Wide are offered only by commands that have more than
// a table to show.
const (
	Table Format = "table"
	Wide  Format = "wide"
	YAML  Format = "yaml"
	JSON  Format = "json"
	Name  Format = "name"
	Diff  Format = "diff"
)

// Standard gives the formats that every command with a table offers.
func Standard() []Format {
	return []Format{Table, YAML, JSON, Name}
}

// Writer is a result that can be printed.
type Writer interface {
	// WriteTable writes the result for a person to read.
	WriteTable(out io.Writer) error
	// Data is what JSON and YAML show.
	Data() any
	// Names are what the result speaks of, a line each, in a form that kubectl
	// understands where there is one.
	Names() []string
}

// WideWriter is a result that has more to say than fits its table.
type WideWriter interface {
	Writer
	// WriteWide writes the table with everything.
	WriteWide(out io.Writer) error
}

// Flag is the value of -o.
type Flag struct {
	Format  Format
	allowed []Format
}

// NewFlag makes the value of -o; the first of the allowed formats is the
// default.
func NewFlag(allowed ...Format) *Flag {
	return &Flag{Format: allowed[0], allowed: allowed}
}

// AddTo adds -o to a command, with completion.
func (f *Flag) AddTo(cmd *cobra.Command) {
	cmd.Flags().VarP(f, "output", "o", "output format: "+f.list())
	complete := func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return strings.Split(f.list(), ", "), cobra.ShellCompDirectiveNoFileComp
	}
	if err := cmd.RegisterFlagCompletionFunc("output", complete); err != nil {
		panic(err) // the flag was added above
	}
}

// String implements pflag.Value.
func (f *Flag) String() string { return string(f.Format) }

// Type implements pflag.Value.
func (f *Flag) Type() string { return "format" }

// Set implements pflag.Value.
func (f *Flag) Set(value string) error {
	if !slices.Contains(f.allowed, Format(value)) {
		return fmt.Errorf("found %q, allowed are %s", value, f.list())
	}
	f.Format = Format(value)
	return nil
}

func (f *Flag) list() string {
	names := make([]string, len(f.allowed))
	for i, format := range f.allowed {
		names[i] = string(format)
	}
	return strings.Join(names, ", ")
}

// Write prints a result in the chosen format.
func (f *Flag) Write(out io.Writer, result Writer) error {
	switch f.Format {
	case JSON:
		return WriteJSON(out, result.Data())
	case YAML:
		return WriteYAML(out, result.Data())
	case Name:
		return WriteNames(out, result.Names())
	case Wide:
		if wide, ok := result.(WideWriter); ok {
			return wide.WriteWide(out)
		}
		return result.WriteTable(out)
	default:
		return result.WriteTable(out)
	}
}

// WriteJSON writes indented JSON.
func WriteJSON(out io.Writer, data any) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(data); err != nil {
		return fmt.Errorf("writing JSON: %w", err)
	}
	return nil
}

// WriteYAML writes YAML with sorted keys.
func WriteYAML(out io.Writer, data any) error {
	text, err := yaml.Marshal(data)
	if err != nil {
		return fmt.Errorf("writing YAML: %w", err)
	}
	_, err = out.Write(text)
	return err
}

// WriteNames writes a line for each name.
func WriteNames(out io.Writer, names []string) error {
	for _, name := range names {
		if _, err := fmt.Fprintln(out, name); err != nil {
			return err
		}
	}
	return nil
}
