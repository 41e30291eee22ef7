package compare

import (
	"fmt"
	"io"
	"strings"

	"github.com/pmezard/go-difflib/difflib"

	"wukong.io/wukong/pkg/cli/manifest"
)

// context is how many unchanged lines stand around a change.
const context = 3

// Palette colours the lines of a diff.
type Palette interface {
	Red(text string) string
	Green(text string) string
	Cyan(text string) string
	Bold(text string) string
}

// WriteUnified writes a change as a unified diff.
func WriteUnified(out io.Writer, change Change, palette Palette) error {
	text, err := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{
		A:        splitLines(change.Before),
		B:        splitLines(change.After),
		FromFile: side("live", change.Key, change.Action == Create),
		ToFile:   side("fleet", change.Key, change.Action == Delete || change.Action == Release),
		Context:  context,
	})
	if err != nil {
		return fmt.Errorf("comparing %s %q: %w", change.Key.Kind, change.Key.Name, err)
	}
	if change.Action == Release {
		fmt.Fprintf(out, "%s\n", palette.Bold(fmt.Sprintf("# %s %s leaves the fleet and is kept", change.Key.Kind, change.Key.Name)))
	}
	for line := range strings.Lines(text) {
		if _, err := fmt.Fprintln(out, paint(palette, strings.TrimSuffix(line, "\n"))); err != nil {
			return err
		}
	}
	return nil
}

func side(prefix string, key manifest.Key, nothing bool) string {
	if nothing {
		return "/dev/null"
	}
	return prefix + "/" + key.Kind + "/" + key.Name
}

func splitLines(text string) []string {
	if text == "" {
		return nil
	}
	lines := strings.SplitAfter(text, "\n")
	if last := len(lines) - 1; lines[last] == "" {
		lines = lines[:last]
	}
	return lines
}

func paint(palette Palette, line string) string {
	switch {
	case strings.HasPrefix(line, "--- "), strings.HasPrefix(line, "+++ "):
		return palette.Bold(line)
	case strings.HasPrefix(line, "@@"):
		return palette.Cyan(line)
	case strings.HasPrefix(line, "-"):
		return palette.Red(line)
	case strings.HasPrefix(line, "+"):
		return palette.Green(line)
	default:
		return line
	}
}
