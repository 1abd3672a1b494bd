package analysis

import (
	"math"

	"github.com/equic-bench/equic-bench/results"
	"github.com/equic-bench/equic-bench/stats"
)

// Summary contains all results of a run in numbers: summary.json. It follows from the
// raw records alone.
type Summary struct {
	Schema   int    `json:"schema"`
	Run      string `json:"run"`
	Scenario string `json:"scenario"`
	Seed     uint64 `json:"seed"`
	// Blocks is how often every variant was run, and Interval describes in words what
	// that shows about chance.
	Blocks   int       `json:"blocks"`
	Interval string    `json:"interval"`
	Window   Window    `json:"window"`
	Variants []Variant `json:"variants"`
	// BreakingPoints are those of a search, whose variants have no other figures.
	BreakingPoints []BreakingPoint `json:"breaking_points,omitempty"`
	// Paper is the paper that makes the Claims. A verdict on them needs as many blocks
	// as BlocksNeeded.
	Paper        string  `json:"paper,omitempty"`
	Claims       []Claim `json:"claims"`
	BlocksNeeded int     `json:"blocks_needed,omitempty"`
	// Unmet are the premises of the claims that the run does not meet.
	Unmet []Unmet `json:"unmet_premises,omitempty"`
	// Pairs is empty if no variant has two valid trials.
	Pairs []Pair `json:"pairs"`
	// Noise and Cost are absent if the run has no such arm.
	Noise    *Noise    `json:"noise,omitempty"`
	Cost     *Cost     `json:"cost,omitempty"`
	Trials   []Trial   `json:"trials"`
	Outliers []Outlier `json:"outliers"`
	Warnings []string  `json:"warnings"`
	// FiguresLang is the language of the figures' texts if it is not English.
	FiguresLang string `json:"figures_lang,omitempty"`

	Manifest *results.Manifest `json:"-"`
	coarse   []string          // trials with quantiles from a histogram
}

// Window describes the time span of the figures, and what their percentages refer to.
type Window struct {
	// LoadEndS is the scheduled end of the sequential load. The window of throughput,
	// CPU and memory is from the epoch to LoadEndS. It is null for a closed loop, in
	// which the window ends with each trial's last sequential request.
	LoadEndS Number `json:"load_end_s"`
	// The attack as scheduled; null without one.
	AttackFromS Number `json:"attack_from_s"`
	AttackToS   Number `json:"attack_to_s"`
	// What 100 % means.
	CPUs        int   `json:"server_cpus"`
	MemoryBytes int64 `json:"server_memory_bytes"` // zero: no limit, no percentage
}

// Trial is the outcome of one trial.
type Trial struct {
	Name    string `json:"name"`
	Variant string `json:"variant"`
	// Arm is empty for a trial that is in the variant's figures.
	Arm     results.Arm `json:"arm,omitempty"`
	Block   int         `json:"block"`
	Attempt int         `json:"attempt"`
	// Valid trials are in the figures; the others are only listed, with Reasons.
	Valid    bool            `json:"valid"`
	Reasons  []string        `json:"reasons"`
	Warnings []string        `json:"warnings"`
	Checks   []results.Check `json:"checks"`
}

// Variant contains the figures of one variant: each is the median over its valid
// trials, or the value itself if there is only one.
type Variant struct {
	Name   string `json:"name"`
	Trials int    `json:"trials"`
	Note   string `json:"note"` // "one trial, no interval"
	*Metrics
	// Low and High are the ends of the 95 % interval of each median, by order
	// statistics, with the keys of the figures. They are absent below six trials, and
	// null for figures that fewer trials have.
	Low  *Metrics `json:"interval_low,omitempty"`
	High *Metrics `json:"interval_high,omitempty"`

	// The valid trials: their figures, blocks and names.
	TrialMetrics []*Metrics `json:"-"`
	Blocks       []int      `json:"-"`
	Names        []string   `json:"-"`
}

// Metrics are the figures of one trial, as docs/method/definitions.md defines them. The
// unit is in each key: rps is per second, percent is of Window's denominators.
type Metrics struct {
	Throughput  Throughput                   `json:"throughput_rps"`
	Recovery    Recovery                     `json:"recovery"`
	Duration    Durations                    `json:"duration_ms"`
	BlockTimeUS Number                       `json:"block_time_us"`
	BlockTime   BlockTime                    `json:"block_time"`
	CPU         CPU                          `json:"cpu_percent"`
	BusyCPUs    Distribution                 `json:"busy_percent"`
	Memory      MemoryShare                  `json:"memory_percent"`
	MemoryBytes MemoryBytes                  `json:"memory_bytes"`
	Syscalls    Syscalls                     `json:"syscalls"`
	Requests    map[string]map[string]Number `json:"requests"`
	Attack      Attack                       `json:"attack"`
	Honest      Honest                       `json:"honest"`
	Neighbour   Neighbour                    `json:"neighbour"`
	Server      Server                       `json:"server"`
	Gateway     Gateway                      `json:"gateway"`
	UDP         UDP                          `json:"udp"`
	Probe       Probe                        `json:"probe"`
	Instrument  Instrument                   `json:"instrument"`
}

// Throughput is the number of completed requests of the sequential clients per second,
// over bins of 1 s from the epoch to the end of the window, including empty bins. A
// remainder shorter than a bin is left out.
type Throughput struct {
	Harmonic   Number `json:"harmonic"`
	Arithmetic Number `json:"arithmetic"`
	Min        Number `json:"min"`
	ZeroBins   Number `json:"zero_bins"`
	// Paper is the paper's estimator: the harmonic mean of 5 s bins, without the empty
	// ones.
	Paper          Number `json:"paper"`
	PaperZeroBins  Number `json:"paper_zero_bins"`
	MedianBefore   Number `json:"median_before"` // the attack
	ScheduledPerS  Number `json:"scheduled"`
	CompletedShare Number `json:"completed_share"` // ok / scheduled requests
	// TotalS is from the epoch to the end of the last sequential request, ok or not.
	TotalS Number `json:"total_s"`
}

// Recovery is how long the throughput is reduced. OnsetS is from the first request of
// the attack to the start of the first of five consecutive 1 s bins within 10 % of the median before the
// attack. It is null if there are none in the remaining ObservedS.
type Recovery struct {
	OnsetS    Number `json:"onset_s"`
	Recovered Number `json:"recovered"` // 1 or 0; over trials, the median
	ObservedS Number `json:"observed_s"`
	// BelowS counts the 1 s bins from the attack on that are more than 10 % below that
	// median, at any position.
	BelowS Number `json:"below_s"`
	// PaperBin is the paper's figure: the number of the first 5 s bin, counted
	// from the start of the run, that is within 10 % again.
	PaperBin Number `json:"paper_bin"`
}

// Durations are of the ok requests of the sequential clients, in ms. The top level is
// response time, from the intended start; Service is from the actual start. A
// percentile is null if the sample is too small for it.
type Durations struct {
	Statistics
	Service Statistics `json:"service"`
	// Response time by the intended start: before, during and after the attack.
	Before Statistics `json:"before"`
	During Statistics `json:"during"`
	After  Statistics `json:"after"`
	Phases Phases     `json:"phases"`
}

// Phases split the service time: each is since the actual start.
type Phases struct {
	Handshake Statistics `json:"handshake"`
	FirstByte Statistics `json:"first_byte"`
	Body      Statistics `json:"body"`
}

// Statistics summarise one sample.
type Statistics struct {
	Count      Number `json:"count"`
	Harmonic   Number `json:"harmonic"`
	Arithmetic Number `json:"arithmetic"`
	P50        Number `json:"p50"`
	P95        Number `json:"p95"`
	P99        Number `json:"p99"`
	Max        Number `json:"max"`
}

// BlockTime is the cost of turning one client away.
type BlockTime struct {
	// In user space, from the decision to the end of the close.
	Refusals    Number `json:"refusals"`
	CPUMeanUS   Number `json:"cpu_mean_us"`
	CPUMedianUS Number `json:"cpu_p50_us"`
	WallMeanUS  Number `json:"wall_mean_us"`
	WallP50US   Number `json:"wall_p50_us"`
	// What the clocks of a refusal measure over an empty span. It is included in the
	// figures above, not subtracted.
	EmptyCPUNS  Number `json:"empty_cpu_ns"`
	EmptyWallNS Number `json:"empty_wall_ns"`
	// In the kernel, inside the program per dropped packet.
	DroppedPackets Number `json:"dropped_packets"`
	DropNS         Number `json:"drop_ns"`
	EmptyNS        Number `json:"empty_ns"` // already subtracted from DropNS
	// The same measure for both: busy time of the server's CPUs, softirq included,
	// during the attack and beyond the rate of the quiet time before it, per request of
	// the attack that started then and was not served.
	TurnedAway           Number `json:"turned_away"`
	ExtraBusyMS          Number `json:"extra_busy_ms"`
	ExtraPerTurnedAwayUS Number `json:"extra_busy_us_per_turned_away"`
	// The kernel counts busy time in ticks: one tick of each CPU, per request turned away.
	TickPerTurnedAwayUS Number `json:"tick_us_per_turned_away"`
}

// Distribution summarises samples taken at equal intervals.
type Distribution struct {
	P50  Number `json:"p50"`
	P90  Number `json:"p90"`
	Max  Number `json:"max"`
	Mean Number `json:"mean"`
	// PaperP90 is the p90 of a normal distribution with the samples' mean and standard
	// deviation: the paper's estimator.
	PaperP90 Number `json:"paper_p90"`
}

// CPU is the CPU time of the server process between consecutive samples, in %
// of its CPUs.
type CPU struct {
	Distribution
	// The paper's two thresholds, as shares of the time in 0..1.
	Below40   Number `json:"share_below_40"`
	AtLeast90 Number `json:"share_at_least_90"`
	// The mean before, during and after the attack.
	Parts Split `json:"mean_by_part"`
}

// MemoryShare is the server's resident set in % of its limit.
type MemoryShare struct {
	Distribution
	AtMost30 Number `json:"share_at_most_30"` // of the time, in 0..1
}

// MemoryBytes is the server's resident set. Peak is the kernel's own
// high-water mark, over the whole life of the process.
type MemoryBytes struct {
	Distribution
	Peak Number `json:"peak"`
}

// Syscalls are the system calls of the server process.
type Syscalls struct {
	Calls   Number `json:"calls"`
	Errors  Number `json:"errors"`
	Seconds Number `json:"seconds"` // CPU time from entry to exit, without waiting
	// Per admitted connection (handshake complete, not refused), and per request that
	// any client started.
	PerAdmitted Number `json:"calls_per_admitted"`
	PerOffered  Number `json:"calls_per_offered"`
	// Calls per second before the first start of the attack, from there to its
	// last start, and after that to the end of the window.
	PerSecond Split                  `json:"calls_per_second"`
	ByName    map[string]SyscallLine `json:"by_name"`
}

// Split is a metric before, during and after the attack.
type Split struct {
	Before Number `json:"before"`
	During Number `json:"during"`
	After  Number `json:"after"`
}

// SyscallLine is one system call by its name.
type SyscallLine struct {
	Calls   Number `json:"calls"`
	Errors  Number `json:"errors"`
	Seconds Number `json:"seconds"`
}

// Attack is the planned and the achieved load of the parallel clients.
type Attack struct {
	ScheduledRPS Number `json:"scheduled_rps"`
	AchievedRPS  Number `json:"achieved_rps"` // of starts, from the first to the last
	FirstStartS  Number `json:"first_start_s"`
	LastStartS   Number `json:"last_start_s"`
	PeakInFlight Number `json:"peak_in_flight"` // of one client
	Held         Number `json:"held"`           // started late because max_in_flight was reached
	// The cost of an attempt of the attack to either side: the busy time of the server's
	// CPUs beyond the quiet rate, and the CPU time of the attackers' processes.
	ServerPerAttemptUS   Number `json:"server_us_per_attempt"`
	AttackerPerAttemptUS Number `json:"attacker_us_per_attempt"`
	ServerPerAttacker    Number `json:"server_us_per_attacker_us"` // of the trial, so a median of ratios
	// Amplification is how many bytes the server sends for each byte that it receives,
	// if there are only attackers.
	Amplification Number `json:"amplification"`
}

// Server is the server's own totals.
type Server struct {
	Connections   Number `json:"connections"`
	Admitted      Number `json:"admitted"`
	Served        Number `json:"served"`
	Refusals      Number `json:"refusals"`
	PeakPerClient Number `json:"peak_per_client"`
	StillCounted  Number `json:"still_counted"`
}

// Gateway contains the counters of the place that drops packets; null and empty if there is none.
type Gateway struct {
	Seen         Number            `json:"seen"`
	Passed       Number            `json:"passed"`
	Dropped      Number            `json:"dropped"`
	UpdateErrors Number            `json:"update_errors"`
	Packets      map[string]Number `json:"packets"`
}

// UDP is what the server's network namespace counted while it was sampled.
type UDP struct {
	InDatagrams  Number `json:"in_datagrams"`
	InErrors     Number `json:"in_errors"`
	RcvbufErrors Number `json:"rcvbuf_errors"`
}

// Probe is the cost of measuring the server.
type Probe struct {
	Samples Number `json:"samples"`
	Missed  Number `json:"missed"`
	// The probe's own CPU time, in % of the server's CPUs and of the CPU time
	// of the server process.
	CPUPercent      Number `json:"cpu_percent"`
	PercentOfServer Number `json:"percent_of_server"`
}

// Variant returns a variant that has figures; nil if there is none.
func (s *Summary) Variant(name string) *Variant {
	for i := range s.Variants {
		if s.Variants[i].Name == name && s.Variants[i].Metrics != nil {
			return &s.Variants[i]
		}
	}
	return nil
}

// Measured returns the variants that have figures.
func (s *Summary) Measured() []Variant {
	var have []Variant
	for _, v := range s.Variants {
		if v.Metrics != nil {
			have = append(have, v)
		}
	}
	return have
}

// summarySchema is the version of summary.json's layout.
const summarySchema = 1

// CountTrials counts the variant's trials for which a condition is true.
func (v *Variant) CountTrials(is func(*Metrics) bool) int {
	n := 0
	for _, m := range v.TrialMetrics {
		if is(m) {
			n++
		}
	}
	return n
}

// Typical returns the median of a figure over the variant's trials that have it. For a
// figure that combines two others, it does not follow from the medians of these.
func (v *Variant) Typical(value func(*Metrics) Number) Number {
	return Number(stats.Median(v.known(value)))
}

// known returns a figure of each of the variant's trials that have it.
func (v *Variant) known(value func(*Metrics) Number) (x []float64) {
	for _, m := range v.TrialMetrics {
		if n := value(m); !math.IsNaN(float64(n)) {
			x = append(x, float64(n))
		}
	}
	return x
}
