package client

import (
	"math"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/stats"
)

// Summary is what a client that runs on its own prints in place of its records.
type Summary struct {
	Server   string                 `json:"server"`
	Requests int                    `json:"requests"`
	Outcomes map[record.Outcome]int `json:"outcomes"`
	// Seconds is from the first intended start to the end of the last request, and OKPerS
	// the number of ok requests divided by it.
	Seconds float64 `json:"seconds"`
	OKPerS  float64 `json:"ok_per_s"`
	// PeakInFlight is the largest number of requests under way, and Held that of requests
	// that started late because MaxInFlight was reached.
	PeakInFlight int `json:"peak_in_flight"`
	Held         int `json:"held"`
	// Response times are from the intended start, so they are free of coordinated
	// omission. Service and handshake times are from the actual start. All are of ok
	// requests, in ms.
	Response  Times `json:"response_ms"`
	Service   Times `json:"service_ms"`
	Handshake Times `json:"handshake_ms"`
}

// Times are quantiles. A quantile is null if the sample is too small for it
// (docs/method/statistics.md, Quantiles and histograms).
type Times struct {
	P50  *float64 `json:"p50"`
	P90  *float64 `json:"p90"`
	P99  *float64 `json:"p99"`
	P999 *float64 `json:"p99.9"`
	Max  *float64 `json:"max"`
}

// summary reduces the records of the load.
func (l *load) summary() Summary {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := Summary{
		Server: l.o.Server, Requests: len(l.done), Outcomes: map[record.Outcome]int{},
		PeakInFlight: l.peak, Held: l.held,
	}
	var response, service, handshake []float64
	first, last := int64(math.MaxInt64), int64(math.MinInt64)
	for i := range l.done {
		r := &l.done[i]
		s.Outcomes[r.Outcome]++
		first, last = min(first, r.ScheduledNS), max(last, r.StartNS+r.EndNS)
		if r.Outcome == record.OK {
			response = append(response, float64(r.ResponseNS())/1e6)
			service = append(service, float64(r.ServiceNS())/1e6)
			handshake = append(handshake, float64(r.HandshakeNS)/1e6)
		}
	}
	if last > first {
		s.Seconds = float64(last-first) / 1e9
		s.OKPerS = float64(s.Outcomes[record.OK]) / s.Seconds
	}
	s.Response, s.Service, s.Handshake = times(response), times(service), times(handshake)
	return s
}

func times(x []float64) Times {
	sorted := stats.Sorted(x)
	supported := func(p float64) *float64 { return known(stats.QuantileIfSupported(sorted, p)) }
	return Times{supported(0.5), supported(0.9), supported(0.99), supported(0.999), known(stats.Max(sorted))}
}

// known returns nil for NaN, which JSON does not have.
func known(x float64) *float64 {
	if math.IsNaN(x) {
		return nil
	}
	return &x
}
