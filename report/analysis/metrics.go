package analysis

import (
	"math"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
	"github.com/equic-bench/equic-bench/stats"
)

// metrics computes the figures of one trial.
func (r *reading) metrics() *Metrics {
	m := &Metrics{
		Throughput:  r.throughput(),
		Recovery:    r.recovery(),
		Duration:    r.durations(),
		BlockTime:   r.blockTime(),
		CPU:         r.cpu(),
		BusyCPUs:    distribution(r.busyPercent()),
		Memory:      r.memoryShare(),
		MemoryBytes: r.memoryBytes(),
		Syscalls:    r.syscallTotals(),
		Requests:    r.requests,
		Attack:      r.attackTotals(),
		Honest:      r.honest(),
		Neighbour:   r.neighbour(),
		Server:      r.serverTotals(),
		Gateway:     r.gatewayTotals(),
		UDP:         r.udp(),
		Probe:       r.probeCost(),
		Instrument:  r.instrument(),
	}
	m.BlockTimeUS = m.BlockTime.headline()
	return m
}

func (r *reading) durations() Durations {
	return Durations{
		Statistics: r.response.statistics(),
		Service:    r.service.statistics(),
		Before:     r.split[0].statistics(),
		During:     r.split[1].statistics(),
		After:      r.split[2].statistics(),
		Phases: Phases{
			Handshake: r.phases[0].statistics(),
			FirstByte: r.phases[1].statistics(),
			Body:      r.phases[2].statistics(),
		},
	}
}

func statistics(sorted []float64) Statistics {
	return Statistics{
		Count:      Number(len(sorted)),
		Harmonic:   Number(stats.Harmonic(sorted)),
		Arithmetic: Number(stats.Arithmetic(sorted)),
		P50:        Number(stats.QuantileIfSupported(sorted, 0.50)),
		P95:        Number(stats.QuantileIfSupported(sorted, 0.95)),
		P99:        Number(stats.QuantileIfSupported(sorted, 0.99)),
		Max:        Number(stats.Max(sorted)),
	}
}

// distribution summarises samples of one series. They are not independent, so there is
// no interval for any sample size, and every quantile is given.
func distribution(x []float64) Distribution {
	sorted := stats.Sorted(x)
	return Distribution{
		P50:  Number(stats.Quantile(sorted, 0.50)),
		P90:  Number(stats.Quantile(sorted, 0.90)),
		Max:  Number(stats.Max(sorted)),
		Mean: Number(stats.Arithmetic(sorted)),

		PaperP90: Number(stats.NormalQuantile(sorted, 0.90)),
	}
}

// inWindow returns the samples from the epoch to the end of the window.
func (r *reading) inWindow() []record.Sample {
	var in []record.Sample
	for _, s := range r.samples {
		if s.AtNS >= 0 && s.AtNS <= r.endNS {
			in = append(in, s)
		}
	}
	return in
}

// ratesPercent turns a counter of CPU time into % of the server's CPUs between
// consecutive samples of the window.
func (r *reading) ratesPercent(counter func(*record.Sample) int64) []float64 {
	var rates []float64
	in := r.inWindow()
	for i := 1; i < len(in); i++ {
		interval := in[i].AtNS - in[i-1].AtNS
		if interval <= 0 {
			continue
		}
		used := counter(&in[i]) - counter(&in[i-1])
		rates = append(rates, 100*float64(used)/(float64(interval)*float64(r.cpus())))
	}
	return rates
}

func busyNS(s *record.Sample) int64 { return s.BusyNS + s.SoftIRQNS }

func (r *reading) cpuPercent() []float64 {
	return r.ratesPercent(func(s *record.Sample) int64 { return s.CPUNS })
}

func (r *reading) busyPercent() []float64 { return r.ratesPercent(busyNS) }

func (r *reading) cpu() CPU {
	sorted := stats.Sorted(r.cpuPercent())
	percent := 100 / (1e9 * Number(r.cpus())) // of ns per second
	rates := r.rates(func(s *record.Sample) int64 { return s.CPUNS })
	return CPU{
		Distribution: distribution(sorted),
		Parts:        Split{rates.Before * percent, rates.During * percent, rates.After * percent},
		Below40:      Number(stats.ShareBelow(sorted, 40)),
		AtLeast90:    Number(1 - stats.ShareBelow(sorted, 90)),
	}
}

// resident returns the resident set in bytes at each sample of the window.
func (r *reading) resident() []float64 {
	var x []float64
	for _, s := range r.inWindow() {
		x = append(x, float64(s.RSSBytes))
	}
	return x
}

// memoryPercent returns the resident set in % of the limit; nothing without a limit.
func (r *reading) memoryPercent() []float64 {
	limit := float64(r.experiment.ServerMemoryBytes)
	if limit <= 0 {
		return nil
	}
	x := r.resident()
	for i := range x {
		x[i] *= 100 / limit
	}
	return x
}

func (r *reading) memoryShare() MemoryShare {
	sorted := stats.Sorted(r.memoryPercent())
	return MemoryShare{distribution(sorted), Number(stats.ShareBelow(sorted, math.Nextafter(30, 31)))}
}

func (r *reading) memoryBytes() MemoryBytes {
	m := MemoryBytes{Distribution: distribution(r.resident()), Peak: Unknown()}
	if r.probe != nil {
		m.Peak = Number(r.probe.PeakRSSBytes)
	}
	return m
}

func (r *reading) syscallTotals() Syscalls {
	t := Syscalls{ByName: map[string]SyscallLine{}}
	if r.probe == nil || !r.probe.SyscallCounter {
		t.Calls, t.Errors, t.Seconds = Unknown(), Unknown(), Unknown()
		t.PerAdmitted, t.PerOffered = Unknown(), Unknown()
		t.PerSecond = Split{Unknown(), Unknown(), Unknown()}
		return t
	}
	for _, s := range r.syscalls {
		line := t.ByName[s.Name]
		line.Calls += Number(s.Calls)
		line.Errors += Number(s.Errors)
		line.Seconds += Number(float64(s.TimeNS) / 1e9)
		t.ByName[s.Name] = line
		t.Calls += Number(s.Calls)
		t.Errors += Number(s.Errors)
		t.Seconds += Number(float64(s.TimeNS) / 1e9)
	}
	t.PerAdmitted = Ratio(float64(t.Calls), float64(r.admitted))
	t.PerOffered = Ratio(float64(t.Calls), float64(r.offered+len(r.neighbours)))
	if len(r.experiment.Background) > 0 { // their requests are not read
		t.PerOffered = Unknown()
	}
	t.PerSecond = r.rates(func(s *record.Sample) int64 { return int64(s.Syscalls) })
	return t
}

// rates returns the increase of a counter per second before, during and after the
// attack.
func (r *reading) rates(counter func(*record.Sample) int64) Split {
	if r.attack.empty() {
		return Split{r.rate(span{0, r.endNS}, counter), Unknown(), Unknown()}
	}
	return Split{
		Before: r.rate(span{0, r.attack.fromNS}, counter),
		During: r.rate(r.attack, counter),
		After:  r.rate(span{r.attack.toNS, r.endNS}, counter),
	}
}

// rate returns the increase of a counter per second between the first and the last
// sample of a stretch of time.
func (r *reading) rate(s span, counter func(*record.Sample) int64) Number {
	var first, last *record.Sample
	for i := range r.samples {
		sample := &r.samples[i]
		if sample.AtNS < s.fromNS || sample.AtNS > s.toNS {
			continue
		}
		if first == nil {
			first = sample
		}
		last = sample
	}
	if first == last {
		return Unknown()
	}
	return Ratio(float64(counter(last)-counter(first)), Seconds(last.AtNS-first.AtNS))
}

func (r *reading) attackTotals() Attack {
	a := Attack{
		ScheduledRPS: scheduledRate(r.experiment.Parallel),
		AchievedRPS:  Unknown(),
		FirstStartS:  Unknown(),
		LastStartS:   Unknown(),
		PeakInFlight: Number(r.peakInFlight),
		Held:         Number(r.held),

		ServerPerAttemptUS:   Unknown(),
		AttackerPerAttemptUS: Unknown(),
		ServerPerAttacker:    Unknown(),
		Amplification:        r.amplification(),
	}
	if r.experiment.Parallel.Kind.Flood() {
		a.PeakInFlight, a.Held = Unknown(), Unknown()
	}
	if r.attack.empty() {
		return a
	}
	attempts := float64(r.attackStarts)
	if len(r.experiment.Background) == 0 { // else it is not known whose time it is
		a.ServerPerAttemptUS = Ratio(float64(r.extraBusyMS())*1e3, attempts)
	}
	if r.attackerNS > 0 {
		a.AttackerPerAttemptUS = Ratio(float64(r.attackerNS)/1e3, attempts)
		a.ServerPerAttacker = Ratio(float64(a.ServerPerAttemptUS), float64(a.AttackerPerAttemptUS))
	}
	a.FirstStartS = Number(Seconds(r.attack.fromNS))
	a.LastStartS = Number(Seconds(r.attack.toNS))
	// No interval follows the last start of each client, and clients may start in turn.
	a.AchievedRPS = Ratio(float64(r.attackStarts-max(1, r.experiment.Parallel.Clients)),
		Seconds(r.attack.toNS-max(r.attack.fromNS, r.lastFirstNS)))
	return a
}

// amplification returns bytes sent per byte received at the server's interface, headers included,
// from the first sample to the last. With other clients it is unknown, as their share is.
func (r *reading) amplification() Number {
	if len(r.samples) == 0 || r.experiment.Sequential.Clients > 0 || r.experiment.Neighbour.Clients > 0 ||
		len(r.experiment.Background) > 0 {
		return Unknown()
	}
	first, last := &r.samples[0], &r.samples[len(r.samples)-1]
	if last.ReceivedBytes == first.ReceivedBytes {
		return Unknown()
	}
	return Number(last.SentBytes-first.SentBytes) / Number(last.ReceivedBytes-first.ReceivedBytes)
}

// scheduledRate returns the requests per second that a group is to start; unknown for a
// closed loop.
func scheduledRate(l results.Load) Number {
	if l.RatePerSecond <= 0 {
		return Unknown()
	}
	return Number(l.RatePerSecond * float64(l.Clients))
}

func (r *reading) serverTotals() Server {
	if r.server == nil {
		u := Unknown()
		return Server{Connections: u, Admitted: u, Served: u, Refusals: u, PeakPerClient: u, StillCounted: u}
	}
	return Server{
		Connections:   Number(r.server.Connections),
		Admitted:      Number(r.admitted),
		Served:        Number(r.server.Served),
		Refusals:      Number(r.server.Refusals),
		PeakPerClient: Number(r.server.PeakPerClient),
		StillCounted:  Number(r.server.StillCounted),
	}
}

func (r *reading) gatewayTotals() Gateway {
	g := Gateway{
		Seen: Unknown(), Passed: Unknown(), Dropped: Unknown(), UpdateErrors: Unknown(),
		Packets: map[string]Number{},
	}
	if r.gateway == nil {
		return g
	}
	g.Seen, g.Passed, g.Dropped = Number(r.gateway.Seen), Number(r.gateway.Passed), Number(r.gateway.Dropped)
	g.UpdateErrors = Number(r.gateway.UpdateErrors)
	for reason, n := range r.gateway.Packets {
		g.Packets[reason] = Number(n)
	}
	return g
}

func (r *reading) udp() UDP {
	if len(r.samples) == 0 {
		return UDP{InDatagrams: Unknown(), InErrors: Unknown(), RcvbufErrors: Unknown()}
	}
	first, last := r.samples[0], r.samples[len(r.samples)-1]
	return UDP{
		InDatagrams:  Number(last.UDPInDatagrams) - Number(first.UDPInDatagrams),
		InErrors:     Number(last.UDPInErrors) - Number(first.UDPInErrors),
		RcvbufErrors: Number(last.UDPRcvbufErrors) - Number(first.UDPRcvbufErrors),
	}
}

func (r *reading) probeCost() Probe {
	if r.probe == nil {
		return Probe{Samples: Unknown(), Missed: Unknown(), CPUPercent: Unknown(), PercentOfServer: Unknown()}
	}
	p := Probe{
		Samples:         Number(r.probe.Samples),
		Missed:          Number(r.probe.Missed),
		CPUPercent:      Unknown(),
		PercentOfServer: Ratio(100*float64(r.probe.OwnCPUNS), float64(r.probe.UserNS+r.probe.SystemNS)),
	}
	if n := len(r.samples); n > 1 {
		life := r.samples[n-1].AtNS - r.samples[0].AtNS
		p.CPUPercent = Ratio(100*float64(r.probe.OwnCPUNS), float64(life)*float64(r.cpus()))
	}
	return p
}

// Ratio returns a/b, or unknown if b is zero.
func Ratio(a, b float64) Number {
	if b == 0 {
		return Unknown()
	}
	return Number(a / b)
}

// Change returns the change from without to with, in %. From zero to another value it is +Inf; from zero to
// zero it is NaN.
func Change(with, without Number) Number {
	if with == 0 && without == 0 {
		return Number(math.NaN())
	}
	return (with/without - 1) * 100
}
