package record

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// frequent returns records of each kind that decodePlain decodes, with all fields and
// with the fewest possible.
func frequent() map[string]Line {
	return map[string]Line{
		"a request that is ok": {Request: &Request{
			Seq: 3, ScheduledNS: 30e9, StartNS: 30e9 + 7, HandshakeNS: 1, FirstByteNS: 2, BodyNS: 3, EndNS: 4,
			HeldNS: 5, BodyBytes: 262144, Outcome: OK,
		}},
		"a refused request": {Request: &Request{
			Seq: 4, StartNS: -1, Outcome: Refused, Code: new(uint64(0x107)),
			Error: "Application error 0x107 (remote)",
		}},
		"an empty request": {Request: &Request{}},
		"a connection": {Connection: &Connection{
			Client: "2001:db8::1", StartNS: -5, HandshakeNS: 1, EndNS: 2, BodyBytes: 3, Served: 4, End: ConnectionLost,
			Error: "gone",
		}},
		"an empty connection": {Connection: &Connection{}},
		"a refusal":           {Refusal: &Refusal{Client: "10.0.0.1", AtNS: 1, Stage: "early", WallNS: 2, CPUNS: 3}},
		"a sample": {Sample: &Sample{
			AtNS: -1, CPUNS: 2, RSSBytes: 3, SwapBytes: 4, BusyNS: 5, SoftIRQNS: 6, StealNS: 7, ReceiveNS: 8,
			Syscalls: 9, UDPInDatagrams: 10, UDPInErrors: 11, UDPRcvbufErrors: 12, UDPOutDatagrams: 13,
			ReceivedBytes: 14, SentBytes: 15,
		}},
		"an empty sample": {Sample: &Sample{}},
	}
}

func TestFrequentRecordsAreReadDirectly(t *testing.T) {
	for name, want := range frequent() {
		t.Run(name, func(t *testing.T) {
			got := decodePlain(printed(t, want))
			if got == nil {
				t.Fatal("left to encoding/json: is there a field that decode.go does not know?")
			}
			if diff := cmp.Diff(&want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheFrequentSampleHasAllFields(t *testing.T) {
	s := reflect.ValueOf(*frequent()["a sample"].Sample)
	for i := range s.NumField() {
		if s.Field(i).IsZero() {
			t.Errorf("%s is not set: does decode.go know it?", s.Type().Field(i).Name)
		}
	}
}

// printed returns a line as Printer prints it, without the line feed.
func printed(tb testing.TB, line Line) []byte {
	tb.Helper()
	var out bytes.Buffer
	if err := NewPrinter(&out).Print(line); err != nil {
		tb.Fatal(err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

func TestWhatIsNotPlainIsLeftToEncodingJSON(t *testing.T) {
	tests := map[string]string{
		"a blank":               `{"refusal": {"client":"a","at_ns":1,"stage":"early","wall_ns":2,"cpu_ns":3}}`,
		"another order":         `{"refusal":{"at_ns":1,"client":"a","stage":"early","wall_ns":2,"cpu_ns":3}}`,
		"an unknown field":      `{"refusal":{"client":"a","at_ns":1,"stage":"early","wall_ns":2,"cpu_ns":3,"new":4}}`,
		"an escape":             `{"refusal":{"client":"\u0061","at_ns":1,"stage":"early","wall_ns":2,"cpu_ns":3}}`,
		"another alphabet":      `{"refusal":{"client":"ä","at_ns":1,"stage":"early","wall_ns":2,"cpu_ns":3}}`,
		"a number of 19 digits": `{"refusal":{"client":"a","at_ns":9223372036854775807,"stage":"early","wall_ns":2,"cpu_ns":3}}`,
		"null":                  `{"refusal":null}`,
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			if decodePlain([]byte(text)) != nil {
				t.Error("read directly")
			}
			if _, err := decode([]byte(text)); err != nil {
				t.Errorf("not read at all: %v", err)
			}
		})
	}
}

func TestGarbageIsRefused(t *testing.T) {
	tests := map[string]string{
		"nothing":                 ``,
		"half a record":           `{"request":{"seq":1,"scheduled_ns":2`,
		"something behind it":     `{"refusal":{"client":"a","at_ns":1,"stage":"early","wall_ns":2,"cpu_ns":3}}}`,
		"a leading zero":          `{"refusal":{"client":"a","at_ns":01,"stage":"early","wall_ns":2,"cpu_ns":3}}`,
		"no digits":               `{"refusal":{"client":"a","at_ns":-,"stage":"early","wall_ns":2,"cpu_ns":3}}`,
		"a number that overflows": `{"refusal":{"client":"a","at_ns":9223372036854775808,"stage":"early","wall_ns":2,"cpu_ns":3}}`,
		"a fraction":              `{"refusal":{"client":"a","at_ns":1.5,"stage":"early","wall_ns":2,"cpu_ns":3}}`,
		"a negative counter":      `{"sample":{"at_ns":1,"cpu_ns":2,"rss_bytes":3,"busy_ns":4,"softirq_ns":5,"udp_in_datagrams":-6}}`,
		"text without an end":     `{"refusal":{"client":"a`,
		"a control character":     "{\"refusal\":{\"client\":\"\x01\",\"at_ns\":1,\"stage\":\"early\",\"wall_ns\":2,\"cpu_ns\":3}}",
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			if line, err := decode([]byte(text)); err == nil {
				t.Errorf("read as %+v", line)
			}
		})
	}
}

// FuzzDecode checks that a line that decodePlain decodes is the same record as from
// encoding/json.
func FuzzDecode(f *testing.F) {
	for _, line := range frequent() {
		f.Add(printed(f, line))
	}
	f.Add([]byte(`{"refusal":{"client":"a","at_ns":-0,"stage":"early","wall_ns":2,"cpu_ns":3}}`))
	f.Add([]byte(`{"request":{"seq":01}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		got := decodePlain(text)
		if got == nil {
			return
		}
		want := new(Line)
		if err := json.Unmarshal(text, want); err != nil {
			t.Fatalf("encoding/json refuses it: %v", err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-encoding/json +direct):\n%s", diff)
		}
	})
}
