package measure

import (
	"os"
	"testing"
	"time"

	"github.com/equic-bench/equic-bench/host"
	"github.com/equic-bench/equic-bench/record"
)

const (
	statusText = "Name:\tserver\nState:\tS (sleeping)\nVmHWM:\t   30720 kB\nVmRSS:\t   20480 kB\nVmSwap:\t       4 " +
		"kB\nThreads:\t7\n"
	statText = "cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 1 2 3 400 5 6 7 8 9 10\ncpu1 10 20 30 400 50 60 70 80 90 100\nintr 12 0\n"
	snmpText = "Ip: Forwarding\nIp: 1\nUdp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors\nUdp: 39 1 2 40 " +
		"3\nUdpLite: InDatagrams\nUdpLite: 9\n"
	snmp6Text = "Ip6InReceives                   \t9\nUdp6InDatagrams                 \t7\nUdp6NoPorts " +
		"\t5\nUdp6InErrors \t2\nUdp6OutDatagrams \t8\nUdp6RcvbufErrors \t3\nUdpLite6InDatagrams \t1\n"
)

func TestParseStatus(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       memory
		ok         bool
	}{
		{"a running process has memory", statusText, memory{30 << 20, 4 << 10}, true},
		{"a zombie has none", "Name:\tserver\nState:\tZ (zombie)\n", memory{}, false},
		{"a field cut short is no field", "\nVmHWM: 1 kB\nVmSwap:", memory{}, false},
		{"a value out of range is no value", "\nVmSwap: 0 kB\nVmHWM: 99999999999999999999 kB\n", memory{}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, ok := parseStatus([]byte(test.text))
			if ok != test.ok || ok && got != test.want {
				t.Errorf("got %+v, %v", got, ok)
			}
		})
	}
}

func TestParseStatm(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       int64
		ok         bool
	}{
		{"the resident set is the second of its numbers", "4096 512 300 10 0 700 0\n", 512, true},
		{"a zombie has none", "0 0 0 0 0 0 0\n", 0, false},
		{"a line cut short is no line", "4096", 0, false},
		{"a value out of range is no value", "4096 99999999999999999999 0 0 0 0 0\n", 0, false},
		{"more pages than any machine has are none", "4096 9000000000000000000 0 0 0 0 0\n", 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, ok := parseStatm([]byte(test.text))
			if ok != test.ok || ok && got != test.want {
				t.Errorf("got %d, %v", got, ok)
			}
		})
	}
}

func TestParseStat(t *testing.T) {
	for _, test := range []struct {
		name, text string
		cpus       []int
		want       cpuTimes
		ok         bool
	}{
		{"busy excludes idle, iowait, softirq and steal", statText, []int{0}, cpuTimes{120e6, 70e6, 80e6}, true},
		{"the times of several CPUs are summed", statText, []int{0, 1}, cpuTimes{1320e6, 770e6, 880e6}, true},
		{"no CPUs have no time", statText, nil, cpuTimes{}, true},
		{"a CPU that is not there is an error", statText, []int{0, 2}, cpuTimes{}, false},
		{"a line cut short is an error", "cpu0 1 2 3", []int{0}, cpuTimes{}, false},
		{"a word for a number is an error", "cpu0 1 2 x 4 5 6 7 8\n", []int{0}, cpuTimes{}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := parseStat([]byte(test.text), test.cpus)
			if (err == nil) != test.ok || got != test.want {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func TestParseSNMP(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       udpCounters
		ok         bool
	}{
		{"counters are found by name", snmpText, udpCounters{39, 2, 3, 40}, true},
		{"without UDP it is an error", "Ip: Forwarding\nIp: 1\n", udpCounters{}, false},
		{"names without values are an error", "Udp: InDatagrams InErrors OutDatagrams RcvbufErrors\nUdp: 1 2\n", udpCounters{}, false},
		{"a counter that is missing is an error", "Udp: InDatagrams InErrors RcvbufErrors\nUdp: 1 2 3\n", udpCounters{}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := parseSNMP([]byte(test.text))
			if (err == nil) != test.ok || test.ok && got != test.want {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func TestCountersOfIPv6AreAdded(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       udpCounters
		ok         bool
	}{
		{"found by name", snmp6Text, udpCounters{46, 4, 6, 48}, true},
		{"one is missing", "Udp6InDatagrams 1\nUdp6InErrors 1\n", udpCounters{}, false},
		{"one is no number", "Udp6InDatagrams x\n", udpCounters{}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := udpCounters{39, 2, 3, 40}
			err := got.addSNMP6([]byte(test.text))
			if (err == nil) != test.ok || test.ok && got != test.want {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func TestNextTickIsTheNextMultipleAlsoBeforeTheEpoch(t *testing.T) {
	for _, test := range []struct{ now, want int64 }{
		{0, 100}, {1, 100}, {99, 100}, {100, 200}, {-1, 0}, {-100, 0}, {-101, -100}, {-250, -200},
	} {
		if got := nextTick(test.now, 100); got != test.want {
			t.Errorf("after %d: got %d, want %d", test.now, got, test.want)
		}
	}
}

func TestReadingASampleAllocatesNothing(t *testing.T) {
	cpus, err := host.Affinity()
	if err != nil {
		t.Fatal(err)
	}
	var calls *counter
	if os.Geteuid() == 0 {
		if calls, err = attachCounter(); err != nil {
			t.Fatal(err)
		}
		defer calls.Close()
	}
	s, err := newSampler(os.Getpid(), Options{Interval: time.Second, Clock: record.ClockAt(time.Now()), CPUs: cpus}, calls)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	allocations := testing.AllocsPerRun(10, func() {
		if err := s.take(true); err != nil {
			t.Fatal(err)
		}
	})
	if allocations != 0 {
		t.Errorf("%v allocations for a sample", allocations)
	}
}

func FuzzParsers(f *testing.F) {
	for _, text := range []string{statusText, statText, snmpText, snmp6Text} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if m, ok := parseStatus(text); ok && (m.peakBytes < 0 || m.swapBytes < 0) {
			t.Errorf("negative memory: %+v", m)
		}
		if pages, ok := parseStatm(text); ok && (pages <= 0 || pages*(64<<10) < 0) {
			t.Errorf("%d pages", pages)
		}
		if sum, err := parseStat(text, []int{0, 1}); err != nil && sum != (cpuTimes{}) {
			t.Errorf("%+v beside the error %v", sum, err)
		}
		if u, err := parseSNMP(text); err == nil && u == (udpCounters{}) && len(text) < len("Udp: ")*2 {
			t.Errorf("counters out of %q", text)
		}
		if u := (udpCounters{}); u.addSNMP6(text) == nil && len(text) < 3*len("Udp6InErrors 0") {
			t.Errorf("counters of IPv6 out of %q", text)
		}
	})
}

func TestWhatIsReadSeldomIsReadOnceASecondAndAtTheEnd(t *testing.T) {
	s, err := newSampler(os.Getpid(), Options{Clock: record.ClockAt(time.Now()), Interval: 100 * time.Millisecond}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	read := s.seldom
	if err := s.take(false); err != nil {
		t.Fatal(err)
	}
	if s.seldom != read || s.samples[0].UDPInDatagrams != read.udp.inDatagrams {
		t.Errorf("read again: %+v, then %+v", read, s.seldom)
	}
	for ago, due := range map[time.Duration]bool{0: false, 900 * time.Millisecond: false, time.Second: true} {
		if s.seldom.atNS = s.clock.Now() - int64(ago); s.seldomIsDue() != due {
			t.Errorf("%s after it was read: due %v", ago, !due)
		}
	}
	if err := s.take(true); err != nil {
		t.Fatal(err)
	}
	if s.seldom.atNS != s.samples[1].AtNS {
		t.Errorf("read %d ns after the epoch, by a sample of %d", s.seldom.atNS, s.samples[1].AtNS)
	}
}

func TestParseDev(t *testing.T) {
	const head = "Inter-|   Receive                                                |  Transmit\n" +
		" face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier " +
		"compressed\n"
	const lo = "    lo: 5 1 0 0 0 0 0 0 5 1 0 0 0 0 0 0\n"
	for _, test := range []struct {
		name, text string
		want       traffic
		ok         bool
	}{
		{"the loopback is left out", head + lo + "  eth0: 1000 2 0 0 0 0 0 0 3000 4 0 0 0 0 0 0\n", traffic{1000, 3000}, true},
		{"interfaces are added", head + "a: 1 0 0 0 0 0 0 0 2 0 0 0 0 0 0 0\nb:3 0 0 0 0 0 0 0 4 0 0 0 0 0 0 0\n", traffic{4, 6}, true},
		{"none have no traffic", head + lo, traffic{}, true},
		{"a line cut short is an error", head + "  eth0: 1000 2\n", traffic{}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := parseDev([]byte(test.text))
			if (err == nil) != test.ok || test.ok && got != test.want {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}
