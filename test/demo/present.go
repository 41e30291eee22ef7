package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// presenter prints what a person reads: headings, steps with their times, and tables.
type presenter struct {
	out     io.Writer
	color   bool
	live    bool // a line may be written again
	started time.Time
	chapter int
}

func newPresenter(out io.Writer) *presenter {
	file, ok := out.(*os.File)
	terminal := ok && term.IsTerminal(int(file.Fd()))
	_, plain := os.LookupEnv("NO_COLOR")
	return &presenter{out: out, color: terminal && !plain, live: terminal, started: time.Now()}
}

// The styles of a terminal.
const (
	bold  = "1"
	faint = "2"
	green = "32"
)

func (p *presenter) style(code, text string) string {
	if !p.color {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// heading begins a chapter.
func (p *presenter) heading(title string) {
	p.chapter++
	p.line("\n%s", p.style(bold, fmt.Sprintf("%d. %s", p.chapter, title)))
}

func (p *presenter) line(format string, args ...any) {
	fmt.Fprintf(p.out, format+"\n", args...)
}

// command shows what a person would type.
func (p *presenter) command(words ...string) {
	p.line("   %s", p.style(faint, "$ "+strings.Join(words, " ")))
}

// done says that something holds, and since when.
func (p *presenter) done(format string, args ...any) {
	p.line("   %s %s %s", p.style(green, "✓"), fmt.Sprintf(format, args...), p.style(faint, p.clock()))
}

// clock is the time since the demo began.
func (p *presenter) clock() string {
	return fmt.Sprintf("(at %.0f s)", time.Since(p.started).Seconds())
}

// Write passes on the lines of a program, indented.
func (p *presenter) Write(text []byte) (int, error) {
	for line := range strings.Lines(string(text)) {
		p.line("   %s", p.style(faint, strings.TrimRight(line, "\n")))
	}
	return len(text), nil
}

// column is one column of a table. A right column is aligned to the right.
type column struct {
	title string
	width int
	right bool
}

// table prints rows one by one, as they come to be known.
type table struct {
	show    *presenter
	columns []column
}

func (p *presenter) table(columns ...column) *table {
	t := &table{show: p, columns: columns}
	titles, rules := make([]string, len(columns)), make([]string, len(columns))
	for i, c := range columns {
		titles[i], rules[i] = c.title, strings.Repeat("─", c.width)
	}
	p.line("\n   %s", p.style(bold, t.text(titles)))
	p.line("   %s", t.text(rules))
	return t
}

func (t *table) text(cells []string) string {
	padded := make([]string, len(cells))
	for i, cell := range cells {
		width := t.columns[i].width
		if t.columns[i].right {
			width = -width
		}
		padded[i] = pad(cell, width)
	}
	return strings.TrimRight(strings.Join(padded, "  "), " ")
}

// pad counts characters, not bytes; a negative width aligns to the right.
func pad(text string, width int) string {
	if width < 0 {
		return strings.Repeat(" ", max(0, -width-len([]rune(text)))) + text
	}
	return text + strings.Repeat(" ", max(0, width-len([]rune(text))))
}

// draft shows a row that is not final yet, where a line can be written again.
func (t *table) draft(cells ...string) {
	if t.show.live {
		fmt.Fprintf(t.show.out, "\r   %s\x1b[K", t.text(cells))
	}
}

// row shows a row for good.
func (t *table) row(cells ...string) {
	if t.show.live {
		fmt.Fprint(t.show.out, "\r\x1b[K")
	}
	t.show.line("   %s", t.text(cells))
}

func seconds(d time.Duration) string {
	return fmt.Sprintf("%.1f s", d.Seconds())
}
