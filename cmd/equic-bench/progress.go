package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/equic-bench/equic-bench/orchestrate"
)

// quietest is the longest silence of a progress that cannot redraw its line.
const quietest = 10 * time.Second

// progress shows where a run is: on a terminal one line, drawn again and
// again; elsewhere a line for each phase, and one every ten seconds.
type progress struct {
	out   io.Writer
	quiet bool
	width int // of the terminal, in columns; zero is no terminal
	now   func() time.Time

	last  orchestrate.Event
	at    time.Time // of the last line
	drawn bool      // the cursor stands behind a line that may be redrawn
}

func newProgress(out io.Writer, quiet bool) *progress {
	p := &progress{out: out, quiet: quiet, now: time.Now}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.width = 80
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			p.width = width
		}
	}
	return p
}

// event shows an event of the run.
func (p *progress) event(e orchestrate.Event) {
	switch {
	case p.quiet:
		return
	case e.Message != "":
		p.line(where(e) + e.Message)
		return
	case p.width > 0:
		p.draw(status(e))
		return
	}
	sameStep := e.Phase == p.last.Phase && e.Trial == p.last.Trial
	if sameStep && p.now().Sub(p.at) < quietest {
		return
	}
	p.last, p.at = e, p.now()
	p.line(status(e))
}

// say prints a line of its own.
func (p *progress) say(format string, args ...any) {
	if !p.quiet {
		p.line(fmt.Sprintf(format, args...))
	}
}

// end leaves the last state on the screen.
func (p *progress) end() {
	if p.drawn {
		p.write("\n")
		p.drawn = false
	}
}

// line prints text, in place of a line that was drawn.
func (p *progress) line(text string) {
	if p.drawn {
		p.write("\r\x1b[K")
		p.drawn = false
	}
	p.write(text + "\n")
}

// draw replaces the line that was drawn last.
func (p *progress) draw(text string) {
	if len(text) >= p.width {
		text = text[:p.width-1]
	}
	p.write("\r\x1b[K" + text)
	p.drawn = true
}

func (p *progress) write(text string) {
	_, _ = io.WriteString(p.out, text) // progress: nothing depends on it
}

// status is an event in one line of ASCII.
func status(e orchestrate.Event) string {
	text := where(e) + e.Phase
	if e.Expected > 0 {
		text += fmt.Sprintf(", %s of %s", clock(e.Elapsed), clock(e.Expected))
	}
	if e.RequestsTotal > 0 {
		text += fmt.Sprintf(", %d of %d requests", e.Requests, e.RequestsTotal)
	}
	return text
}

// where names the trial of an event: "2 of 3, xdp-block: ". It is empty before
// the first trial.
func where(e orchestrate.Event) string {
	if e.Trial.Index == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d, %s: ", e.Trial.Index, e.Trials, e.Trial.Label())
}
