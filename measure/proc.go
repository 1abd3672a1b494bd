package measure

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
)

// tickNS is one tick of /proc/stat: USER_HZ is 100 on every Linux.
const tickNS = 10_000_000

// parseStatm parses the resident set of a process, in pages, from /proc/<pid>/statm. ok
// is false for a process that has ended, which has no memory.
func parseStatm(text []byte) (pages int64, ok bool) {
	_, rest := nextWord(text)
	word, _ := nextWord(rest)
	n, ok := number(word)
	return int64(n), ok && n > 0 && n <= math.MaxInt64>>16
}

// memory is the memory of a process, from /proc/<pid>/status.
type memory struct {
	peakBytes, swapBytes int64
}

// parseStatus parses the memory of a process. ok is false for a process that has ended,
// which has no memory.
func parseStatus(text []byte) (m memory, ok bool) {
	peak, ok1 := kilobytes(text, "\nVmHWM:")
	swap, ok2 := kilobytes(text, "\nVmSwap:")
	return memory{peakBytes: peak, swapBytes: swap}, ok1 && ok2
}

// kilobytes returns the value of a field in kB, in bytes.
func kilobytes(text []byte, name string) (int64, bool) {
	i := bytes.Index(text, []byte(name))
	if i < 0 {
		return 0, false
	}
	word, _ := nextWord(text[i+len(name):])
	n, ok := number(word)
	if !ok || n > math.MaxInt64>>10 {
		return 0, false
	}
	return int64(n) << 10, true
}

// cpuTimes are sums over CPUs, since boot.
type cpuTimes struct {
	busyNS, softIRQNS, stealNS int64
}

// The columns of a CPU's line in /proc/stat (proc(5)).
const (
	statUser = iota
	statNice
	statSystem
	statIdle
	statIOWait
	statIRQ
	statSoftIRQ
	statSteal
	statColumns
)

// parseStat sums the times of some CPUs from /proc/stat. Busy is user, nice, system and
// hard interrupts. It is an error if one of the CPUs is missing.
func parseStat(text []byte, cpus []int) (cpuTimes, error) {
	var sum cpuTimes
	found := 0
	for line := range bytes.Lines(text) {
		cpu, rest, ok := cpuLine(line)
		if !ok || !slices.Contains(cpus, cpu) {
			continue
		}
		var t [statColumns]int64
		for i := range t {
			var word []byte
			word, rest = nextWord(rest)
			n, ok := number(word)
			if !ok || n > math.MaxInt64/tickNS {
				return cpuTimes{}, fmt.Errorf("/proc/stat: CPU %d: column %d is %q", cpu, i+1, word)
			}
			t[i] = int64(n) * tickNS
		}
		sum.busyNS += t[statUser] + t[statNice] + t[statSystem] + t[statIRQ]
		sum.softIRQNS += t[statSoftIRQ]
		sum.stealNS += t[statSteal]
		found++
	}
	if found != len(cpus) {
		return cpuTimes{}, fmt.Errorf("/proc/stat has %d of the CPUs %v", found, cpus)
	}
	return sum, nil
}

// cpuLine splits "cpu1 2 3 ..." into 1 and "2 3 ...".
func cpuLine(line []byte) (cpu int, rest []byte, ok bool) {
	name, rest := nextWord(line)
	digits, ok := bytes.CutPrefix(name, []byte("cpu"))
	if !ok {
		return 0, nil, false
	}
	n, ok := number(digits)
	return int(n), rest, ok && n < 1<<20
}

// udpCounters are the counters of a network namespace, since it was made.
type udpCounters struct {
	inDatagrams, inErrors, rcvbufErrors, outDatagrams uint64
}

// parseSNMP parses the UDP counters of /proc/net/snmp: a line of names, then a line of
// values.
func parseSNMP(text []byte) (udpCounters, error) {
	var u udpCounters
	prefix := []byte("Udp: ")
	var names []byte
	for line := range bytes.Lines(text) {
		rest, ok := bytes.CutPrefix(line, prefix)
		if !ok {
			continue
		}
		if names == nil {
			names = rest
			continue
		}
		return u, u.assign(names, rest)
	}
	return u, errors.New("/proc/net/snmp has no UDP counters")
}

func (u *udpCounters) assign(names, values []byte) error {
	found := 0
	for {
		var name, value []byte
		name, names = nextWord(names)
		value, values = nextWord(values)
		if len(name) == 0 {
			break
		}
		field := u.field(name)
		if field == nil {
			continue
		}
		n, ok := number(value)
		if !ok {
			return fmt.Errorf("/proc/net/snmp: UDP counter %s is %q", name, value)
		}
		*field = n
		found++
	}
	if found != 4 {
		return fmt.Errorf("/proc/net/snmp: %d of 4 UDP counters", found)
	}
	return nil
}

func (u *udpCounters) field(name []byte) *uint64 {
	switch string(name) {
	case "InDatagrams":
		return &u.inDatagrams
	case "InErrors":
		return &u.inErrors
	case "RcvbufErrors":
		return &u.rcvbufErrors
	case "OutDatagrams":
		return &u.outDatagrams
	}
	return nil
}

// addSNMP6 adds the UDP counters of /proc/net/snmp6, which has one on each line. An IPv6
// socket counts there what it receives by IPv6.
func (u *udpCounters) addSNMP6(text []byte) error {
	found := 0
	for line := range bytes.Lines(text) {
		name, rest := nextWord(line)
		name, ok := bytes.CutPrefix(name, udp6Prefix)
		if !ok {
			continue
		}
		field := u.field(name)
		if field == nil {
			continue
		}
		value, _ := nextWord(rest)
		n, ok := number(value)
		if !ok {
			return fmt.Errorf("/proc/net/snmp6: UDP counter %s is %q", name, value)
		}
		*field += n
		found++
	}
	if found != 4 {
		return fmt.Errorf("/proc/net/snmp6: %d of 4 UDP counters", found)
	}
	return nil
}

var udp6Prefix = []byte("Udp6")

// traffic is the bytes that the interfaces of a network namespace have received and
// sent, without the loopback.
type traffic struct{ received, sent uint64 }

// parseDev parses /proc/net/dev. It has one line per interface: its name, a colon,
// eight numbers about received packets and eight about sent packets.
func parseDev(text []byte) (all traffic, err error) {
	for line := range bytes.Lines(text) {
		name, rest, ok := bytes.Cut(line, []byte{':'})
		if name, _ = nextWord(name); !ok || string(name) == "lo" {
			continue
		}
		var columns [16]uint64
		for i := range columns {
			var word []byte
			word, rest = nextWord(rest)
			if columns[i], ok = number(word); !ok {
				return all, fmt.Errorf("/proc/net/dev: %s: column %d is %q", name, i+1, word)
			}
		}
		all.received += columns[0]
		all.sent += columns[8]
	}
	return all, nil
}

// nextWord splits off the first word of a text, at spaces, tabs and line ends.
func nextWord(text []byte) (word, rest []byte) {
	start := 0
	for start < len(text) && isSpace(text[start]) {
		start++
	}
	end := start
	for end < len(text) && !isSpace(text[end]) {
		end++
	}
	return text[start:end], text[end:]
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' }

// number parses decimal digits. It allocates nothing.
func number(word []byte) (uint64, bool) {
	var n uint64
	for _, c := range word {
		if c < '0' || c > '9' || n > (math.MaxUint64-9)/10 {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return n, len(word) > 0
}
