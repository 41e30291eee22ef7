package output

import (
	"fmt"
	"os"

	"golang.org/x/term"
)

// IsTerminal says whether a stream is a terminal.
func IsTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// Width gives the width of a terminal; 0 for what is none, or does not know.
func Width(stream any) int {
	file, ok := stream.(*os.File)
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(file.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// Palette colours text, or leaves it as it is.
type Palette struct {
	enabled bool
}

// NewPalette gives colours where the stream is a terminal and NO_COLOR, whose
// value is given, is empty (https://no-color.org).
func NewPalette(out any, noColor string) Palette {
	return Palette{enabled: noColor == "" && IsTerminal(out)}
}

// Red colours what is taken away or has failed.
func (p Palette) Red(text string) string { return p.paint("31", text) }

// Green colours what is added or well.
func (p Palette) Green(text string) string { return p.paint("32", text) }

// Yellow colours warnings.
func (p Palette) Yellow(text string) string { return p.paint("33", text) }

// Cyan colours positions.
func (p Palette) Cyan(text string) string { return p.paint("36", text) }

// Bold stresses headings.
func (p Palette) Bold(text string) string { return p.paint("1", text) }

func (p Palette) paint(code, text string) string {
	if !p.enabled {
		return text
	}
	return fmt.Sprintf("\x1b[%sm%s\x1b[0m", code, text)
}
