package main

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/netip"
	"time"

	"github.com/equic-bench/equic-bench/equic"
)

const (
	// eventRoom is how many events are buffered for a slow reader before events are lost.
	eventRoom = 4096
	// eventPatience is how long shutdown waits for events to be written.
	eventPatience = time.Second
)

// event is one line of --events.
type event struct {
	Time   time.Time       `json:"time"`
	Event  equic.EventKind `json:"event"`
	Client netip.Prefix    `json:"client,omitzero"`
	Port   uint16          `json:"port,omitzero"`

	Interface string         `json:"interface,omitempty"`
	Reason    string         `json:"reason,omitempty"`
	Source    netip.AddrPort `json:"source,omitzero"`
	Bytes     int            `json:"bytes,omitempty"`
}

func eventOf(e equic.Event) event {
	line := event{Time: e.Time, Event: e.Kind, Client: e.Client, Port: e.Port, Interface: e.Interface}
	if s := e.Sample; s != nil {
		line.Reason, line.Source, line.Bytes = s.Reason, s.Source, s.Bytes
	}
	return line
}

// eventWriter writes events as JSON lines.
type eventWriter struct {
	in   chan equic.Event
	done chan struct{} // closed when the writer has ended
	log  *slog.Logger
}

func startEvents(to io.Writer, log *slog.Logger) *eventWriter {
	w := &eventWriter{in: make(chan equic.Event, eventRoom), done: make(chan struct{}), log: log}
	go w.run(to)
	return w
}

// run writes until the channel is closed. After a write error, such as a closed pipe,
// it logs once and drops further events.
func (w *eventWriter) run(to io.Writer) {
	defer close(w.done)
	lines := json.NewEncoder(to)
	failed := false
	for e := range w.in {
		if failed {
			continue
		}
		if err := lines.Encode(eventOf(e)); err != nil {
			w.log.Error("write events: no more are written, the gateway goes on", "error", err)
			failed = true
		}
	}
}

// stop writes the buffered events. Call it after the gateway is closed, when it sends
// no more. If the reader is slow, stop waits for at most eventPatience.
func (w *eventWriter) stop() {
	close(w.in)
	select {
	case <-w.done:
	case <-time.After(eventPatience):
		w.log.Error("write events: nobody reads them, the last ones are lost")
	}
}
