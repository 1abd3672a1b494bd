package equic

import (
	"errors"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestOptionsThatCannotWorkSaySo(t *testing.T) {
	good := Options{Interface: "lo", Port: serverPort}
	tests := []struct {
		name   string
		change func(*Options)
		want   string
	}{
		{"no interface", func(o *Options) { o.Interface = "" }, "no interface given"},
		{"an interface that is not there", func(o *Options) { o.Interface = "nope0" }, `no such interface among ["lo"`},
		{"no port", func(o *Options) { o.Port = 0 }, "port is 0"},
		{"a negative quota", func(o *Options) { o.Quota = -1 }, "quota is -1"},
		{"a quota that does not fit the kernel's count", func(o *Options) { o.Quota = 1 << 32 }, "quota is 4294967296"},
		{"an unknown mode", func(o *Options) { o.Mode = "offload" }, `mode is "offload"`},
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
	got, err := Options{Interface: "eth0", Port: 443}.complete()
	must(t, err)
	want := Options{Interface: "eth0", Port: 443, Quota: 5, Mode: "native", MaxClients: 65536}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestAttachRunsInTheModeAskedFor(t *testing.T) {
	for _, test := range []struct{ ask, want Mode }{
		{"", Native}, {Native, Native}, {Generic, Generic}, {Auto, Native},
	} {
		t.Run("asked for "+string(test.ask), func(t *testing.T) {
			newPair(t)
			g := mustAttach(t, Options{Interface: serverIface, Port: serverPort, Mode: test.ask})
			if got := g.Mode(); got != test.want {
				t.Errorf("the gateway says %s, want %s", got, test.want)
			}
			if got := attachedMode(t); got != test.want {
				t.Errorf("the kernel says %q, want %s", got, test.want)
			}
			must(t, g.Close())
			must(t, g.Close()) // again: only the first acts
			if got := attachedMode(t); got != "" {
				t.Errorf("still attached in mode %s after Close", got)
			}
		})
	}
}

func TestAutoFallsBackToGenericWhereTheDriverHasNoNative(t *testing.T) {
	newPair(t)
	must(t, netlink.LinkSetUp(linkByName(t, "lo")))
	_, err := Attach(Options{Interface: "lo", Port: serverPort})
	wantError(t, err, unix.EOPNOTSUPP, "use mode generic")
	g := mustAttach(t, Options{Interface: "lo", Port: serverPort, Mode: Auto})
	if got := g.Mode(); got != Generic {
		t.Errorf("mode %s, want %s", got, Generic)
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
			first := mustAttach(t, Options{Interface: serverIface, Port: serverPort, Mode: test.first})
			_, err := Attach(Options{Interface: serverIface, Port: serverPort, Mode: test.second})
			wantError(t, err, test.want, "another XDP program is attached already")
			if got := attachedMode(t); got != first.Mode() {
				t.Errorf("the first program is in mode %q now, want %s", got, first.Mode())
			}
		})
	}
}

func TestAnMTUTooLargeForNativeSaysWhatToDo(t *testing.T) {
	p := newPair(t)
	p.setMTU(t, 9000)
	_, err := Attach(Options{Interface: serverIface, Port: serverPort})
	wantError(t, err, unix.ERANGE, "the MTU is too large for native XDP")
	if got := attachedMode(t); got != "" {
		t.Errorf("attached in mode %s after an error", got)
	}
	g := mustAttach(t, Options{Interface: serverIface, Port: serverPort, Mode: Auto})
	if got := g.Mode(); got != Generic {
		t.Errorf("mode %s, want %s", got, Generic)
	}
}

func TestModeOfAProgramThatIsNotAttachedIsAnError(t *testing.T) {
	newPair(t)
	prog, err := emptyProgram()
	must(t, err)
	defer prog.Close()
	if mode, err := modeInForce(prog, linkByName(t, serverIface).Attrs().Index); err == nil {
		t.Errorf("mode %s, want an error", mode)
	}
	if mode, err := modeInForce(prog, 1<<20); err == nil {
		t.Errorf("mode %s on no interface, want an error", mode)
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
	must(t, err)
	if got, want := len(Reasons()), int(spec.Maps[gatewayMapPackets].MaxEntries); got != want {
		t.Errorf("%d names for %d reasons", got, want)
	}
}

func TestMapsKeepTheirTypesSoThatADumpIsReadable(t *testing.T) {
	spec, err := loadGateway()
	must(t, err)
	for name, m := range spec.Maps {
		if m.Type != ebpf.Array && (m.Key == nil || m.Value == nil) {
			t.Errorf("map %s has no BTF", name)
		}
	}
}

func TestMeasuringNeedsAProgramThatDrops(t *testing.T) {
	needRoot(t)
	pass, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type:         ebpf.XDP,
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, xdpPass), asm.Return()},
	})
	must(t, err)
	defer pass.Close()
	if _, err := burst(pass, udpPacket(alice, serverPort)); err == nil {
		t.Error("want an error")
	}
}

func wantError(t *testing.T, err, kind error, text string) {
	t.Helper()
	if !errors.Is(err, kind) || !strings.Contains(err.Error(), text) {
		t.Fatalf("error %v, want one of %q that says %q", err, kind, text)
	}
}
