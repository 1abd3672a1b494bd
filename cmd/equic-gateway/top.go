package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// top shows the clients and the packet rates of a running gateway, again and again.
type top struct {
	socket   string
	interval time.Duration
	frames   int // zero: until it is interrupted
}

func topCommand() *cobra.Command {
	var t top
	c := &cobra.Command{
		Use:   "top",
		Short: "Show the clients and packet rates of a running gateway",
		Long: `top asks a running gateway for its state, and shows packets per second, what is
dropped and why, and the clients: the blocked ones first, then those with the most
connections. Ctrl-C ends it.`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) > 0:
				return wrong("unexpected argument %q", args[0])
			case t.interval < 100*time.Millisecond:
				return wrong("--interval is %v: give 100ms or more", t.interval)
			case t.frames < 0:
				return wrong("--frames is %d: give 1 or more, or 0 for no end", t.frames)
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return t.run(c.Context(), c.OutOrStdout()) },
	}
	c.Flags().StringVar(&t.socket, "socket", defaultSocket, "Unix socket of the gateway")
	c.Flags().DurationVar(&t.interval, "interval", time.Second, "time from one look to the next")
	c.Flags().IntVar(&t.frames, "frames", 0, "how many times to show the state; 0 is until Ctrl-C")
	return c
}

// The control sequences of terminals: a screen of its own, and how to leave and clear it.
const (
	screenOpen  = "\x1b[?1049h"
	screenClose = "\x1b[?1049l"
	screenClear = "\x1b[H\x1b[2J"
)

func (t *top) run(ctx context.Context, out io.Writer) (err error) {
	before, err := t.look(ctx)
	if err != nil {
		return machineError{err}
	}
	f, ok := out.(*os.File)
	terminal := ok && term.IsTerminal(int(f.Fd()))
	if terminal {
		_, err = io.WriteString(out, screenOpen)
		defer func() {
			_, closed := io.WriteString(out, screenClose)
			err = errors.Join(err, closed)
		}()
	}
	tick := time.NewTicker(t.interval)
	defer tick.Stop()
	for n := 0; err == nil && (t.frames == 0 || n < t.frames); n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		height := 0
		if terminal {
			_, height, _ = term.GetSize(int(f.Fd())) // zero: unknown
			_, err = io.WriteString(out, screenClear)
		}
		now, gone := t.look(ctx)
		switch {
		case err != nil:
		case gone != nil: // perhaps it is being replaced
			_, err = fmt.Fprintln(out, gone)
		default:
			_, err = io.WriteString(out, view(before, now, height))
			before = now
		}
	}
	return err
}

// look is the state of a gateway at a time: what top reads of `status` and `clients`.
type look struct {
	at      time.Time
	clients []lookClient

	Mode        string
	Attachments []struct {
		Interface string
		Attached  bool
		Reason    string
	}
	Monitor                       bool
	Ports                         []lookPort
	Connections, Clients, Blocked int
	Inherited                     int
	HalfOpen                      struct{ Validated, Unvalidated int } `json:"half_open"`
	Seen, Passed, Dropped         uint64
	Packets                       map[string]uint64
	WouldDrop                     map[string]uint64 `json:"would_drop"`
	TableFull                     uint64            `json:"table_full"`
}

type lookPort struct {
	Port, Quota, Clients, Connections, Blocked int
	TurnedAway                                 uint64 `json:"turned_away"`
	Seen, Dropped                              uint64
}

type lookClient struct {
	Client            string
	Port, Connections int
	Blocked           bool
}

func (t *top) look(ctx context.Context) (l look, err error) {
	replies, err := ask(ctx, t.socket, "status", "clients")
	if err != nil {
		return l, err
	}
	for i, to := range []any{&l, &l.clients} {
		if err := json.Unmarshal([]byte(replies[i]), to); err != nil {
			return l, fmt.Errorf("the gateway replied %.100q: %w", replies[i], err)
		}
	}
	l.at = time.Now()
	return l, nil
}

// view returns the text of a frame, with at most height lines if that is not zero.
func view(before, now look, height int) string {
	var b strings.Builder
	seconds := now.at.Sub(before.at).Seconds()
	rate := func(was, is uint64) string {
		if is < was { // the gateway was replaced
			was = 0
		}
		return humanize.CommafWithDigits(float64(is-was)/seconds, 0)
	}
	for _, a := range now.Attachments {
		switch {
		case !a.Attached:
			fmt.Fprintf(&b, "NOT ATTACHED to %s: %s\n", a.Interface, a.Reason)
		case a.Interface == "":
			fmt.Fprintf(&b, "attached (%s)\n", now.Mode)
		default:
			fmt.Fprintf(&b, "attached to %s (%s)\n", a.Interface, now.Mode)
		}
	}
	if now.Monitor {
		b.WriteString("MONITOR MODE: nothing is dropped\n")
	}
	fmt.Fprintf(&b, "packets/s  seen %s, passed %s, dropped %s\n", rate(before.Seen, now.Seen), rate(before.Passed, now.Passed),
		rate(before.Dropped, now.Dropped))
	writeReasons(&b, "dropped/s ", before.Packets, now.Packets, rate)
	writeReasons(&b, "would drop", before.WouldDrop, now.WouldDrop, rate)
	fmt.Fprintf(&b, "clients    %s with %s connections, %s blocked; half open %d validated, %d not; table full %s times\n\n",
		comma(now.Clients), comma(now.Connections), comma(now.Blocked), now.HalfOpen.Validated, now.HalfOpen.Unvalidated,
		humanize.Comma(int64(now.TableFull)))

	if now.Inherited > 0 {
		fmt.Fprintf(&b, "and %s connections of an earlier process, which no server has claimed yet\n\n", comma(now.Inherited))
	}
	columns := tabwriter.NewWriter(&b, 0, 0, 3, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprint(columns, "port\tquota\tclients\tconnections\tblocked\tturned away/s\tseen/s\tdropped/s\t\n")
	earlier := map[int]lookPort{}
	for _, p := range before.Ports {
		earlier[p.Port] = p
	}
	for _, p := range now.Ports {
		was := earlier[p.Port]
		_, _ = fmt.Fprintf(columns, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", p.Port, comma(p.Quota), comma(p.Clients), comma(p.Connections),
			comma(p.Blocked), rate(was.TurnedAway, p.TurnedAway), rate(was.Seen, p.Seen), rate(was.Dropped, p.Dropped))
	}
	_ = columns.Flush() // writes to memory
	b.WriteByte('\n')
	room := len(now.clients)
	if height > 0 {
		const others = 3 // the header, the last line and the cursor's
		room = max(0, height-strings.Count(b.String(), "\n")-others)
	}
	writeClients(&b, now.clients, room)
	return b.String()
}

// writeReasons writes the rates of the drops, the highest first; nothing if there are none.
func writeReasons(b *strings.Builder, title string, before, now map[string]uint64, rate func(was, is uint64) string) {
	type reason struct {
		name string
		n    uint64
	}
	var all []reason
	for name, n := range now {
		if strings.HasPrefix(name, "drop_") && n > before[name] {
			all = append(all, reason{name, n - before[name]})
		}
	}
	if len(all) == 0 {
		return
	}
	slices.SortFunc(all, func(x, y reason) int { return cmp.Or(cmp.Compare(y.n, x.n), cmp.Compare(x.name, y.name)) })
	for i, r := range all {
		separator := ", "
		if i == 0 {
			separator = title + " "
		}
		fmt.Fprintf(b, "%s%s %s", separator, strings.TrimPrefix(r.name, "drop_"), rate(0, r.n))
	}
	b.WriteByte('\n')
}

// writeClients writes the clients that matter most.
func writeClients(b *strings.Builder, all []lookClient, room int) {
	rank := func(c lookClient) int {
		if c.Blocked {
			return 0
		}
		return 1
	}
	slices.SortFunc(all, func(x, y lookClient) int {
		return cmp.Or(cmp.Compare(rank(x), rank(y)), cmp.Compare(y.Connections, x.Connections), cmp.Compare(x.Client, y.Client))
	})
	columns := tabwriter.NewWriter(b, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprint(columns, "client\tport\tconnections\n")
	for _, c := range all[:min(room, len(all))] {
		state := ""
		if c.Blocked {
			state = "\tblocked"
		}
		_, _ = fmt.Fprintf(columns, "%s\t%d\t%s%s\n", c.Client, c.Port, comma(c.Connections), state)
	}
	_ = columns.Flush() // writes to memory
	if more := len(all) - room; more > 0 {
		fmt.Fprintf(b, "and %s more\n", comma(more))
	}
}

func comma(n int) string { return humanize.Comma(int64(n)) }
