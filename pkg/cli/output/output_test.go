package output_test

import (
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"wukong.io/wukong/pkg/cli/output"
)

// result can be printed in every way.
type result struct{}

func (result) WriteTable(out io.Writer) error { _, err := io.WriteString(out, "table\n"); return err }
func (result) Data() any                      { return map[string]any{"a": "<b>", "size": 1} }
func (result) Names() []string                { return []string{"one", "two"} }

// wideResult has more to say.
type wideResult struct{ result }

func (wideResult) WriteWide(out io.Writer) error { _, err := io.WriteString(out, "wide\n"); return err }

func TestFormats(t *testing.T) {
	cases := map[string]struct {
		format string
		result output.Writer
		want   string
	}{
		"table":                         {"table", result{}, "table\n"},
		"wide":                          {"wide", wideResult{}, "wide\n"},
		"wide of what has only a table": {"wide", result{}, "table\n"},
		"json":                          {"json", result{}, "{\n  \"a\": \"<b>\",\n  \"size\": 1\n}\n"},
		"yaml":                          {"yaml", result{}, "a: <b>\nsize: 1\n"},
		"name":                          {"name", result{}, "one\ntwo\n"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			flag := output.NewFlag(output.Table, output.Wide, output.YAML, output.JSON, output.Name)
			if err := flag.Set(tc.format); err != nil {
				t.Fatal(err)
			}
			var text strings.Builder
			if err := flag.Write(&text, tc.result); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, text.String()); diff != "" {
				t.Errorf("output differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFlagNamesWhatIsAllowed(t *testing.T) {
	flag := output.NewFlag(output.YAML, output.Name)
	flag.AddTo(&cobra.Command{})
	if flag.Format != output.YAML {
		t.Errorf("found default %q, want the first", flag.Format)
	}
	err := flag.Set("table")
	if err == nil || err.Error() != `found "table", allowed are yaml, name` {
		t.Errorf("found %v", err)
	}
	if flag.Format != output.YAML {
		t.Errorf("a refused format was taken")
	}
}

func TestGridsAlignAndKeepTheTerminalSafe(t *testing.T) {
	first := output.NewGrid("NAME", "MESSAGE", "NOTE")
	first.Add("a", "two\nlines\tand \x1b[31mred\x1b[0m", "")
	first.Add("longer", "ü", "x")
	empty := output.NewGrid("NOTHING")
	last := output.NewGrid("LAST")
	last.Add("row")
	var text strings.Builder
	if err := output.WriteGrids(&text, first, empty, nil, last); err != nil {
		t.Fatal(err)
	}
	want := "NAME     MESSAGE                      NOTE\n" +
		"a        two lines and ?[31mred?[0m\n" +
		"longer   ü                            x\n" +
		"\n" +
		"LAST\n" +
		"row\n"
	if diff := cmp.Diff(want, text.String()); diff != "" {
		t.Errorf("tables differ (-want +got):\n%s", diff)
	}
}

func TestColoursAreForTerminals(t *testing.T) {
	var text strings.Builder
	for name, palette := range map[string]output.Palette{
		"not a terminal": output.NewPalette(&text, ""), "NO_COLOR": output.NewPalette(&text, "1"),
	} {
		if got := palette.Red("x") + palette.Bold("y"); got != "xy" {
			t.Errorf("%s: found %q, want no colours", name, got)
		}
	}
}
