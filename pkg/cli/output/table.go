package output

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Grid is a table of text: a header and rows.
type Grid struct {
	Header []string
	Rows   [][]string
}

// NewGrid begins a table with a header.
func NewGrid(header ...string) *Grid {
	return &Grid{Header: header}
}

// Add adds a row.
func (g *Grid) Add(cells ...string) {
	g.Rows = append(g.Rows, cells)
}

// Write writes the columns aligned, as kubectl does, without blanks at the end
// of lines.
func (g *Grid) Write(out io.Writer) error {
	var text strings.Builder
	columns := tabwriter.NewWriter(&text, 0, 8, 3, ' ', 0)
	for _, row := range append([][]string{g.Header}, g.Rows...) {
		fmt.Fprintln(columns, strings.Join(clean(row), "\t"))
	}
	if err := columns.Flush(); err != nil {
		return fmt.Errorf("aligning columns: %w", err)
	}
	for line := range strings.Lines(text.String()) {
		if _, err := fmt.Fprintln(out, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

// clean keeps what comes from the cluster or a file from breaking the table or
// steering the terminal.
func clean(row []string) []string {
	cells := make([]string, len(row))
	for i, cell := range row {
		cells[i] = Clean(cell)
	}
	return cells
}

// Clean makes one line of text, without control characters.
func Clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t', r == '\r':
			return ' '
		case r < ' ', r >= 0x7f && r < 0xa0:
			return '?'
		default:
			return r
		}
	}, text)
}

// WriteGrids writes several tables with a blank line between them; empty ones
// are left out.
func WriteGrids(out io.Writer, grids ...*Grid) error {
	written := false
	for _, grid := range grids {
		if grid == nil || len(grid.Rows) == 0 {
			continue
		}
		if written {
			fmt.Fprintln(out)
		}
		if err := grid.Write(out); err != nil {
			return err
		}
		written = true
	}
	return nil
}
