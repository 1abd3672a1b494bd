package record

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/equic-bench/equic-bench/internal/testkit"
)

func TestABrokenRecordIsNamedByFileAndLine(t *testing.T) {
	in := strings.NewReader("{\"server\":{}}\nhello\n")
	err := ReadLines(in, "server.jsonl", func(*Line) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "server.jsonl:2:") {
		t.Errorf("got %v", err)
	}
	stop := errors.New("stop")
	err = ReadLines(strings.NewReader("{\"server\":{}}\n"), "x", func(*Line) error { return stop })
	if !errors.Is(err, stop) || !strings.Contains(err.Error(), "x:1:") {
		t.Errorf("got %v", err)
	}
}

func TestResponseTimeHoldsTheWaitBeforeTheStart(t *testing.T) {
	r := Request{ScheduledNS: 100, StartNS: 130, EndNS: 20}
	if r.ResponseNS() != 50 || r.ServiceNS() != 20 {
		t.Errorf("response %d, service %d; want 50 and 20", r.ResponseNS(), r.ServiceNS())
	}
}

func TestClock(t *testing.T) {
	epoch := time.Now().Add(time.Hour)
	c, err := NewClock(func(string) string { return strconv.FormatInt(epoch.UnixNano(), 10) })
	testkit.Must(t, err)
	if got := time.Duration(c.Now()); got > -59*time.Minute || got < -time.Hour {
		t.Errorf("an hour before the epoch the clock says %v", got)
	}
	if got := c.Until(0); got < 59*time.Minute || got > time.Hour {
		t.Errorf("an hour before the epoch it is %v until then", got)
	}
	if _, err := NewClock(func(string) string { return "noon" }); err == nil {
		t.Error("noon is an epoch")
	}
	c, err = NewClock(func(string) string { return "" })
	testkit.Must(t, err)
	if got := time.Duration(c.Now()); got < 0 || got > time.Minute {
		t.Errorf("without an epoch the clock starts at %v", got)
	}
}

func TestPrintSaysWhenTheOutputIsGone(t *testing.T) {
	if err := NewPrinter(brokenWriter{}).Print(Line{Server: new(Server)}); err == nil {
		t.Error("no error")
	}
	var out bytes.Buffer
	testkit.Must(t, NewPrinter(&out).Print(Line{Progress: &Progress{Done: 1}}))
	if got := out.String(); got != `{"progress":{"at_ns":0,"started":0,"done":1,"ok":0}}`+"\n" {
		t.Errorf("printed %q", got)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("gone") }
