package client

import (
	"testing"

	"github.com/equic-bench/equic-bench/record"
)

func TestASummaryCountsTheWaitBeforeAStart(t *testing.T) {
	l := newLoad(Options{Server: "127.0.0.1:4433", Mode: Parallel, Requests: 101, Rate: 10}, nil)
	for i := range int64(100) { // one each 100 ms, which starts i ms late and takes 10 ms
		l.done = append(l.done, record.Request{
			ScheduledNS: i * 1e8, StartNS: i*1e8 + i*1e6, HandshakeNS: 4e6, EndNS: 1e7, Outcome: record.OK,
		})
	}
	l.done = append(l.done, record.Request{ScheduledNS: 99e8, StartNS: 99e8, EndNS: 1e8, Outcome: record.Timeout})
	s := l.summary()
	if s.Requests != 101 || s.Outcomes[record.OK] != 100 || s.Outcomes[record.Timeout] != 1 || s.Seconds != 10.009 {
		t.Errorf("%+v", s)
	}
	if p := s.Response.P50; p == nil || *p != 59.5 {
		t.Errorf("median response time %v, want 59.5 ms", p)
	}
	if p := s.Service.P50; p == nil || *p != 10 {
		t.Errorf("median service time %v, want 10 ms", p)
	}
	if s.Service.P99 != nil || *s.Handshake.Max != 4 {
		t.Errorf("a p99 of 100 requests, or the longest handshake: %+v", s)
	}
	if empty := newLoad(Options{Mode: Sequential}, nil).summary(); empty.OKPerS != 0 || empty.Service.Max != nil {
		t.Errorf("of nothing: %+v", empty)
	}
}
