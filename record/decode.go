package record

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// ReadLines decodes JSON lines. name appears in errors.
func ReadLines(r io.Reader, name string, yield func(*Line) error) error {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 64<<10), 1<<20)
	for n := 1; s.Scan(); n++ {
		line, err := decode(s.Bytes())
		if err != nil {
			return fmt.Errorf("%s:%d: %w", name, n, err)
		}
		if err := yield(line); err != nil {
			return fmt.Errorf("%s:%d: %w", name, n, err)
		}
	}
	if err := s.Err(); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}

// decode decodes one line. It decodes the most frequent records directly, but only in
// exactly the form that Printer prints. encoding/json decodes everything else, and
// reports the errors.
func decode(text []byte) (*Line, error) {
	if line := decodePlain(text); line != nil {
		return line, nil
	}
	line := new(Line)
	if err := json.Unmarshal(text, line); err != nil {
		return nil, fmt.Errorf("not a record: %w", err)
	}
	return line, nil
}

// decodePlain returns nil if it cannot decode the text. If it can, the record is the
// same as from encoding/json.
func decodePlain(text []byte) *Line {
	p := plain{rest: text, ok: true}
	line := new(Line)
	switch {
	case p.has(`{"request":`):
		line.Request = p.request()
	case p.has(`{"connection":`):
		line.Connection = p.connection()
	case p.has(`{"refusal":`):
		line.Refusal = p.refusal()
	case p.has(`{"sample":`):
		line.Sample = p.sample()
	default:
		return nil
	}
	p.key(`}}`)
	if !p.ok || len(p.rest) > 0 {
		return nil
	}
	return line
}

// The fields of a record are in the order of its struct. Those with omitempty may be
// missing.

func (p *plain) request() *Request {
	r := new(Request)
	r.Seq = int(p.key(`{"seq":`).integer())
	r.ScheduledNS = p.key(`,"scheduled_ns":`).integer()
	r.StartNS = p.key(`,"start_ns":`).integer()
	if p.has(`,"handshake_ns":`) {
		r.HandshakeNS = p.integer()
	}
	if p.has(`,"first_byte_ns":`) {
		r.FirstByteNS = p.integer()
	}
	if p.has(`,"body_ns":`) {
		r.BodyNS = p.integer()
	}
	r.EndNS = p.key(`,"end_ns":`).integer()
	if p.has(`,"held_ns":`) {
		r.HeldNS = p.integer()
	}
	if p.has(`,"body_bytes":`) {
		r.BodyBytes = p.integer()
	}
	r.Outcome = Outcome(p.key(`,"outcome":`).text())
	if p.has(`,"code":`) {
		r.Code = new(p.unsigned())
	}
	if p.has(`,"error":`) {
		r.Error = p.text()
	}
	return r
}

func (p *plain) connection() *Connection {
	c := new(Connection)
	c.Client = p.key(`{"client":`).text()
	c.StartNS = p.key(`,"start_ns":`).integer()
	if p.has(`,"handshake_ns":`) {
		c.HandshakeNS = p.integer()
	}
	c.EndNS = p.key(`,"end_ns":`).integer()
	c.BodyBytes = p.key(`,"body_bytes":`).integer()
	c.Served = int(p.key(`,"served":`).integer())
	c.End = ConnectionEnd(p.key(`,"end":`).text())
	if p.has(`,"error":`) {
		c.Error = p.text()
	}
	return c
}

func (p *plain) refusal() *Refusal {
	r := new(Refusal)
	r.Client = p.key(`{"client":`).text()
	r.AtNS = p.key(`,"at_ns":`).integer()
	r.Stage = p.key(`,"stage":`).text()
	r.WallNS = p.key(`,"wall_ns":`).integer()
	r.CPUNS = p.key(`,"cpu_ns":`).integer()
	return r
}

func (p *plain) sample() *Sample {
	s := new(Sample)
	s.AtNS = p.key(`{"at_ns":`).integer()
	s.CPUNS = p.key(`,"cpu_ns":`).integer()
	s.RSSBytes = p.key(`,"rss_bytes":`).integer()
	if p.has(`,"swap_bytes":`) {
		s.SwapBytes = p.integer()
	}
	s.BusyNS = p.key(`,"busy_ns":`).integer()
	s.SoftIRQNS = p.key(`,"softirq_ns":`).integer()
	if p.has(`,"steal_ns":`) {
		s.StealNS = p.integer()
	}
	if p.has(`,"receive_ns":`) {
		s.ReceiveNS = p.integer()
	}
	if p.has(`,"syscalls":`) {
		s.Syscalls = p.unsigned()
	}
	s.UDPInDatagrams = p.key(`,"udp_in_datagrams":`).unsigned()
	if p.has(`,"udp_in_errors":`) {
		s.UDPInErrors = p.unsigned()
	}
	if p.has(`,"udp_rcvbuf_errors":`) {
		s.UDPRcvbufErrors = p.unsigned()
	}
	if p.has(`,"udp_out_datagrams":`) {
		s.UDPOutDatagrams = p.unsigned()
	}
	if p.has(`,"received_bytes":`) {
		s.ReceivedBytes = p.unsigned()
	}
	if p.has(`,"sent_bytes":`) {
		s.SentBytes = p.unsigned()
	}
	return s
}

// plain parses JSON without blanks, escapes, fractions and exponents. After it finds
// anything else in place of a value or a key, ok is false.
type plain struct {
	rest []byte
	ok   bool
}

// has reports whether the rest begins with start, and skips it.
func (p *plain) has(start string) bool {
	if len(p.rest) < len(start) || string(p.rest[:len(start)]) != start {
		return false
	}
	p.rest = p.rest[len(start):]
	return true
}

// key skips start, which must be next.
func (p *plain) key(start string) *plain {
	p.ok = p.has(start) && p.ok
	return p
}

// mostDigits is the most digits that a number may have, so that it cannot overflow.
const mostDigits = 18

func (p *plain) integer() int64 {
	negative := p.has("-")
	n := int64(p.unsigned()) // at most 18 digits
	if negative {
		return -n
	}
	return n
}

func (p *plain) unsigned() uint64 {
	var n uint64
	digits := 0
	for digits < len(p.rest) && p.rest[digits] >= '0' && p.rest[digits] <= '9' {
		n = n*10 + uint64(p.rest[digits]-'0')
		digits++
	}
	leadingZero := digits > 1 && p.rest[0] == '0'
	if digits == 0 || digits > mostDigits || leadingZero {
		p.ok = false
	}
	p.rest = p.rest[digits:]
	return n
}

// text parses a string of printable ASCII.
func (p *plain) text() string {
	p.key(`"`)
	end := bytes.IndexByte(p.rest, '"')
	if end < 0 {
		p.ok = false
		return ""
	}
	value := p.rest[:end]
	for _, c := range value {
		if c < ' ' || c > '~' || c == '\\' {
			p.ok = false
		}
	}
	p.rest = p.rest[end+1:]
	return shared(value)
}

// shared returns value as a string. It allocates no copy for the most frequent values.
func shared(value []byte) string {
	switch string(value) {
	case string(OK):
		return string(OK)
	case string(Refused):
		return string(Refused)
	case string(Timeout):
		return string(Timeout)
	case string(ClosedByClient):
		return string(ClosedByClient)
	}
	return string(value)
}
