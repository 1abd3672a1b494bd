// Package tables writes the tables of a report: for a terminal, in Markdown
// (report.md), and as Go benchmark lines.
//
// It shows the results of the packages analysis and claims.
package tables

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/equic-bench/equic-bench/report/analysis"
)

// rightAlign aligns columns, counted from 1, to the right.
func (t *Titled) rightAlign(from, to int) {
	t.numbers = [2]int{from, to}
	t.SetColumnConfigs(t.columns(nil))
}

// Table is a table of text whose lines fit the width of a terminal.
type Table struct{ t Titled }

// NewTable returns a table without rows. The columns from `from` to `to`, counted from
// 1, contain numbers.
func NewTable(from, to int, header ...any) *Table {
	t := NewTitled("", from-1, header...)
	t.rightAlign(from, to)
	return &Table{t}
}

// AppendRow adds a row with as many cells as the header.
func (t *Table) AppendRow(cells ...any) { t.t.AppendRow(cells) }

// Text renders the table with no line longer than width; zero means no limit.
func (t *Table) Text(width int) string { return t.t.fit(width) }

// Markdown renders the table in Markdown.
func (t *Table) Markdown() string { return t.t.RenderMarkdown() }

// columns returns the settings of columns, with the maximum width of each if widths are
// given.
func (t *Titled) columns(widths []int) []table.ColumnConfig {
	var all []table.ColumnConfig
	for i := 1; i <= max(len(widths), t.numbers[1]); i++ {
		c := table.ColumnConfig{Number: i}
		if t.numbers[0] <= i && i <= t.numbers[1] {
			c.Align, c.AlignHeader = text.AlignRight, text.AlignRight
		}
		if i <= len(widths) {
			c.WidthMax, c.WidthMaxEnforcer = widths[i-1], text.WrapSoft
		}
		all = append(all, c)
	}
	return all
}

// AppendRow also keeps the row's cells for fit.
func (t *Titled) AppendRow(row table.Row) {
	var cells []string
	for _, cell := range row {
		cells = append(cells, fmt.Sprint(cell))
	}
	t.rows = append(t.rows, cells)
	t.Writer.AppendRow(row)
}

// fit renders the table with no line longer than width; zero means no limit. Cells are
// broken between words, the widest columns first. If that is not enough, each row
// becomes a sentence.
func (t *Titled) fit(width int) string {
	if width <= 0 || t.width(t.widths()) <= width {
		return t.Render()
	}
	t.tighten()
	widths, floors := t.widths(), t.longestWords()
	if t.width(floors) > width {
		t.Style().Box.PaddingLeft = ""
	}
	for t.width(widths) > width {
		widest := -1
		for i := range widths {
			if widths[i] > floors[i] && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return t.sentences(width)
		}
		widths[widest]--
	}
	t.SetColumnConfigs(t.columns(widths))
	return t.Render()
}

// tighten keeps a number and its % on one line.
func (t *Titled) tighten() {
	t.ResetRows()
	for i, row := range t.rows {
		var cells table.Row
		for j := range row {
			t.rows[i][j] = strings.ReplaceAll(row[j], " %", "%")
			cells = append(cells, t.rows[i][j])
		}
		t.Writer.AppendRow(cells)
	}
}

// width returns the width of a frame around columns of the given widths.
func (t *Titled) width(widths []int) int {
	box := t.Style().Box
	total := 1 // the frame
	for _, w := range widths {
		total += len(box.PaddingLeft) + w + len(box.PaddingRight) + 1
	}
	return total
}

// widths returns the widths of the columns without broken cells.
func (t *Titled) widths() []int {
	return t.longest(func(cell string) []string { return []string{cell} })
}

// longestWords returns the smallest widths that break no word.
func (t *Titled) longestWords() []int {
	return t.longest(func(cell string) []string { return strings.Split(cell, " ") })
}

// longest returns, for each column, the length of the longest part of its cells.
func (t *Titled) longest(parts func(cell string) []string) []int {
	widths := make([]int, len(t.header))
	for _, row := range append([][]string{t.header}, t.rows...) {
		for i, cell := range row {
			for _, part := range parts(cell) {
				widths[i] = max(widths[i], utf8.RuneCountInString(part))
			}
		}
	}
	return widths
}

// sentences returns each row as a sentence: its text columns, then its numbers with
// their headers.
func (t *Titled) sentences(width int) string {
	var b strings.Builder
	for _, row := range t.rows {
		var names, values []string
		for i, cell := range row {
			if i+1 < t.numbers[0] {
				names = append(names, t.header[i]+" "+cell)
			} else {
				values = append(values, t.header[i]+": "+cell)
			}
		}
		line := strings.Join(names, ", ") + "; " + strings.Join(values, "; ")
		indent := ""
		for part := range strings.SplitSeq(text.WrapSoft(line, width-2), "\n") {
			fmt.Fprintln(&b, indent+strings.TrimRight(part, " "))
			indent = "  "
		}
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// Titled is a table with its title.
type Titled struct {
	Title string
	table.Writer
	below   []string // lines under the table
	numbers [2]int   // the first and the last right-aligned column
	header  []string
	rows    [][]string
}

// text returns the table with its title and the lines under it.
func (t *Titled) text(width int) string {
	lines := append([]string{t.Title, t.fit(width)}, t.below...)
	return strings.Join(lines, "\n") + "\n"
}

// forCell returns the table for one cell of a run, with the cell's name in the title.
func (t Titled) forCell(p *analysis.Part) Titled {
	if title := p.Title(); title != "" {
		t.Title = title + ": " + t.Title
	}
	return t
}

// first returns the table with its first n rows, and what is left out.
func (t *Titled) first(n int) (_ Titled, hidden []string) {
	if len(t.rows) <= n {
		return *t, nil
	}
	cut := t.filtered(t.rows[:n], func(int) bool { return true })
	return cut, []string{fmt.Sprintf("%d more rows", len(t.rows)-n)}
}

// without returns the table without some columns.
func (t *Titled) without(names ...string) Titled {
	return t.filtered(t.rows, func(i int) bool { return !slices.Contains(names, t.header[i]) })
}

// filtered returns a table with the title, some rows, and the chosen columns.
func (t *Titled) filtered(rows [][]string, chosen func(column int) bool) Titled {
	var header []any
	texts := 0
	for i, name := range t.header {
		if chosen(i) {
			header = append(header, name)
			if i+1 < t.numbers[0] {
				texts++
			}
		}
	}
	part := NewTitled(t.Title, texts, header...)
	for _, cells := range rows {
		var row table.Row
		for i, cell := range cells {
			if chosen(i) {
				row = append(row, cell)
			}
		}
		part.AppendRow(row)
	}
	return part
}

// NewTitled returns a table whose columns after the first n are numbers.
func NewTitled(title string, n int, header ...any) Titled {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header = text.FormatDefault
	t.AppendHeader(header)
	named := Titled{Title: title, Writer: t}
	for _, name := range header {
		named.header = append(named.header, fmt.Sprint(name))
	}
	named.rightAlign(n+1, len(header))
	return named
}
