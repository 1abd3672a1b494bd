package equic

import (
	"errors"
	"net/netip"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/internal/testkit/netkit"
)

func TestOptionsThatCannotWorkSaySo(t *testing.T) {
	good := Options{Interfaces: []string{"lo"}, Ports: onePort}
	tests := []struct {
		name   string
		change func(*Options)
		want   string
	}{
		{"no interface", func(o *Options) { o.Interfaces = nil }, "no interface given"},
		{"an interface that is not there", func(o *Options) { o.Interfaces = []string{"nope0"} }, `no such interface among ["lo"`},
		{"no sockets", func(o *Options) { o.Mode = Socket }, "no sockets given"},
		{"no port", func(o *Options) { o.Ports = nil }, "no ports given"},
		{"port zero", func(o *Options) { o.Ports = []Port{{}} }, "port is 0"},
		{"a port twice", func(o *Options) { o.Ports = []Port{{Number: 443}, {Number: 443}} }, "port 443 is given twice"},
		{"too many ports", func(o *Options) { o.Ports = make([]Port, MaxPorts+1) }, "64 ports given: give 63 at most"},
		{"a port's negative quota", func(o *Options) { o.Ports = []Port{{Number: 443, Quota: -1}} }, "port 443: quota is -1"},
		{
			"a port's unknown policy", func(o *Options) { o.Ports = []Port{{Number: 443, Policy: "old"}} },
			`port 443: policy is "old"`,
		},
		{"an unknown policy", func(o *Options) { o.Policy = "old" }, `policy is "old"`},
		{"a rate that is too high", func(o *Options) { o.InitialsPerSecond = 1e9 }, "initials per second is 1e+09"},
		{"a negative burst", func(o *Options) { o.InitialsPerSecond, o.Burst = 1, -1 }, "burst is -1"},
		{
			"a burst of 31 years", func(o *Options) { o.InitialsPerSecond, o.Burst = minRate, maxBurst },
			"burst is 1000000: at 0.001 initials per second it would take more than 168h0m0s",
		},
		{"an IPv4 prefix of 33 bits", func(o *Options) { o.IPv4Prefix = 33 }, "IPv4 prefix is 33"},
		{"an IPv6 prefix of 129 bits", func(o *Options) { o.IPv6Prefix = 129 }, "IPv6 prefix is 129"},
		{"a prefix that is not one", func(o *Options) { o.Denied = make([]netip.Prefix, 1) }, "not valid"},
		{"a negative rate of events", func(o *Options) { o.EventsPerSecond = -1 }, "events per second is -1"},
		{"a negative quota", func(o *Options) { o.Quota = -1 }, "quota is -1"},
		{"a quota that does not fit the kernel's count", func(o *Options) { o.Quota = 1 << 32 }, "quota is 4294967296"},
		{"an unknown mode", func(o *Options) { o.Mode = "offload" }, `mode is "offload"`},
		{"more clients than there may be", func(o *Options) { o.MaxClients = MostClients + 1 }, "max clients is 16777217"},
		{"a negative limit", func(o *Options) { o.HalfOpen.Total = -1 }, "half-open limits are -1 in total"},
		{"a negative number of clients", func(o *Options) { o.MaxClients = -1 }, "max clients is -1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := good
			test.change(&o)
			g, err := Attach(o)
			if err == nil {
				t.Fatal(errors.Join(errors.New("attached"), g.Close()))
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %q does not say %q", err, test.want)
			}
		})
	}
}

func TestZeroOptionsAreTheDefaults(t *testing.T) {
	got, err := Options{
		Interfaces: []string{"eth0"},
		Ports:      []Port{{Number: 443}, {Number: 8443, Quota: 9, Policy: "client"}},
	}.complete()
	testkit.Must(t, err)
	want := Options{
		Interfaces: []string{"eth0"},
		Ports:      []Port{{Number: 443, Quota: 5, Policy: "new"}, {Number: 8443, Quota: 9, Policy: "client"}},
		Quota:      5, Policy: "new", Mode: "native", MaxClients: 65536, IPv4Prefix: 32, IPv6Prefix: 64, EventsPerSecond: 1000,
		MaxPrefixes: 1 << 18, HoldDown: time.Second,
		HalfOpen: HalfOpenLimits{Total: 24 * max(2, runtime.GOMAXPROCS(0)), PerClient: 24},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}
}

func TestAttachRunsInTheModeAskedFor(t *testing.T) {
	for _, test := range []struct{ ask, want Mode }{
		{"", Native}, {Native, Native}, {Generic, Generic}, {Auto, Native},
	} {
		t.Run("asked for "+string(test.ask), func(t *testing.T) {
			newPair(t)
			g := mustAttach(t, Options{Interfaces: []string{serverIface}, Ports: onePort, Mode: test.ask})
			if got := g.Mode(); got != test.want {
				t.Errorf("the gateway says %s, want %s", got, test.want)
			}
			if got := attachedMode(t); got != test.want {
				t.Errorf("the kernel says %q, want %s", got, test.want)
			}
			testkit.Must(t, g.Close())
			testkit.Must(t, g.Close()) // a second call does nothing
			if got := attachedMode(t); got != "" {
				t.Errorf("still attached in mode %s after Close", got)
			}
		})
	}
}

func TestAutoFallsBackToTCWhereTheDriverHasNoNative(t *testing.T) {
	newPair(t)
	testkit.Must(t, netlink.LinkSetUp(netkit.Link(t, "lo")))
	_, err := Attach(Options{Interfaces: []string{"lo"}, Ports: onePort})
	wantError(t, err, unix.EOPNOTSUPP, "use mode tc or generic")
	g := mustAttach(t, Options{Interfaces: []string{"lo"}, Ports: onePort, Mode: Auto})
	if got := g.Mode(); got != TC {
		t.Errorf("mode %s, want %s", got, TC)
	}
}

func TestAnInterfaceThatHasAProgramIsRefused(t *testing.T) {
	for _, test := range []struct {
		name          string
		first, second Mode
		want          error
	}{
		{"in the same mode", Native, Native, unix.EBUSY},
		{"in the same mode, generic", Generic, Generic, unix.EBUSY},
		{"in another mode", Native, Generic, unix.EEXIST},
		{"in any mode", Generic, Auto, unix.EEXIST},
	} {
		t.Run(test.name, func(t *testing.T) {
			newPair(t)
			first := mustAttach(t, Options{Interfaces: []string{serverIface}, Ports: onePort, Mode: test.first})
			_, err := Attach(Options{Interfaces: []string{serverIface}, Ports: onePort, Mode: test.second})
			wantError(t, err, test.want, "another program is attached already")
			if got := attachedMode(t); got != first.Mode() {
				t.Errorf("the first program is in mode %q now, want %s", got, first.Mode())
			}
		})
	}
}

// Programs of xdp-loader and other tools run under a dispatcher, if the kernel lets libxdp use
// one, or else alone.
func TestTheProgramOfAnotherToolIsNamedAndTCWorksBesideIt(t *testing.T) {
	testkit.NeedTool(t, "xdp-filter")
	p := newPair(t)
	f := p.newFlow(t, serverAddress, serverPort)
	// An empty BPF file system of its own. It ends with the test's thread, as the namespaces.
	testkit.Must(t, unix.Unshare(unix.CLONE_NEWNS))
	testkit.Must(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	testkit.Must(t, unix.Mount("bpf", "/sys/fs/bpf", "bpf", 0, ""))
	filter := func(args ...string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), "xdp-filter", args...).CombinedOutput(); err != nil {
			testkit.Lack(t, "xdp-filter does not run on this kernel: "+err.Error()+"\n"+string(out))
		}
	}
	filter("load", serverIface, "--policy", "allow")
	_, err := Attach(Options{Interfaces: []string{serverIface}, Ports: onePort})
	wantError(t, err, unix.EBUSY, "use mode tc, which works beside it")
	if text := err.Error(); !strings.Contains(text, "the dispatcher of libxdp") && !strings.Contains(text, `"xdpfilt_alw_all"`) {
		t.Errorf("the program is not named: %v", err)
	}
	g := mustAttach(t, Options{Interfaces: []string{serverIface}, Ports: onePort, Mode: TC, Quota: 1, HoldDown: -1})
	f.arrives(t, initial())
	testkit.Must(t, g.Inc(serverPort, addressOf(f)))
	f.stalls(t, g, initial(), DropOverQuota)
	testkit.Must(t, g.Dec(serverPort, addressOf(f)))
	filter("ip", "--mode", "src", clientAddress) // now the other program drops
	f.send(t, initial())
	before := packets(t, g, PassUnknownClient)
	f.send(t, initial())
	if got := packets(t, g, PassUnknownClient); got != before {
		t.Errorf("%d packets came past the other program", got-before)
	}
}

// A packet of several buffers is judged in the driver: veth has at most 3.5 KB in one.
func TestJumboFramesAreJudgedInTheDriver(t *testing.T) {
	p := newPair(t)
	p.setMTU(t, 9000)
	g := mustAttach(t, Options{Interfaces: []string{serverIface}, Ports: onePort, Quota: 1, HoldDown: -1})
	if got := g.Mode(); got != Native || attachedMode(t) != Native {
		t.Errorf("mode %s, and the kernel says %s", got, attachedMode(t))
	}
	f := p.newFlow(t, serverAddress, serverPort)
	jumbo := append(initial(), make([]byte, 8000-len(initial()))...)
	f.arrives(t, jumbo)
	testkit.Must(t, g.Inc(serverPort, addressOf(f)))
	f.stalls(t, g, jumbo, DropOverQuota)
}

// A packet in a tunnel is inside another packet, and the program only judges the outer
// one.
func TestATunnelBesideTheInterfaceIsRefused(t *testing.T) {
	newPair(t)
	tunnel := &netlink.Vxlan{LinkAttrs: netlink.LinkAttrs{Name: "tunnel0"}, VxlanId: 1, Port: 4789}
	err := netlink.LinkAdd(tunnel)
	if errors.Is(err, unix.EOPNOTSUPP) {
		t.Skip("the kernel has no VXLAN")
	}
	testkit.Must(t, err)
	o := Options{Interfaces: []string{serverIface}, Ports: onePort}
	g, err := Attach(o)
	testkit.Must(t, err) // attaching works as long as the tunnel is down
	testkit.Must(t, g.Close())
	testkit.Must(t, netlink.LinkSetUp(tunnel))
	if g, err := Attach(o); err == nil || !strings.Contains(err.Error(), "tunnel0 (vxlan)") {
		t.Errorf("error %v, %v; want one that names the tunnel", err, g)
	}
	both := Options{Interfaces: []string{serverIface, "tunnel0"}, Ports: onePort, Mode: TC}
	g, err = Attach(both)
	testkit.Must(t, err) // the tunnel is protected itself
	testkit.Must(t, g.Close())
	o.AllowTunnels = true
	mustAttach(t, o)
}

func TestATunnelOverAnotherInterfaceIsRefused(t *testing.T) {
	p := newPair(t)
	netkit.AddVeth(t, "other0", "other1", p.Client)
	tunnel := &netlink.Vxlan{
		LinkAttrs: netlink.LinkAttrs{Name: "tunnel0"}, VxlanId: 1, Port: 4789,
		VtepDevIndex: netkit.Link(t, "other0").Attrs().Index,
	}
	err := netlink.LinkAdd(tunnel)
	if errors.Is(err, unix.EOPNOTSUPP) {
		t.Skip("the kernel has no VXLAN")
	}
	testkit.Must(t, err)
	testkit.Must(t, netlink.LinkSetUp(tunnel))
	if g, err := Attach(Options{Interfaces: []string{serverIface}, Ports: onePort}); err == nil ||
		!strings.Contains(err.Error(), "tunnel0 (vxlan)") {
		t.Errorf("error %v, %v; want one that names the tunnel", err, g)
	}
}

func TestAnInterfaceWithoutEthernetIsRefused(t *testing.T) {
	newPair(t)
	tun := &netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: "tun0"}, Mode: netlink.TUNTAP_MODE_TUN}
	if err := netlink.LinkAdd(tun); err != nil {
		t.Skipf("the kernel has no tun devices: %v", err)
	}
	testkit.Must(t, netlink.LinkSetUp(netkit.Link(t, "tun0")))
	for _, mode := range []Mode{Native, Generic, TC} {
		_, err := Attach(Options{Interfaces: []string{"tun0"}, Ports: onePort, Mode: mode})
		if err == nil || !strings.Contains(err.Error(), "no Ethernet header") {
			t.Errorf("mode %s: error %v", mode, err)
		}
	}
	g := mustAttach(t, Options{Interfaces: []string{"tun0"}, Ports: onePort, Mode: Auto})
	if got := g.Mode(); got != Netfilter {
		t.Errorf("mode %s, want %s", got, Netfilter)
	}
}

func TestObjectNamesNoPathOfTheMachineThatBuiltIt(t *testing.T) {
	for text := range strings.FieldsFuncSeq(string(_GatewayBytes), func(r rune) bool { return r == 0 }) {
		if strings.HasPrefix(text, "/") && strings.Count(text, "/") > 1 {
			t.Errorf("the object holds the path %q", text)
		}
	}
}

func TestReasonsOfTheProgramAreAsManyAsTheNames(t *testing.T) {
	spec, err := loadGateway()
	testkit.Must(t, err)
	if got, want := len(Reasons()), int(spec.Maps[gatewayMapPackets].MaxEntries)/maxApplications/2; got != want {
		t.Errorf("%d names for %d reasons", got, want)
	}
}

func TestMapsKeepTheirTypesSoThatADumpIsReadable(t *testing.T) {
	spec, err := loadGateway()
	testkit.Must(t, err)
	for name, m := range spec.Maps {
		if m.Type != ebpf.Array && m.Type != ebpf.RingBuf && (m.Key == nil || m.Value == nil) {
			t.Errorf("map %s has no BTF", name)
		}
	}
}

// The kernel refuses a program of which it has to verify more than a million instructions.
// Other kernels verify other numbers, so half of that is left to them.
func TestNoProgramIsNearTheVerifiersLimit(t *testing.T) {
	testkit.NeedRoot(t)
	const limit = 1_000_000 / 2 // BPF_COMPLEXITY_LIMIT_INSNS
	t.Cleanup(func() { readInParts = false })
	o, err := Options{
		Interfaces: []string{"lo"}, Ports: onePort, Networks: NetworkLimits{Quota: 9},
		Quotas: []PrefixQuota{{netip.MustParsePrefix("192.0.2.0/24"), 9}},
		Events: make(chan Event, 1), SamplesPerSecond: 1, Pin: "/sys/fs/bpf/equic",
	}.complete()
	testkit.Must(t, err)
	for _, privileges := range []string{"all", "all but CAP_PERFMON"} {
		t.Run(privileges, func(t *testing.T) {
			if privileges != "all" {
				dropCapabilities(t, unix.CAP_PERFMON, unix.CAP_SYS_ADMIN) // which includes it
			}
			for i, mode := range []Mode{Native, Native, TC, Netfilter, Socket} {
				o.Mode, readInParts = mode, i == 0 // the verifier skips what is not in use
				l, err := load(o, nil)
				testkit.Must(t, err)
				info, err := l.objs.Program.Info()
				var outlined uint8
				testkit.Must(t, errors.Join(err, l.objs.Outlined.Get(&outlined), l.close()))
				if (outlined == 0) != (privileges == "all") {
					t.Errorf("mode %s: outlined is %d", mode, outlined)
				}
				n, known := info.VerifiedInstructions()
				if !known || n == 0 || n > limit {
					t.Errorf("mode %s: %d instructions (known: %t), want at most %d", mode, n, known, limit)
				}
				t.Logf("mode %s: %d instructions", mode, n)
			}
		})
	}
}

// dropCapabilities takes capabilities from the test's thread, which ends with the test.
func dropCapabilities(t *testing.T, capabilities ...int) {
	t.Helper()
	runtime.LockOSThread()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	testkit.Must(t, unix.Capget(&header, &sets[0]))
	for _, c := range capabilities {
		sets[c/32].Effective &^= 1 << (c % 32)
	}
	testkit.Must(t, unix.Capset(&header, &sets[0]))
}

func TestMeasuringNeedsAProgramThatDrops(t *testing.T) {
	testkit.NeedRoot(t)
	pass, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type:         ebpf.XDP,
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, xdpPass), asm.Return()},
	})
	testkit.Must(t, err)
	defer pass.Close()
	if _, err := hookOf(Native).burst(pass, initialPacket(alice, serverPort)); err == nil {
		t.Error("want an error")
	}
}

func wantError(t *testing.T, err, kind error, text string) {
	t.Helper()
	if !errors.Is(err, kind) || !strings.Contains(err.Error(), text) {
		t.Fatalf("error %v, want one of %q that says %q", err, kind, text)
	}
}
