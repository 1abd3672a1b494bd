package equic

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/internal/testkit/golden"
	"github.com/equic-bench/equic-bench/internal/testkit/netkit"
)

// newBPFFolder mounts a BPF file system for a test, and returns the path of a folder in it
// that does not exist yet.
func newBPFFolder(t *testing.T) string {
	t.Helper()
	testkit.NeedRoot(t)
	dir := t.TempDir()
	testkit.Must(t, unix.Mount("bpf", dir, "bpf", 0, ""))
	t.Cleanup(func() { testkit.Must(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	return filepath.Join(dir, "equic")
}

// attachedIn asks the kernel whether the server's interface has a program in a mode.
func attachedIn(t *testing.T, mode Mode) bool {
	t.Helper()
	if mode != TC {
		return attachedMode(t) == mode
	}
	q, err := link.QueryPrograms(link.QueryOptions{
		Target: netkit.Link(t, serverIface).Attrs().Index, Attach: ebpf.AttachTCXIngress,
	})
	testkit.Must(t, err)
	return len(q.Programs) > 0
}

// mustLeave ends a gateway that stays attached.
func mustLeave(t *testing.T, g *Gateway) {
	t.Helper()
	testkit.Must(t, g.Leave())
	if !attachedIn(t, g.options.Mode) {
		t.Fatalf("no program in mode %s after Leave", g.options.Mode)
	}
}

// dropped sends packets that open a connection until the program has counted one as over
// quota.
func (p pair) dropped(t *testing.T, g *Gateway) {
	t.Helper()
	send, before := p.Wire(t), packets(t, g, DropOverQuota)
	testkit.Await(t, "the client is dropped", func() bool {
		send(datagram(t, alice.String(), initial()))
		return packets(t, g, DropOverQuota) > before
	})
}

func TestASuccessorTakesEverythingOver(t *testing.T) {
	for _, mode := range []Mode{Native, TC, Generic} {
		t.Run(string(mode), func(t *testing.T) {
			p := newPair(t)
			o := Options{
				Interfaces: []string{serverIface}, Ports: onePort, Mode: mode, Pin: newBPFFolder(t), HoldDown: -1,
				Denied: prefixList("198.51.100.0/24"), DeniedFeed: prefixList("203.0.113.0/24", "198.51.100.0/24"),
			}
			first := mustAttach(t, o)
			for range 2 {
				testkit.Must(t, first.Inc(serverPort, alice))
			}
			testkit.Must(t, first.Inc(serverPort, bob))
			testkit.Must(t, first.SetQuota(serverPort, 2))
			testkit.Must(t, first.SetRate(serverPort, 1000, 500))
			testkit.Must(t, first.Denied().AddFor(netip.MustParsePrefix("192.0.2.99/32"), time.Hour))
			testkit.Must(t, first.Allowed().Add(netip.MustParsePrefix("::/0")))
			testkit.Must(t, first.Allowed().Remove(netip.MustParsePrefix("::/0")))
			p.dropped(t, first)
			counted := packets(t, first, DropOverQuota)
			mustLeave(t, first)
			if err := first.Inc(serverPort, alice); !errors.Is(err, ErrClosed) {
				t.Errorf("Inc after Leave: %v, want ErrClosed", err)
			}

			o.DeniedFeed = nil // that of the predecessor stays
			o.Inherit = time.Hour
			second := mustAttach(t, o)
			if got := packets(t, second, DropOverQuota); got < counted {
				t.Errorf("%d packets are counted, want the %d of before, and more", got, counted)
			}
			p.dropped(t, second) // before its owner claims it
			if got := second.Inherited(); got != 3 {
				t.Errorf("%d connections are inherited, want 3", got)
			}
			want := []Port{{Number: serverPort, Quota: 2, Policy: PolicyNew, InitialsPerSecond: 1000, Burst: 500}}
			if diff := cmp.Diff(want, second.Ports()); diff != "" {
				t.Errorf("limits (-want +got):\n%s", diff)
			}
			if got := second.Denied().Added(); len(got) != 2 || time.Until(got[0].Until) < 50*time.Minute || !got[1].Until.IsZero() {
				t.Errorf("denied %+v, want a ban that expires and one that does not", got)
			}
			if got := second.Denied().Prefixes(); len(got) != 3 || second.Denied().FeedSize() != 2 {
				t.Errorf("denied %v with a feed of %d", got, second.Denied().FeedSize())
			}
			if got := second.Allowed().Prefixes(); len(got) != 0 {
				t.Errorf("allowed %v", got)
			}
			for i, want := range []bool{true, true, false} {
				if got := second.Claim(serverPort, alice); got != want {
					t.Errorf("claim %d: %v, want %v", i, got, want)
				}
			}
			if admitted, err := second.TryInc(serverPort, alice); admitted || err != nil {
				t.Errorf("a third connection: %v, %v", admitted, err)
			}
			testkit.Must(t, second.Dec(serverPort, alice))
			if got := second.Count(serverPort, alice); got != 1 {
				t.Errorf("%d connections, want 1", got)
			}
			if err := second.Dec(serverPort, bob); err == nil {
				t.Error("what nobody claimed was released")
			}
			testkit.Must(t, second.Close())
			if _, err := os.Stat(o.Pin); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the folder after Close: %v", err)
			}
			if attachedIn(t, mode) {
				t.Error("it is attached after Close")
			}
		})
	}
}

func TestConnectionsThatNobodyClaimsEnd(t *testing.T) {
	newPair(t)
	o := Options{Interfaces: []string{serverIface}, Ports: onePort, Quota: 1, Pin: newBPFFolder(t)}
	first := mustAttach(t, o)
	testkit.Must(t, first.Inc(serverPort, alice))
	mustLeave(t, first)
	second := mustAttach(t, o) // they were its own
	if admitted, err := second.TryInc(serverPort, alice); !admitted || err != nil {
		t.Errorf("after a restart of the server: %v, %v", admitted, err)
	}
	mustLeave(t, second)
	o.Inherit = 10 * time.Millisecond
	third := mustAttach(t, o)
	testkit.Await(t, "the connection ends", func() bool {
		admitted, err := third.TryInc(serverPort, alice)
		testkit.Must(t, err)
		return admitted
	})
	if third.Claim(serverPort, alice) {
		t.Error("a connection was claimed after its end")
	}
}

func TestWhatIsLeftEndsWhenEachOwnerHasClaimed(t *testing.T) {
	newPair(t)
	o := Options{Interfaces: []string{serverIface}, Ports: onePort, Quota: 2, Pin: newBPFFolder(t), Inherit: time.Hour}
	first := mustAttach(t, o)
	for range 2 {
		testkit.Must(t, first.Inc(serverPort, alice)) // one of them ends unseen
	}
	testkit.Must(t, first.SetOwners(2))
	mustLeave(t, first)
	second := mustAttach(t, o)
	if !second.Claim(serverPort, alice) {
		t.Error("nothing to claim")
	}
	for i, want := range []bool{false, true} {
		second.Claimed()
		if got, err := second.TryInc(serverPort, alice); got != want || err != nil {
			t.Errorf("after %d of 2 owners: %v, %v; want %v", i+1, got, err, want)
		}
	}
	second.Claimed() // one more than there were
}

func TestLimitsOfOptionsThatHaveChangedWin(t *testing.T) {
	newPair(t)
	o := Options{Interfaces: []string{serverIface}, Ports: onePort, Quota: 7, Pin: newBPFFolder(t)}
	first := mustAttach(t, o)
	testkit.Must(t, first.SetQuota(serverPort, 9))
	testkit.Must(t, first.SetMonitor(true))
	mustLeave(t, first)
	second := mustAttach(t, o)
	if got := second.Quota(serverPort); got != 9 || !second.Monitor() {
		t.Errorf("quota %d, monitor mode %v, want 9 and true", got, second.Monitor())
	}
	mustLeave(t, second)
	o.Quota, o.Monitor = 8, true
	third := mustAttach(t, o)
	if got := third.Quota(serverPort); got != 8 || !third.Monitor() {
		t.Errorf("quota %d, monitor mode %v, want 8 and true", got, third.Monitor())
	}
	testkit.Must(t, third.SetQuota(serverPort, 20))
	testkit.Must(t, third.SetRate(serverPort, 3, 9))
	mustLeave(t, third)
	o.InitialsPerSecond = 4
	fourth := mustAttach(t, o)
	if got := fourth.Ports()[0]; got.Quota != 20 || got.InitialsPerSecond != 4 || got.Burst != 0 {
		t.Errorf("%+v, want the quota that was set, and the rate of the options", got)
	}
}

func TestAGatewayOfARenamedInterfaceIsTakenOver(t *testing.T) {
	const renamed = "renamed0"
	p := newPair(t)
	o := Options{Interfaces: []string{serverIface}, Ports: onePort, Quota: 1, Pin: newBPFFolder(t), Inherit: time.Hour}
	first := mustAttach(t, o)
	testkit.Must(t, first.Inc(serverPort, alice))
	mustLeave(t, first)
	iface := netkit.Link(t, serverIface)
	testkit.Must(t, netlink.LinkSetDown(iface))
	testkit.Must(t, netlink.LinkSetName(iface, renamed))
	testkit.Must(t, netlink.LinkSetUp(netkit.Link(t, renamed)))
	o.Interfaces = []string{renamed}
	second := mustAttach(t, o)
	send := p.WireBetween(t, clientIface, renamed)
	testkit.Await(t, "the client is dropped", func() bool {
		send(datagram(t, alice.String(), initial()))
		return packets(t, second, DropOverQuota) > 0
	})
	testkit.Must(t, second.Leave())
	testkit.Must(t, mustAttach(t, o).Leave()) // its file has the new name
	testkit.Must(t, Unpin(o.Pin))
	if xdp := netkit.Link(t, renamed).Attrs().Xdp; xdp != nil && xdp.Attached {
		t.Error("the program is still attached after Unpin")
	}
}

func TestAnotherKindOfGatewayIsNotTakenOver(t *testing.T) {
	newPair(t)
	good := Options{Interfaces: []string{serverIface}, Ports: onePort, Pin: newBPFFolder(t)}
	owner := mustAttach(t, good)
	_, err := Attach(good)
	if !errors.Is(err, ErrPinned) || !strings.Contains(err.Error(), "another process owns") {
		t.Errorf("while it is owned: %v", err)
	}
	if err := Unpin(good.Pin); !errors.Is(err, ErrPinned) {
		t.Errorf("Unpin while it is owned: %v", err)
	}
	mustLeave(t, owner)
	for want, change := range map[string]func(*Options){
		"its mode is native":            func(o *Options) { o.Mode = Generic },
		"its max clients is 65536":      func(o *Options) { o.MaxClients = 8 },
		"its max prefixes is 262144":    func(o *Options) { o.MaxPrefixes = 8 },
		"its IPv4 prefix is 32":         func(o *Options) { o.IPv4Prefix = 24 },
		"its IPv6 prefix is 64":         func(o *Options) { o.IPv6Prefix = 56 },
		"policies differ: 4433 (new)":   func(o *Options) { o.Ports = []Port{{Number: 443}} },
		"their policies differ: 4433":   func(o *Options) { o.Policy = PolicyClient },
		"is in no BPF file system":      func(o *Options) { o.Pin = filepath.Join(t.TempDir(), "equic") },
		"mode netfilter cannot be pinn": func(o *Options) { o.Mode = Netfilter },
	} {
		o := good
		change(&o)
		if _, err := Attach(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	o := good
	o.Mode = Auto
	mustLeave(t, mustAttach(t, o)) // in the mode that it has
	testkit.Must(t, Unpin(good.Pin))
	if got := attachedMode(t); got != "" {
		t.Errorf("the kernel says %q after Unpin", got)
	}
	if err := Unpin(good.Pin); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Unpin again: %v", err)
	}
}

func TestALivingOwnerGivesTheGatewayUp(t *testing.T) {
	newPair(t)
	o := Options{Interfaces: []string{serverIface}, Ports: onePort, Pin: newBPFFolder(t), Quota: 1, Inherit: time.Hour}
	first := mustAttach(t, o)
	testkit.Must(t, first.Inc(serverPort, alice))
	refused := errors.New("refused on purpose")
	o.TakeOver = func() error { return refused }
	if _, err := Attach(o); !errors.Is(err, refused) {
		t.Errorf("error %v", err)
	}
	if got := first.Count(serverPort, alice); got != 1 {
		t.Errorf("the first counts %d after that, want 1", got)
	}
	testkit.Must(t, first.SetQuota(serverPort, 3))
	o.TakeOver = func() error {
		testkit.Must(t, first.SetQuota(serverPort, 4)) // at the last moment
		return first.Leave()
	}
	second := mustAttach(t, o)
	if got := second.Quota(serverPort); got != 4 || !second.Claim(serverPort, alice) {
		t.Errorf("quota %d, want 4", got)
	}
	o.TakeOver = second.Close // it does not leave, but ends
	third := mustAttach(t, o)
	if third.Claim(serverPort, alice) || attachedMode(t) != Native {
		t.Errorf("the third is in mode %q", attachedMode(t))
	}
}

func TestInterfacesMayChangeWhenAGatewayIsTakenOver(t *testing.T) {
	const other, its = "equictest2.5", "equictest3" // a file of BPF may have no dot
	p := newPair(t)
	netkit.AddVeth(t, other, its, p.Client)
	o := Options{Interfaces: []string{serverIface}, Ports: onePort, Pin: newBPFFolder(t)}
	hasProgram := func(name string) bool {
		xdp := netkit.Link(t, name).Attrs().Xdp
		return xdp != nil && xdp.Attached
	}
	for _, step := range [][]string{{serverIface}, {serverIface, other}, {other}, {serverIface}} {
		o.Interfaces = step
		testkit.Must(t, mustAttach(t, o).Leave())
		for _, name := range []string{serverIface, other} {
			want := cmp.Equal(step, []string{name}) || len(step) == 2
			if got := hasProgram(name); got != want {
				t.Errorf("%v: the program is on %s: %v", step, name, got)
			}
		}
	}
	// It is created again while no process is there.
	testkit.Must(t, netlink.LinkDel(netkit.Link(t, serverIface)))
	p.recreate(t)
	g := mustAttach(t, o)
	if !hasProgram(serverIface) || !g.Attachments()[0].Attached {
		t.Errorf("attachments %+v", g.Attachments())
	}
	// And while one is.
	testkit.Must(t, netlink.LinkDel(netkit.Link(t, serverIface)))
	p.recreate(t)
	testkit.Await(t, "the program is there again", func() bool { return hasProgram(serverIface) })
	testkit.Must(t, g.Leave())
	if !hasProgram(serverIface) {
		t.Error("the new link was not pinned")
	}
	testkit.Must(t, Unpin(o.Pin))
	if hasProgram(serverIface) {
		t.Error("the new link is not in the folder")
	}
}

// A beginning that was killed leaves maps and links, but no state.
func TestHalfAGatewayIsReplaced(t *testing.T) {
	newPair(t)
	o := Options{Interfaces: []string{serverIface}, Ports: onePort, Pin: newBPFFolder(t), MaxClients: 8}
	mustLeave(t, mustAttach(t, o))
	testkit.Must(t, os.Remove(filepath.Join(o.Pin, stateFile)))
	o.MaxClients = 16
	g := mustAttach(t, o)
	testkit.Must(t, g.Inc(serverPort, alice))
}

func TestQuotasEndWithoutAnOwner(t *testing.T) {
	p := newProgram(t, Options{Ports: onePort, Quota: 1})
	p.put(t, serverPort, alice.String(), 1)
	for _, test := range []struct {
		outlives bool
		until    uint64
		want     string
	}{{false, 0, DropOverQuota}, {true, 1, PassUnowned}, {true, 1 << 62, DropOverQuota}} {
		o := p.options
		if test.outlives {
			o.Pin = "somewhere"
		}
		l, err := load(o, nil)
		testkit.Must(t, err)
		g := &Gateway{options: o, objs: l.objs}
		testkit.Must(t, g.takeUp(l, false))
		t.Cleanup(func() {
			g.freeze()
			testkit.Must(t, l.close())
		})
		q := &program{g}
		q.put(t, serverPort, alice.String(), 1)
		testkit.Must(t, l.objs.OwnedUntilNs.Set(test.until))
		q.run(t, datagram(t, alice.String(), initial()))
		if got := packets(t, g, test.want); got != 1 {
			t.Errorf("%+v: %d packets", test, got)
		}
	}
}

// The maps are what a gateway of another version finds. If this test fails, and a program of
// the version before could not use the maps, increase layout; then run it with -update.
func TestTheLayoutHasItsVersion(t *testing.T) {
	spec, err := loadGateway()
	testkit.Must(t, err)
	var b strings.Builder
	fmt.Fprintf(&b, "layout %d\n", layout)
	for _, name := range slices.Sorted(maps.Keys((&gatewayMaps{}).mapsToPin())) {
		m := spec.Maps[name]
		fmt.Fprintf(&b, "\n%s: %s, flags %d\n", name, m.Type, m.Flags)
		for _, typ := range []btf.Type{m.Key, m.Value} {
			text, err := new(btf.GoFormatter).TypeDeclaration("t", btf.UnderlyingType(typ))
			testkit.Must(t, err)
			fmt.Fprintln(&b, text)
		}
	}
	fmt.Fprintf(&b, "\nreasons: %s\n", strings.Join(Reasons(), " "))
	golden.Check(t, "layout.golden", []byte(b.String()))
}

// A gateway that was down for long has counts of long ago.
func TestCountsOfLongAgoAreNotInherited(t *testing.T) {
	newPair(t)
	o := Options{Interfaces: []string{serverIface}, Ports: onePort, Quota: 1, Pin: newBPFFolder(t), Inherit: time.Hour}
	first := mustAttach(t, o)
	testkit.Must(t, first.Inc(serverPort, alice))
	mustLeave(t, first)
	p, err := openPin(o.Pin)
	testkit.Must(t, err)
	testkit.Must(t, p.read())
	testkit.Must(t, p.state.Put(uint32(stateOwned), make([]byte, stateBytes))) // since the start of the machine
	testkit.Must(t, p.close())
	second := mustAttach(t, o)
	if admitted, err := second.TryInc(serverPort, alice); !admitted || err != nil {
		t.Errorf("%v, %v; want the client admitted", admitted, err)
	}
}

func TestATakeOverThatFailsLeavesTheProgram(t *testing.T) {
	p := newPair(t)
	const other = "equictest2"
	netkit.AddVeth(t, other, "equictest3", p.Client)
	o := Options{Interfaces: []string{serverIface}, Ports: onePort, Pin: newBPFFolder(t), DeniedFeed: prefixList("192.0.2.0/24", "198.51.100.0/24")}
	o.MaxPrefixes = 3
	first := mustAttach(t, o)
	left := false
	o.TakeOver = func() error {
		left = true
		return first.Leave()
	}
	for want, change := range map[string]func(*Options){
		"no such interface": func(o *Options) { o.Interfaces = []string{serverIface, "nope0"} },
		"would have 4":      func(o *Options) { o.DeniedFeed = prefixList("203.0.113.0/24", "203.0.112.0/24") },
	} {
		bad := o
		change(&bad)
		if _, err := Attach(bad); err == nil || !strings.Contains(err.Error(), want) || left {
			t.Errorf("%s: %v; the first has left: %v", want, err, left)
		}
	}
	// Another program takes the second interface, which shows only when ours is attached.
	empty, err := emptyProgram(Native)
	testkit.Must(t, err)
	defer empty.Close()
	testkit.Must(t, netlink.LinkSetXdpFd(netkit.Link(t, other), empty.FD()))
	o.Interfaces = []string{serverIface, other}
	if _, err := Attach(o); err == nil || !isTaken(err) || !left {
		t.Errorf("error %v; the first has left: %v", err, left)
	}
	if attachedMode(t) != Native {
		t.Error("the first interface is not protected any more")
	}
	o.Interfaces = []string{serverIface}
	testkit.Must(t, mustAttach(t, o).Close())
}

// As many clients, and as long a list, as a busy server has.
func TestASuccessorTakesManyClientsAndALongListOver(t *testing.T) {
	testkit.Slow(t, "300,000 clients")
	const clients, prefixes = 300_000, 100_000
	p := newPair(t)
	client := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{20, byte(i >> 16), byte(i >> 8), byte(i)}) }
	o := Options{
		Interfaces: []string{serverIface}, Ports: onePort, Pin: newBPFFolder(t), HoldDown: -1, Quota: 2,
		MaxClients: 2 * clients, // so that all find a slot
	}
	for i := range prefixes {
		o.DeniedFeed = append(o.DeniedFeed, netip.PrefixFrom(netip.AddrFrom4([4]byte{100, byte(i >> 16), byte(i >> 8), byte(i)}), 32))
	}
	first := mustAttach(t, o)
	for i := range clients - 1 {
		testkit.Must(t, first.Inc(serverPort, client(i)))
	}
	testkit.Must(t, first.Inc(serverPort, alice))
	testkit.Must(t, first.Inc(serverPort, alice))
	mustLeave(t, first)

	o.DeniedFeed, o.Inherit = nil, time.Hour
	second := mustAttach(t, o)
	if got := second.Inherited(); got != clients+1 {
		t.Errorf("%d connections are inherited, want %d", got, clients+1)
	}
	if got := second.Denied().FeedSize(); got != prefixes {
		t.Errorf("a feed of %d prefixes, want %d", got, prefixes)
	}
	p.dropped(t, second) // alice is at her quota
	for i := range clients - 1 {
		if !second.Claim(serverPort, client(i)) {
			t.Fatalf("the connection of %v cannot be claimed", client(i))
		}
	}
}

func TestAFolderThatOthersMayChangeIsRefused(t *testing.T) {
	newPair(t)
	dir := newBPFFolder(t)
	testkit.Must(t, os.Mkdir(dir, 0o700))
	o := Options{Interfaces: []string{serverIface}, Ports: onePort, Pin: dir}
	for name, change := range map[string]func() error{
		"another user's": func() error { return os.Chown(dir, 65534, 65534) },
		"everybody's":    func() error { return errors.Join(os.Chown(dir, 0, 0), os.Chmod(dir, 0o777)) },
	} {
		testkit.Must(t, os.Chmod(dir, 0o700))
		testkit.Must(t, change())
		if g, err := Attach(o); err == nil || !strings.Contains(err.Error(), "others may change it") {
			t.Errorf("%s: %v, error %v", name, g, err)
		}
	}
	testkit.Must(t, errors.Join(os.Chown(dir, 0, 0), os.Chmod(dir, 0o700)))
	g, err := Attach(o)
	testkit.Must(t, err)
	testkit.Must(t, g.Close())
}
