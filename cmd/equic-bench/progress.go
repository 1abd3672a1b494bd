package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/equic-bench/equic-bench/orchestrate"
)

const (
	// longestSilence is the longest silence of a progress display that cannot redraw its line.
	longestSilence = 10 * time.Second
	// rateSpan is the time over which rates are computed. Clients report once a second,
	// each at its own time.
	rateSpan = 3 * time.Second
)

// progress shows the state of a run: on a terminal with bars; elsewhere with a line for each
// phase, and one every ten seconds.
type progress struct {
	out    io.Writer
	quiet  bool
	screen *screen // nil if there is no terminal
	now    func() time.Time

	last  orchestrate.Event
	at    time.Time // of the last line
	rates rates
	left  timeLeft
}

func newProgress(out io.Writer, quiet bool) *progress {
	p := &progress{out: out, quiet: quiet, now: time.Now}
	if width := terminalWidth(out); width > 0 && !quiet {
		p.screen = newScreen(out, width, redraw)
	}
	return p
}

// terminalWidth returns how many columns a terminal has; zero if w is not a terminal.
func terminalWidth(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
		return width
	}
	return 80
}

// event shows an event of the run.
func (p *progress) event(e orchestrate.Event) {
	if p.quiet {
		return
	}
	p.rates.take(p.now(), &e)
	p.left.take(p.now(), &e)
	switch {
	case e.Message != "":
		p.line(trialPrefix(e) + e.Message)
		return
	case p.screen != nil:
		if width := terminalWidth(p.out); width > 0 { // it may have changed
			p.screen.resize(width)
		}
		p.screen.show(&e, p.pace(&e), p.remaining(&e))
		return
	}
	sameStep := e.Phase == p.last.Phase && e.Trial == p.last.Trial
	if sameStep && p.now().Sub(p.at) < longestSilence {
		return
	}
	p.last, p.at = e, p.now()
	p.line(p.status(e))
}

// say prints a separate line.
func (p *progress) say(format string, args ...any) {
	if !p.quiet {
		p.line(fmt.Sprintf(format, args...))
	}
}

// end leaves the last state on the terminal. What is said after that stays below it.
func (p *progress) end() {
	if p.screen != nil {
		p.screen.end()
		p.screen = nil
	}
}

func (p *progress) line(text string) {
	if p.screen != nil {
		p.screen.message(text)
		return
	}
	_, _ = io.WriteString(p.out, text+"\n") // only progress: an error does not matter
}

// status returns an event as one line of ASCII.
func (p *progress) status(e orchestrate.Event) string {
	parts := []string{trialPrefix(e) + e.Phase}
	add := func(when bool, format string, args ...any) {
		if when {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	add(e.Expected > 0 && !e.ClosedLoop, "%s of %s", clock(e.Elapsed), clock(e.Expected))
	add(e.Expected > 0 && e.ClosedLoop, "%s", clock(e.Elapsed))
	left := p.remaining(&e)
	add(left != "", "%s", left)
	parts = append(parts, p.pace(&e)...)
	add(e.RequestsTotal > 0, "%d of %d requests", e.Requests, e.RequestsTotal)
	return strings.Join(parts, ", ")
}

// remaining returns how long the run still takes, in words; empty if that is not known.
func (p *progress) remaining(e *orchestrate.Event) string {
	left, known := p.left.estimate(e)
	if !known {
		return ""
	}
	return clock(left) + " left"
}

// pace returns what server and clients do per second, as far as it is known.
func (p *progress) pace(e *orchestrate.Event) (parts []string) {
	add := func(when bool, format string, args ...any) {
		if when {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	if r := &p.rates; e.Live != nil {
		add(r.known(), "%.0f/s ok", r.perSecond(sequentialOK))
		busy, known := r.serverBusy()
		add(known, "server CPU %.0f %%", 100*busy)
		add(r.known() && e.Live.Attack.Started > 0, "attack %.0f/s, %.0f/s of it ok",
			r.perSecond(attackStarted), r.perSecond(attackOK))
		add(r.known() && r.perSecond(refused) > 0, "%.0f/s refused", r.perSecond(refused))
		add(r.known() && r.perSecond(dropped) > 0, "%.0f packets/s dropped", r.perSecond(dropped))
	}
	return parts
}

// trialPrefix returns the name of an event's trial: "2 of 3, xdp-block: ". It is empty before
// the first trial.
func trialPrefix(e orchestrate.Event) string {
	if e.Trial.Index == 0 {
		return ""
	}
	atMost := ""
	if e.Search {
		atMost = "at most "
	}
	return fmt.Sprintf("%d of %s%d, %s: ", e.Trial.Index, atMost, e.Trials, e.Trial.Label())
}

// rates computes how fast requests start and end, from the tallies of the last few
// seconds of one trial.
type rates struct {
	trial int
	at    []time.Time
	live  []orchestrate.Live
}

func sequentialOK(l *orchestrate.Live) int  { return l.Sequential.OK }
func attackStarted(l *orchestrate.Live) int { return l.Attack.Started }
func attackOK(l *orchestrate.Live) int      { return l.Attack.OK }
func refused(l *orchestrate.Live) int       { return l.Refused }
func dropped(l *orchestrate.Live) int       { return l.Dropped }

func (r *rates) take(now time.Time, e *orchestrate.Event) {
	if e.Trial.Index != r.trial || e.Phase == orchestrate.PhaseStart {
		*r = rates{trial: e.Trial.Index}
	}
	if e.Live == nil {
		return
	}
	r.at, r.live = append(r.at, now), append(r.live, *e.Live)
	for len(r.at) > 2 && now.Sub(r.at[1]) >= rateSpan {
		r.at, r.live = r.at[1:], r.live[1:]
	}
}

// known reports whether the tallies span at least a second.
func (r *rates) known() bool { return len(r.at) > 1 && r.at[len(r.at)-1].Sub(r.at[0]) >= time.Second }

func (r *rates) perSecond(count func(*orchestrate.Live) int) float64 {
	last := len(r.at) - 1
	return float64(count(&r.live[last])-count(&r.live[0])) / r.at[last].Sub(r.at[0]).Seconds()
}

// serverBusy returns the busy share, in 0..1, of the server's CPUs; false if the tallies span less than a
// second. The kernel counts in ticks, of which a shorter span has too few.
func (r *rates) serverBusy() (float64, bool) {
	if !r.known() {
		return 0, false
	}
	from, to := r.live[0].ServerCPUs, r.live[len(r.live)-1].ServerCPUs
	busy, _ := to.Shares(from)
	return busy, from.All > 0 && to.All > from.All
}

// timeLeft estimates when a run ends, assuming that all of its trials take equally
// long. The time around a schedule is taken from the finished trials.
type timeLeft struct {
	begun  time.Time // of the first trial seen
	first  int       // its index
	over   int       // finished trials since then
	around time.Duration
}

func (t *timeLeft) take(now time.Time, e *orchestrate.Event) {
	switch {
	case e.Trial.Index == 0:
	case t.begun.IsZero():
		t.begun, t.first = now, e.Trial.Index
	case e.Trial.Index > t.first && e.Expected > 0:
		t.over = e.Trial.Index - t.first
		t.around = max(0, (now.Sub(t.begun)-e.Elapsed)/time.Duration(t.over)-e.Expected)
	}
}

// estimate returns the remaining time at an event. It returns false before the schedule is
// known and, in a closed loop, before the first trial has ended.
func (t *timeLeft) estimate(e *orchestrate.Event) (time.Duration, bool) {
	if e.Trial.Index == 0 || e.Expected == 0 || e.ClosedLoop && t.over == 0 {
		return 0, false
	}
	this := e.Expected
	if e.ClosedLoop {
		this += t.around
	}
	after := time.Duration(e.Trials-e.Trial.Index) * (e.Expected + t.around)
	return max(0, this-e.Elapsed) + after, true
}
