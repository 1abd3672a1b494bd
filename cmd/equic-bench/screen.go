package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	bars "github.com/jedib0t/go-pretty/v6/progress"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/equic-bench/equic-bench/orchestrate"
)

const (
	// redraw is the time between two pictures of the screen.
	redraw = 250 * time.Millisecond
	// trialParts is the resolution of the bar of the run, per trial.
	trialParts = 1000
	// leastBar is the length of a bar on a narrow terminal.
	leastBar = 10
)

// screen is the view of a run on a terminal. Messages scroll by; below them stay the rates, and
// a bar each for the trial and for the run.
type screen struct {
	writer     bars.Writer
	run, trial *bars.Tracker
	colored    bool
	drawn      chan struct{} // closed when the last picture is drawn
}

// newScreen starts to draw on a terminal with that many columns.
func newScreen(out io.Writer, width int, every time.Duration) *screen {
	s := &screen{
		writer: bars.NewWriter(), run: &bars.Tracker{}, trial: &bars.Tracker{}, colored: os.Getenv("NO_COLOR") == "",
		drawn: make(chan struct{}),
	}
	style := bars.StyleDefault
	style.Options.Separator, style.Options.PercentFormat, style.Options.PercentIndeterminate = " ", "%3.0f %%", "     "
	style.Visibility = bars.StyleVisibility{Percentage: true, Pinned: true, Tracker: true}
	if s.colored {
		style.Colors.Tracker, style.Colors.Pinned = text.Colors{text.FgGreen}, text.Colors{text.FgCyan}
	}
	s.writer.SetStyle(style)
	s.writer.SetOutputWriter(out)
	s.writer.SetUpdateFrequency(every)
	s.writer.SetTrackerPosition(bars.PositionRight)
	// The words get what the bar and the percentage leave, and at least half.
	const percent, around = 5, 4 // the spaces and brackets around a bar
	bar := max(leastBar, width/2-percent-around)
	s.writer.SetTrackerLength(bar)
	s.writer.SetMessageLength(max(1, width-bar-percent-around))
	s.resize(width)
	s.writer.AppendTrackers([]*bars.Tracker{s.trial, s.run})
	go func() {
		defer close(s.drawn)
		s.writer.Render()
	}()
	return s
}

// resize cuts lines that do not fit on a terminal that has become narrower.
func (s *screen) resize(width int) { s.writer.SetTerminalWidth(width) }

// message shows a line that scrolls by.
func (s *screen) message(line string) {
	if s.colored {
		switch {
		case strings.Contains(line, ": invalid ("):
			line = text.FgRed.Sprint(line)
		case strings.Contains(line, "warning: "):
			line = text.FgYellow.Sprint(line)
		}
	}
	s.writer.Log("%s", line)
}

// show shows the state of the run.
func (s *screen) show(e *orchestrate.Event, rates []string, left string) {
	if e.Trial.Index == 0 {
		s.trial.UpdateMessage(e.Phase)
		return
	}
	s.trial.UpdateMessage(fmt.Sprintf("%s, %s", e.Trial.Label(), e.Phase))
	expected := e.Expected
	if e.ClosedLoop { // how long it takes is not known
		expected = 0
	}
	s.trial.UpdateTotal(expected.Milliseconds())
	s.trial.SetValue(max(0, min(e.Elapsed, expected-time.Millisecond)).Milliseconds()) // a full bar would scroll away
	words := fmt.Sprintf("%d of %d trials", e.Trial.Index, e.Trials)
	if e.Search {
		words = fmt.Sprintf("%d of at most %d trials", e.Trial.Index, e.Trials)
	}
	if left != "" {
		words += ", " + left
	}
	s.run.UpdateMessage(words)
	s.run.UpdateTotal(int64(e.Trials) * trialParts)
	part := int64(0)
	if expected > 0 {
		part = min(trialParts-1, int64(trialParts*e.Elapsed/expected))
	}
	s.run.SetValue(int64(e.Trial.Index-1)*trialParts + part)
	s.writer.SetPinnedMessages(strings.Join(rates, ", "))
}

// end leaves the last picture on the terminal.
func (s *screen) end() {
	for {
		s.writer.Stop() // without effect before it draws
		select {
		case <-s.drawn:
			return
		case <-time.After(time.Millisecond):
		}
	}
}
