package analysis

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNumberInJSON(t *testing.T) {
	tests := []struct {
		name string
		n    Number
		want string
	}{
		{"NaN is null", Unknown(), "null"},
		{"infinity is null", Number(math.Inf(-1)), "null"},
		{"a count is whole, however large", 12345678901, "12345678901"},
		{"six digits are kept", 0.123456789, "0.123457"},
		{"a small number has no exponent", 0.0000123456789, "0.0000123457"},
		{"a large fraction is rounded to a whole", 1234567.8, "1234568"},
		{"zero", 0, "0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := json.Marshal(tt.n)
			if err != nil || string(got) != tt.want {
				t.Errorf("%s, %v; want %s", got, err, tt.want)
			}
		})
	}
}

func TestMedianOverTrialsLeavesOutWhatIsUnknown(t *testing.T) {
	trial := func(harmonic Number, packets map[string]Number) *Metrics {
		return &Metrics{Throughput: Throughput{Harmonic: harmonic}, Gateway: Gateway{Packets: packets}}
	}
	got := medianOf([]*Metrics{
		trial(10, map[string]Number{"over-quota": 1}),
		trial(Unknown(), map[string]Number{"over-quota": 5, "not-udp": 7}),
		trial(30, nil),
	})
	if got.Throughput.Harmonic != 20 {
		t.Errorf("median %v, want 20", got.Throughput.Harmonic)
	}
	if want := (map[string]Number{"over-quota": 3, "not-udp": 7}); !cmp.Equal(got.Gateway.Packets, want) {
		t.Errorf("packets %v, want %v", got.Gateway.Packets, want)
	}
}

func TestShortNumbers(t *testing.T) {
	for n, want := range map[Number]string{
		0: "0", 77551: "77,551", 123.4: "123", 12.34: "12.3", 1.234: "1.23", 0.0825: "0.0825", -12.34: "-12.3",
		Number(math.Inf(1)): "–",
	} {
		if got := n.Short(); got != want {
			t.Errorf("short(%v) = %q, want %q", float64(n), got, want)
		}
	}
}

func TestCapitalsOfAnyLanguage(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "a run": "A run", "ärger": "Ärger", "µs": "Μs", "95 %": "95 %",
		"A": "A",
	} {
		if got := Capital(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}
