package analysis

// Direction is the direction in which a metric is better.
type Direction string

// The directions.
const (
	Higher Direction = "higher"
	Lower  Direction = "lower"
)

// Metric is one row of the catalogue: a figure of a trial, as docs/method/definitions.md
// defines it, and the reports that show it.
type Metric struct {
	ID     string // on the command line and in summary.json
	Label  string // what it is, in words
	Unit   string // of Value
	Better Direction
	// Value computes the figure of a trial, unknown if the trial does not have it.
	Value func(*Metrics) Number
	// Censored reports whether Value is only a lower bound; nil if it never is.
	Censored func(*Metrics) bool
	// ZeroIsNoSize marks a figure for which zero does not mean the smallest size, but that it has no
	// size. Two zeros are then not equal, and cannot be compared.
	ZeroIsNoSize bool

	Headline bool    // used for pairs, noise and outliers
	Compared bool    // available for comparing two runs; headline figures always are
	Default  bool    // used if no metric is named
	Row      string  // its name in the table of figures by variant; "" means not in it
	Brief    string  // its heading in the short table after a run; "" means not in it
	Bench    string  // its unit in the Go benchmark format; "" means not in it
	BenchPer float64 // how many units of Value are one of Bench; 0 means 1
	Cost     string  // its name in the table of what measuring costs; "" means not in it
	Goal     bool    // measuring should change it by less than 1 %
}

const mebibyte = 1 << 20

// catalogue is every metric, in the order of the tables. A new one is an entry
// here, and a test (docs/extending.md).
var catalogue = []Metric{
	{
		ID: "throughput", Label: "harmonic mean of 1 s bins, empty ones included", Unit: "requests/s", Better: Higher,
		Value: func(m *Metrics) Number { return m.Throughput.Harmonic }, ZeroIsNoSize: true, // if one second is empty
		Headline: true, Row: "throughput, harmonic mean of 1 s bins (requests/s)", Bench: "requests/s", Brief: "requests/s",
	},
	{
		ID: "throughput-mean", Label: "arithmetic mean of the throughput", Unit: "requests/s", Better: Higher,
		Value:    func(m *Metrics) Number { return m.Throughput.Arithmetic },
		Compared: true, Default: true,
		Row: "throughput, arithmetic mean", Bench: "mean-requests/s", Cost: "throughput, arithmetic mean", Goal: true,
	},
	{
		ID: "throughput-least", Label: "least bin of the throughput", Unit: "requests/s", Better: Higher,
		Value: func(m *Metrics) Number { return m.Throughput.Min }, Row: "throughput, lowest bin",
	},
	{
		ID: "throughput-paper", Label: "throughput by the paper's estimator", Unit: "requests/s", Better: Higher,
		Value: func(m *Metrics) Number { return m.Throughput.Paper },
		Row:   "throughput, paper's estimator (5 s bins, empty ones dropped)",
	},
	{
		ID: "completed", Label: "sequential requests ok, of those scheduled", Unit: "%", Better: Higher,
		Value: func(m *Metrics) Number { return m.Throughput.CompletedShare * 100 },
		Row:   "sequential requests ok, of those scheduled (%)",
	},
	{
		ID: "kept", Label: "throughput kept during the attack, of that before", Unit: "%", Better: Higher,
		Value: func(m *Metrics) Number { return m.Honest.Kept * 100 }, Row: "throughput kept during the attack (%)",
	},
	{
		ID: "recovery", Label: "time from the start of the attack to the recovery", Unit: "s", Better: Lower,
		Value: RecoveryTime, Censored: NeverRecovered,
		Headline: true, Row: "recovery from the start of the attack (s)", Bench: "recovery-sec",
	},
	{
		ID: "total-time", Label: "time from the epoch to the end of the last sequential request", Unit: "s", Better: Lower,
		Value: func(m *Metrics) Number { return m.Throughput.TotalS }, Row: "all sequential requests done after (s)",
	},
	{
		ID: "recovery-below", Label: "time below 90 % of the throughput before the attack", Unit: "s", Better: Lower,
		Value: func(m *Metrics) Number { return m.Recovery.BelowS },
		Row:   "seconds below 90 % of the throughput before the attack",
	},
	{
		ID: "recovery-paper", Label: "recovery by the paper's estimator", Unit: "bins", Better: Lower,
		Value: func(m *Metrics) Number { return m.Recovery.PaperBin },
		Row:   "recovery, paper's way (5 s bin from the start)",
	},
	{
		ID: "block-time", Label: "mean CPU time per refusal against time per dropped packet", Unit: "µs", Better: Lower,
		Value:    func(m *Metrics) Number { return m.BlockTimeUS },
		Headline: true, Default: true, Bench: "block-sec", BenchPer: 1e6,
	},
	{
		ID: "duration", Label: "harmonic mean of the response time", Unit: "ms", Better: Lower,
		Value:    func(m *Metrics) Number { return m.Duration.Harmonic },
		Headline: true, Default: true, Row: "response time, harmonic mean (ms)",
	},
	{
		ID: "duration-p50", Label: "median of the response time", Unit: "ms", Better: Lower,
		Value:    func(m *Metrics) Number { return m.Duration.P50 },
		Compared: true,
		Row:      "response time, median (ms)", Bench: "p50-response-sec", BenchPer: 1e3,
		Cost: "response time, median", Goal: true,
	},
	{
		ID: "duration-mean", Label: "mean of the response time", Unit: "ms", Better: Lower,
		Value: func(m *Metrics) Number { return m.Duration.Arithmetic }, Cost: "response time, mean",
	},
	{
		ID: "duration-p95", Label: "95th percentile of the response time", Unit: "ms", Better: Lower,
		Value: func(m *Metrics) Number { return m.Duration.P95 }, Row: "response time, p95 (ms)",
	},
	{
		ID: "duration-p99", Label: "99th percentile of the response time", Unit: "ms", Better: Lower,
		Value:    func(m *Metrics) Number { return m.Duration.P99 },
		Compared: true, Default: true,
		Row: "response time, p99 (ms)", Bench: "p99-response-sec", BenchPer: 1e3, Cost: "response time, p99",
		Brief: "p99 (ms)",
	},
	{
		ID: "duration-before", Label: "median of the response time before the attack", Unit: "ms", Better: Lower,
		Value: func(m *Metrics) Number { return m.Duration.Before.P50 },
		Row:   "response time before the attack, median (ms)",
	},
	{
		ID: "duration-attack", Label: "median of the response time during the attack", Unit: "ms", Better: Lower,
		Value: func(m *Metrics) Number { return m.Duration.During.P50 },
		Row:   "response time during the attack, median (ms)", Bench: "p50-response-in-attack-sec", BenchPer: 1e3,
	},
	{
		ID: "duration-after", Label: "median of the response time after the attack", Unit: "ms", Better: Lower,
		Value: func(m *Metrics) Number { return m.Duration.After.P50 }, Row: "response time after the attack, median (ms)",
	},
	{
		ID: "service", Label: "harmonic mean of the service time", Unit: "ms", Better: Lower,
		Value: func(m *Metrics) Number { return m.Duration.Service.Harmonic }, Row: "service time, harmonic mean (ms)",
	},
	{
		ID: "service-p50", Label: "median of the service time", Unit: "ms", Better: Lower,
		Value: func(m *Metrics) Number { return m.Duration.Service.P50 }, Row: "service time, median (ms)",
	},
	{
		ID: "service-p99", Label: "99th percentile of the service time", Unit: "ms", Better: Lower,
		Value: func(m *Metrics) Number { return m.Duration.Service.P99 }, Row: "service time, p99 (ms)",
	},
	{
		ID: "handshake-p50", Label: "median time to the end of the handshake", Unit: "ms", Better: Lower,
		Value: func(m *Metrics) Number { return m.Duration.Phases.Handshake.P50 }, Row: "handshake, median (ms)",
	},
	{
		ID: "first-byte-p50", Label: "median time to the first byte", Unit: "ms", Better: Lower,
		Value: func(m *Metrics) Number { return m.Duration.Phases.FirstByte.P50 }, Row: "first byte, median (ms)",
	},
	{
		ID: "last-byte-p50", Label: "median time to the last byte", Unit: "ms", Better: Lower,
		Value: func(m *Metrics) Number { return m.Duration.Phases.Body.P50 }, Row: "last byte, median (ms)",
	},
	{
		ID: "refusal-cpu", Label: "mean CPU time per refusal in user space", Unit: "µs", Better: Lower,
		Value: func(m *Metrics) Number { return m.BlockTime.CPUMeanUS },
		Row:   "CPU time per refusal in user space, mean (µs)",
	},
	{
		ID: "refusal-cpu-p50", Label: "median CPU time per refusal in user space", Unit: "µs", Better: Lower,
		Value: func(m *Metrics) Number { return m.BlockTime.CPUMedianUS },
		Row:   "CPU time per refusal in user space, median (µs)",
	},
	{
		ID: "refusal-wall", Label: "mean wall time per refusal in user space", Unit: "µs", Better: Lower,
		Value: func(m *Metrics) Number { return m.BlockTime.WallMeanUS },
		Row:   "wall time per refusal in user space, mean (µs)",
	},
	{
		ID: "refusal-cpu-empty", Label: "CPU clock's own cost per time measured", Unit: "µs", Better: Lower,
		Value: func(m *Metrics) Number { return m.BlockTime.EmptyCPUNS / 1e3 },
		Row:   "CPU clock's own cost per time measured (µs)",
	},
	{
		ID: "refusal-wall-empty", Label: "wall clock's own cost per time measured", Unit: "µs", Better: Lower,
		Value: func(m *Metrics) Number { return m.BlockTime.EmptyWallNS / 1e3 },
		Row:   "wall clock's own cost per time measured (µs)",
	},
	{
		ID: "drop", Label: "time per dropped packet in the kernel", Unit: "ns", Better: Lower,
		Value: func(m *Metrics) Number { return m.BlockTime.DropNS }, Row: "time per dropped packet in the kernel (ns)",
	},
	{
		ID: "drop-empty", Label: "run loop's cost per packet, subtracted from it", Unit: "ns", Better: Lower,
		Value: func(m *Metrics) Number { return m.BlockTime.EmptyNS },
		Row:   "run loop's cost per packet, subtracted from it (ns)",
	},
	{
		ID: "turn-away", Label: "extra CPU time per client turned away", Unit: "µs", Better: Lower,
		Value:    func(m *Metrics) Number { return m.BlockTime.ExtraPerTurnedAwayUS },
		Compared: true,
		Row:      "extra CPU time per client turned away (µs)", Bench: "extra-CPU-sec/turned-away", BenchPer: 1e6,
		Brief: "turn-away (µs)",
	},
	{
		ID: "turn-away-tick", Label: "one clock tick per client turned away", Unit: "µs", Better: Lower,
		Value: func(m *Metrics) Number { return m.BlockTime.TickPerTurnedAwayUS },
		Row:   "one clock tick per client turned away (µs)",
	},
	{
		ID: "attempt-server", Label: "extra CPU time of the server per attempt of the attack", Unit: "µs", Better: Lower,
		Value: func(m *Metrics) Number { return m.Attack.ServerPerAttemptUS },
		Row:   "extra CPU time of the server per attempt of the attack (µs)", Bench: "server-CPU-sec/attempt", BenchPer: 1e6,
	},
	{
		ID: "attempt-attacker", Label: "CPU time of the attackers per attempt", Unit: "µs", Better: Higher,
		Value: func(m *Metrics) Number { return m.Attack.AttackerPerAttemptUS },
		Row:   "CPU time of the attackers per attempt (µs)", Bench: "attacker-CPU-sec/attempt", BenchPer: 1e6,
	},
	{
		ID: "attempt-ratio", Label: "CPU time of the server, as a multiple of the attackers'", Unit: "times", Better: Lower,
		Value: func(m *Metrics) Number { return m.Attack.ServerPerAttacker },
		Row:   "CPU time of the server, as a multiple of the attackers'",
	},
	{
		ID: "amplification", Label: "bytes sent by the server per byte received, attackers alone", Unit: "times",
		Better: Lower, Value: func(m *Metrics) Number { return m.Attack.Amplification },
		Row: "bytes sent for each received, attackers alone",
	},
	{
		ID: "neighbour-kept", Label: "throughput kept by clients at the attackers' addresses", Unit: "%", Better: Higher,
		Value: func(m *Metrics) Number { return m.Neighbour.Kept * 100 },
		Row:   "throughput kept by clients at the attackers' addresses (%)",
	},
	{
		ID: "neighbour-lost", Label: "requests lost by clients at the attackers' addresses", Unit: "requests", Better: Lower,
		Value: func(m *Metrics) Number { return m.Neighbour.Lost },
		Row:   "requests lost by clients at the attackers' addresses",
	},
	{
		ID: "neighbour-again", Label: "time from the end of the attack until a client at an attacker's address is served",
		Unit: "s", Better: Lower, Value: ServedAgain, Censored: NeverServedAgain,
		Row: "client at an attacker's address served after the attack (s)",
	},
	{
		ID: "syscalls", Label: "system calls of the server", Unit: "calls", Better: Lower,
		Value: func(m *Metrics) Number { return m.Syscalls.Calls }, Headline: true, Bench: "syscalls",
	},
	{
		ID: "syscall-errors", Label: "failed system calls of the server", Unit: "calls", Better: Lower,
		Value: func(m *Metrics) Number { return m.Syscalls.Errors }, Bench: "syscall-errors",
	},
	{
		ID: "syscall-time", Label: "CPU time in system calls of the server", Unit: "s", Better: Lower,
		Value: func(m *Metrics) Number { return m.Syscalls.Seconds }, Bench: "syscall-sec",
	},
	{
		ID: "cpu-mean", Label: "mean of the server's CPU use", Unit: "%", Better: Lower,
		Value: func(m *Metrics) Number { return m.CPU.Mean }, Row: "server CPU, mean (%)", Bench: "server-CPU-%",
	},
	{
		ID: "cpu-before", Label: "mean of the server's CPU use before the attack", Unit: "%", Better: Lower,
		Value: func(m *Metrics) Number { return m.CPU.Parts.Before }, Row: "server CPU before the attack, mean (%)",
	},
	{
		ID: "cpu", Label: "mean of the server's CPU use during the attack", Unit: "%", Better: Lower,
		Value:    func(m *Metrics) Number { return m.CPU.Parts.During },
		Headline: true, Default: true, Row: "server CPU during the attack, mean (%)", Bench: "server-CPU-in-attack-%",
		Brief: "CPU (%)",
	},
	{
		ID: "cpu-after", Label: "mean of the server's CPU use after the attack", Unit: "%", Better: Lower,
		Value: func(m *Metrics) Number { return m.CPU.Parts.After }, Row: "server CPU after the attack, mean (%)",
	},
	{
		ID: "cpu-p50", Label: "median of the server's CPU use", Unit: "%", Better: Lower,
		Value: func(m *Metrics) Number { return m.CPU.P50 }, Row: "server CPU, median (%)",
	},
	{
		ID: "cpu-p90", Label: "90th percentile of the server's CPU use", Unit: "%", Better: Lower,
		Value: func(m *Metrics) Number { return m.CPU.P90 }, Row: "server CPU, p90 (%)",
	},
	{
		ID: "cpu-p90-paper", Label: "90th percentile of the server's CPU use by the paper's estimator",
		Unit: "%", Better: Lower,
		Value: func(m *Metrics) Number { return m.CPU.PaperP90 },
		Row:   "server CPU, p90, paper's estimator (normal distribution) (%)",
	},
	{
		ID: "cpu-below-40", Label: "share of the time with the server's CPU use below 40 %",
		Unit: "% of the time", Better: Higher,
		Value: func(m *Metrics) Number { return m.CPU.Below40 * 100 }, Row: "server CPU below 40 % (% of the time)",
	},
	{
		ID: "cpu-at-least-90", Label: "share of the time with the server's CPU use at 90 % or more",
		Unit: "% of the time", Better: Lower,
		Value: func(m *Metrics) Number { return m.CPU.AtLeast90 * 100 }, Row: "server CPU at 90 % or more (% of the time)",
	},
	{
		ID: "busy-mean", Label: "mean use of the server's CPUs, softirq included", Unit: "%", Better: Lower,
		Value: func(m *Metrics) Number { return m.BusyCPUs.Mean }, Row: "busy server CPUs with softirq, mean (%)",
	},
	{
		ID: "syscalls-before", Label: "system calls per second before the attack", Unit: "calls/s", Better: Lower,
		Value: func(m *Metrics) Number { return m.Syscalls.PerSecond.Before },
		Row:   "system calls per second before the attack",
	},
	{
		ID: "syscalls-attack", Label: "system calls per second during the attack", Unit: "calls/s", Better: Lower,
		Value:    func(m *Metrics) Number { return m.Syscalls.PerSecond.During },
		Compared: true, Default: true, Row: "system calls per second during the attack", Bench: "syscalls-in-attack/s",
		Brief: "calls/s",
	},
	{
		ID: "syscalls-after", Label: "system calls per second after the attack", Unit: "calls/s", Better: Lower,
		Value: func(m *Metrics) Number { return m.Syscalls.PerSecond.After },
		Row:   "system calls per second after the attack",
	},
	{
		ID: "memory", Label: "90th percentile of the server's resident set", Unit: "MiB", Better: Lower,
		Value:    func(m *Metrics) Number { return m.MemoryBytes.P90 / mebibyte },
		Headline: true, Row: "server memory, p90 (MiB)", Bench: "p90-RSS-B", BenchPer: 1.0 / mebibyte,
	},
	{
		ID: "memory-p90-paper", Label: "90th percentile of the server's resident set by the paper's estimator",
		Unit: "MiB", Better: Lower,
		Value: func(m *Metrics) Number { return m.MemoryBytes.PaperP90 / mebibyte },
		Row:   "server memory, p90, paper's estimator (normal distribution) (MiB)",
	},
	{
		ID: "memory-share", Label: "90th percentile of the server's resident set, of its limit", Unit: "%", Better: Lower,
		Value: func(m *Metrics) Number { return m.Memory.P90 }, Row: "server memory, p90 (% of the limit)",
	},
	{
		ID: "memory-at-most-30", Label: "share of the time with the resident set at 30 % of its limit or less",
		Unit: "% of the time", Better: Higher,
		Value: func(m *Metrics) Number { return m.Memory.AtMost30 * 100 },
		Row:   "server memory at 30 % of the limit or less (% of the time)",
	},
	{
		ID: "memory-peak", Label: "peak of the server's resident set", Unit: "MiB", Better: Lower,
		Value:    func(m *Metrics) Number { return m.MemoryBytes.Peak / mebibyte },
		Compared: true, Default: true, Row: "server memory, peak (MiB)", Bench: "peak-RSS-B", BenchPer: 1.0 / mebibyte,
	},
	{
		ID: "udp-overflows", Label: "UDP receive-buffer errors", Unit: "datagrams", Better: Lower,
		Value: func(m *Metrics) Number { return m.UDP.RcvbufErrors }, Row: "UDP receive-buffer errors",
	},
	{
		ID: "probe-cpu", Label: "the probe's own CPU time, of the server's CPUs", Unit: "%", Better: Lower,
		Value: func(m *Metrics) Number { return m.Probe.CPUPercent },
		Row:   "the probe's own CPU time (% of the server's CPUs)",
	},
	// The values of the paper's instrument. They are beside the claims, not in the
	// table of the figures.
	{
		ID: "instrument-throughput", Label: "connections per second by the paper's instrument", Unit: "connections/s",
		Better: Higher, Value: func(m *Metrics) Number { return m.Instrument.RequestsPerS },
	},
	{
		ID: "instrument-recovery", Label: "recovery by the paper's instrument", Unit: "bins", Better: Lower,
		Value: func(m *Metrics) Number { return m.Instrument.RecoveryBin },
	},
	{
		ID: "instrument-duration", Label: "duration by the paper's instrument", Unit: "ms", Better: Lower,
		Value: func(m *Metrics) Number { return m.Instrument.DurationMS },
	},
	{
		ID: "instrument-block-time", Label: "block time by the paper's instrument", Unit: "µs", Better: Lower,
		Value: func(m *Metrics) Number { return m.Instrument.BlockTimeUS },
	},
	{
		ID: "instrument-cpu-below-40", Label: "share of a normal distribution of the CPU use below 40 %",
		Unit: "% of the time", Better: Higher,
		Value: func(m *Metrics) Number { return m.Instrument.CPU.Below40 * 100 },
	},
	{
		ID: "instrument-cpu-at-least-90", Label: "share of a normal distribution of the CPU use at 90 % or more",
		Unit: "% of the time", Better: Lower,
		Value: func(m *Metrics) Number { return m.Instrument.CPU.AtLeast90 * 100 },
	},
	{
		ID: "instrument-memory", Label: "memory by the paper's instrument, which reads the CPU use",
		Unit: "%", Better: Lower, Value: func(m *Metrics) Number { return m.Instrument.Memory.P90 },
	},
}

// MetricsWhere returns the metrics that fulfil a condition, in the order of the
// catalogue.
func MetricsWhere(is func(*Metric) bool) []*Metric {
	var all []*Metric
	for i := range catalogue {
		if is(&catalogue[i]) {
			all = append(all, &catalogue[i])
		}
	}
	return all
}

// HeadlineMetrics returns the metrics by which every two variants are compared.
func HeadlineMetrics() []*Metric { return MetricsWhere(func(m *Metric) bool { return m.Headline }) }

// ComparedMetrics returns the metrics by which two runs are compared: the headline
// figures, then others.
func ComparedMetrics() []*Metric {
	return append(HeadlineMetrics(), MetricsWhere(func(m *Metric) bool { return m.Compared })...)
}

// MetricByID returns a metric of the catalogue. It panics on an ID that is not in
// it.
func MetricByID(id string) *Metric {
	if m := FindMetric(id); m != nil {
		return m
	}
	panic("no metric has the ID " + id)
}

// FindMetric returns a metric of the catalogue; nil if it has none of that ID.
func FindMetric(id string) *Metric {
	for i := range catalogue {
		if catalogue[i].ID == id {
			return &catalogue[i]
		}
	}
	return nil
}
