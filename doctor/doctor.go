// Package doctor reports what this machine can and cannot run, with a remedy for each
// problem. It checks the values that host reads from the kernel. The command line tries
// the rest (engines, namespaces, programs).
package doctor

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/equic-bench/equic-bench/host"
)

// Status is the result of a check.
type Status string

// The statuses.
const (
	OK      Status = "ok"
	Warning Status = "warning" // figures may suffer, or it could not be checked
	Missing Status = "missing" // the things in Means cannot run here
)

// Check is the result of one check.
type Check struct {
	Name   string `json:"name"`
	Status Status `json:"status"`
	Found  string `json:"found"`
	// Means is the consequence of a status other than OK, Remedy what to do.
	Means  string `json:"means,omitempty"`
	Remedy string `json:"remedy,omitempty"`
}

// Need is the requirements of a scenario.
type Need struct {
	ServerCPUs, ClientCPUs []int
	AutoCPUs               bool     // the run chooses these, or some of them
	MemoryBytes            int64    // of the server; zero is no limit
	XDP                    bool     // a variant attaches an eBPF program
	Places                 []string // where the variants drop packets
	IPv6                   bool     // nodes have IPv6 addresses
	Floods                 bool     // floods send whole frames, and are counted at the server
	Syscalls               bool     // the server's system calls are counted
	OpenFiles              int      // of one node
}

// receiveBuffer is the size that quic-go requests, in bytes.
const receiveBuffer = 7 << 20

// least is the first kernel that supports a place to drop packets, or floods:
// bpf_xdp_load_bytes came with 5.18, tcx, which also counts the frames of floods, with
// 6.6, and the functions of netfilter programs with 6.5. The counter of system calls
// works on older ones.
type least struct {
	what         string
	major, minor int
}

// floods names the only entry of leastKernels that is not a place.
const floods = "floods in network namespaces"

func leastKernels() []least {
	return []least{
		{"xdp", 5, 18}, {"generic", 5, 18}, {"socket", 5, 18}, {"netfilter", 6, 5}, {"tc", 6, 6}, {floods, 6, 6},
	}
}

// Machine checks the kernel and the hardware.
func Machine(h host.Host, need Need) []Check {
	m := machine{h}
	return []Check{
		m.kernel(need), m.btf(need.Syscalls), m.capabilities(), m.cpus(need), m.memory(need), m.swap(), m.governor(),
		m.throttling(), m.clock(), m.buffers(), m.ipv6(need), m.load(),
	}
}

type machine struct{ host.Host }

// kernel checks which places the kernel lacks, and whether it can count floods.
func (m machine) kernel(need Need) Check {
	release := m.Kernel()
	c := Check{Name: "kernel", Status: OK, Found: "Linux " + release}
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil {
		c.Status, c.Means = Warning, "its version cannot be read"
		return c
	}
	var lacks, places, means, remedies []string
	for _, l := range leastKernels() {
		if major > l.major || major == l.major && minor >= l.minor {
			continue
		}
		lacks = append(lacks, fmt.Sprintf("%s (Linux %d.%d)", l.what, l.major, l.minor))
		switch {
		case l.what == floods && need.Floods:
			means, remedies = []string{floods + " cannot run"}, []string{"leave floods out of the scenario"}
		case slices.Contains(need.Places, l.what):
			places = append(places, l.what)
		}
	}
	if len(lacks) > 0 {
		c.Found += ", too old for " + strings.Join(lacks, ", ")
	}
	if len(places) > 0 {
		means = append(means, "variants that drop packets at "+strings.Join(places, ", ")+" cannot run")
		remedies = append(remedies, "give --variants without them")
	}
	if len(means) > 0 {
		c.Status, c.Means = Missing, strings.Join(means, "; ")
		c.Remedy = "use a newer kernel, or " + strings.Join(remedies, " and ")
	}
	return c
}

func (m machine) btf(counted bool) Check {
	c := Check{Name: "BTF", Status: OK, Found: "/sys/kernel/btf/vmlinux"}
	if !m.BTF() {
		c.Status, c.Found = Warning, "no /sys/kernel/btf/vmlinux"
		c.Means = "system calls cannot be counted"
		c.Remedy = "use a kernel with CONFIG_DEBUG_INFO_BTF, as distributions have, or set trial.syscalls: false in the " +
			"scenario"
		if counted {
			c.Status = Missing
		}
	}
	return c
}

// wanted are the capabilities that a run without an engine needs, by number
// (capabilities(7)). An engine gives its nodes their own.
var wanted = []struct {
	bit  int
	name string
}{{12, "NET_ADMIN"}, {21, "SYS_ADMIN"}, {38, "PERFMON"}, {39, "BPF"}}

func (m machine) capabilities() Check {
	c := Check{Name: "capabilities", Status: OK, Found: "not reported"}
	missing, known := m.missingRights()
	if !known {
		return c
	}
	c.Found = "all that network namespaces need"
	if len(missing) > 0 {
		c.Status, c.Found = Warning, "without "+strings.Join(missing, ", ")
		c.Means = "--runtime netns does not run, and native XDP and the counter cannot be tried; an engine gives its " +
			"nodes what they need"
		c.Remedy = "run as root, or use an engine"
	}
	return c
}

// AllRights reports whether this process has every capability that a run without an
// engine needs. If the kernel still refuses something, it refuses it to every process.
func AllRights(h host.Host) bool {
	missing, known := machine{h}.missingRights()
	return known && len(missing) == 0
}

// missingRights returns the wanted capabilities that this process does not have.
func (m machine) missingRights() (missing []string, known bool) {
	has, known := m.Capabilities()
	for _, w := range wanted {
		if has&(1<<w.bit) == 0 {
			missing = append(missing, w.name)
		}
	}
	return missing, known
}

func (m machine) cpus(need Need) Check {
	online := m.OnlineCPUs()
	c := Check{Name: "CPUs", Status: OK, Found: strconv.Itoa(len(online))}
	asked := slices.Concat(need.ServerCPUs, need.ClientCPUs)
	if len(asked) == 0 {
		return c
	}
	away := slices.DeleteFunc(asked, func(cpu int) bool { return slices.Contains(online, cpu) })
	if len(online) == 0 || len(away) == 0 {
		c.Found += fmt.Sprintf("; server on %s, clients on %s", cpuText(need.ServerCPUs), cpuText(need.ClientCPUs))
		if need.AutoCPUs {
			c.Found += " (auto)"
		}
		return m.cores(c, need)
	}
	c.Status = Warning
	c.Found += "; the scenario asks for " + cpuText(away) + " as well, which is not online"
	c.Means = "nodes run on other CPUs than the scenario says: server and clients may disturb each other"
	c.Remedy = "change server.cpus and clients.cpus in the scenario"
	return c
}

// cores checks whether clients run on other threads of the server's cores.
func (m machine) cores(c Check, need Need) Check {
	siblings := host.Siblings(m.Cores(), need.ServerCPUs)
	shared := slices.DeleteFunc(siblings, func(cpu int) bool { return !slices.Contains(need.ClientCPUs, cpu) })
	if len(shared) > 0 {
		c.Status = Warning
		c.Found += "; " + cpuText(shared) + " on the server's core"
		c.Means = "the clients' work slows the server down: they use hardware threads of the same core"
		c.Remedy = "write cpus: auto in the scenario, or use a machine with more cores"
	}
	return c
}

// cpuText formats CPUs: "0 1", or "any" if the scenario names none.
func cpuText(set []int) string {
	if len(set) == 0 {
		return "any"
	}
	return strings.Trim(fmt.Sprint(set), "[]")
}

func (m machine) memory(need Need) Check {
	available := m.MemoryBytes("MemAvailable")
	c := Check{Name: "memory", Status: OK, Found: mebibytes(available) + " available"}
	if want := need.MemoryBytes + need.MemoryBytes/4; need.MemoryBytes > 0 && available < want {
		c.Status = Warning
		c.Means = fmt.Sprintf("the server may use %s, and the clients need some too: nodes may be killed",
			mebibytes(need.MemoryBytes))
		c.Remedy = "end other programs, or lower server.memory"
	}
	return c
}

func (m machine) swap() Check {
	total := m.MemoryBytes("SwapTotal")
	c := Check{Name: "swap", Status: OK, Found: "none"}
	if total > 0 {
		c.Status, c.Found = Warning, mebibytes(total)
		c.Means = "a node that is swapped makes its trial invalid"
		c.Remedy = "swapoff -a while you measure"
	}
	return c
}

func (m machine) governor() Check {
	governor := m.Governor()
	c := Check{Name: "frequency", Status: OK, Found: "governor " + governor}
	switch governor {
	case "performance":
	case "":
		c.Found = "not reported (a virtual machine, or a fixed frequency)"
	default:
		c.Status, c.Means = Warning, "the CPU's frequency follows the load: trials differ more"
		c.Remedy = "cpupower frequency-set -g performance"
	}
	return c
}

func (m machine) throttling() Check {
	c := Check{Name: "throttling", Status: OK, Found: "not reported"}
	times, known := m.Overheated()
	if !known {
		return c
	}
	c.Found = fmt.Sprintf("%d times since the start of the machine", times)
	if times > 0 {
		c.Status, c.Means = Warning, "the machine has been too hot: it may be so again while you measure"
		c.Remedy = "cool it, and look whether the count grows during a run"
	}
	return c
}

func (m machine) clock() Check {
	source := m.ClockSource()
	c := Check{Name: "clock", Status: OK, Found: source}
	switch source {
	case "tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter":
	case "":
		c.Found = "not reported"
	default:
		c.Status, c.Means = Warning, "reading this clock is a system call: it costs more, and is counted"
		c.Remedy = "boot with clocksource=tsc, if the CPU's TSC is stable"
	}
	return c
}

func (m machine) buffers() Check {
	n := m.RmemMaxBytes() // zero gives a warning
	c := Check{Name: "buffers", Status: OK, Found: fmt.Sprintf("net.core.rmem_max %d bytes", n)}
	if n < receiveBuffer {
		c.Status = Warning
		c.Means = "clients' receive buffers are smaller than quic-go asks for; the server's are raised by its capability"
		c.Remedy = fmt.Sprintf("sysctl -w net.core.rmem_max=%d", receiveBuffer)
	}
	return c
}

func (m machine) ipv6(need Need) Check {
	c := Check{Name: "IPv6", Status: OK, Found: "the kernel has it"}
	if !m.IPv6() {
		c.Found = "the kernel has none"
		c.Means, c.Remedy = "nodes have no IPv6 addresses", "boot without ipv6.disable=1, or write network.family: ipv4"
		if need.IPv6 {
			c.Status = Missing
		}
	}
	return c
}

func (m machine) load() Check {
	load, known := m.Load1()
	if !known {
		return Check{Name: "load", Status: OK, Found: "not reported"}
	}
	c := Check{Name: "load", Status: OK, Found: fmt.Sprintf("%.2f in the last minute", load)}
	if n := len(m.OnlineCPUs()); n > 0 && load >= float64(n)/2 {
		c.Status, c.Means = Warning, "something else is at work: its noise is in your figures"
		c.Remedy = "wait until it ends, or stop it"
	}
	return c
}

// OpenFiles checks the limit of open files that nodes inherit, unless an engine sets it
// for them.
func OpenFiles(limit uint64, need Need, engineSets bool) Check {
	c := Check{Name: "open files", Status: OK, Found: fmt.Sprintf("at most %d in each node", limit)}
	switch {
	case engineSets:
		c.Found = "as many as needed in each node: the engine sets the limit"
	case limit < uint64(need.OpenFiles):
		c.Status = Missing
		c.Found += fmt.Sprintf(", and a client of the scenario needs %d", need.OpenFiles)
		c.Means = "clients cannot open a socket for each request under way"
		c.Remedy = fmt.Sprintf("as root, run `ulimit -Hn %d` in that shell, or lower clients.parallel.max_in_flight",
			need.OpenFiles)
	}
	return c
}

func mebibytes(n int64) string { return fmt.Sprintf("%d MiB", n>>20) }
