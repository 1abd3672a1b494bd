//go:build linux && !mips && !mips64 && !ppc64 && !s390x

package equic

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"runtime"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// MeasureDrop measures how long the program takes for a packet of a client over its
// quota. It uses the kernel's test run (BPF_PROG_TEST_RUN), in short bursts that
// alternate with an empty program, on one CPU. It takes about a second, and slows down
// the machine's packets during that time: call it after the load.
//
// It runs a copy of the program with the same settings but its own maps, so neither the
// counts nor Stats of the gateway change. The copy has one client and warm caches, so
// this is a lower bound. The kernel reports whole nanoseconds.
func (g *Gateway) MeasureDrop(ctx context.Context) (DropCost, error) {
	type result struct {
		cost DropCost
		err  error
	}
	done := make(chan result)
	go func() {
		// Not unlocked: the thread is pinned to a CPU, so it must end with the
		// goroutine.
		runtime.LockOSThread()
		cost, err := measureDrop(ctx, g.options)
		done <- result{cost, err}
	}()
	r := <-done
	if r.err != nil {
		return DropCost{}, fmt.Errorf("measure the cost of a drop: %w", r.err)
	}
	return r.cost, nil
}

func measureDrop(ctx context.Context, o Options) (_ DropCost, err error) {
	o.MaxClients = 1
	o.Pin = ""
	o.Events = nil // and load does not turn on monitor mode
	l, err := load(o, nil)
	if err != nil {
		return DropCost{}, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	empty, err := emptyProgram(o.Mode)
	if err != nil {
		return DropCost{}, err
	}
	defer func() { err = errors.Join(err, empty.Close()) }()

	port := o.Ports[0]
	client, packet := droppedPacket(o.Mode, port.Number)
	application := o.applications()[0]
	application.Quota = 1
	if err := errors.Join(
		l.objs.Applications.Put(uint32(1), application),
		l.tables(o).inc(port.Number, client),
	); err != nil {
		return DropCost{}, err
	}
	if err := pinThread(); err != nil {
		return DropCost{}, err
	}
	return compareBursts(ctx, hookOf(o.Mode), l.objs.Program, empty, packet)
}

// compareBursts runs both programs in turn. The first pair warms up the caches and is
// not counted.
func compareBursts(ctx context.Context, h hook, drop, empty *ebpf.Program, packet []byte) (DropCost, error) {
	var dropNS, emptyNS []float64
	for i := range bursts + 1 {
		if err := ctx.Err(); err != nil {
			return DropCost{}, err
		}
		d, err := h.burst(drop, packet)
		if err != nil {
			return DropCost{}, err
		}
		e, err := h.burst(empty, packet)
		if err != nil {
			return DropCost{}, err
		}
		if i > 0 {
			dropNS, emptyNS = append(dropNS, d), append(emptyNS, e)
		}
	}
	base := median(emptyNS)
	return DropCost{DropNS: median(dropNS) - base, EmptyNS: base}, nil
}

// burst returns the mean time of one run, in nanoseconds, of a program that must drop
// the packet.
func (h hook) burst(prog *ebpf.Program, packet []byte) (float64, error) {
	verdict, mean, err := prog.Benchmark(packet, runsPerBurst, nil)
	if err != nil {
		return 0, err
	}
	if verdict != h.drop {
		return 0, fmt.Errorf("%s returned %d, which is no drop (%d)", prog, verdict, h.drop)
	}
	return float64(mean.Nanoseconds()), nil
}

// emptyProgram returns a program for a mode that drops every packet without reading it.
func emptyProgram(m Mode) (*ebpf.Program, error) {
	spec, err := loadGateway()
	if err != nil {
		return nil, err
	}
	h := hookOf(m)
	return ebpf.NewProgram(&ebpf.ProgramSpec{
		Name:         "empty",
		Type:         spec.Programs[h.name].Type,
		AttachType:   spec.Programs[h.name].AttachType,
		License:      "Dual MIT/GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, int32(h.drop)), asm.Return()},
	})
}

// pinThread pins the calling thread to the first CPU that it may use.
func pinThread() error {
	var allowed, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return fmt.Errorf("read CPU affinity: %w", err)
	}
	first := 0
	for !allowed.IsSet(first) { // the kernel never returns an empty set
		first++
	}
	one.Set(first)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return fmt.Errorf("set CPU affinity: %w", err)
	}
	return nil
}

// droppedPacket returns a packet for a mode's program, with openingDatagram, and its
// client.
func droppedPacket(m Mode, port uint16) (netip.Addr, []byte) {
	client := netip.MustParseAddr("192.0.2.1") // RFC 5737: for documentation
	switch m {
	case Netfilter: // its packets start at the IP header
		return client, initialPacket(client, port)[14:]
	case Native, Generic, TC:
		return client, initialPacket(client, port)
	}
	// In a test run, a socket's program gets a packet that starts at the IP header, but
	// it looks for a UDP header there. So this packet is both at once: the client's
	// address overlaps the end of the version of a long header and the length of the
	// ID.
	const ethernet, udp = 14, 8
	d := openingDatagram()
	p := append(make([]byte, ethernet+udp), d...)
	binary.BigEndian.PutUint16(p[12:], unix.ETH_P_IP)
	binary.BigEndian.PutUint16(p[ethernet+2:], port)
	binary.BigEndian.PutUint16(p[ethernet+4:], udp+uint16(len(d)))
	return netip.AddrFrom4([4]byte(p[ethernet+12:])), p
}

// initialPacket returns an Ethernet frame with IPv4 (no options), UDP and
// openingDatagram.
func initialPacket(source netip.Addr, port uint16) []byte {
	const ethernet, ipv4, udp = 14, 20, 8
	d := openingDatagram()
	size := uint16(len(d))
	p := append(make([]byte, ethernet+ipv4+udp), d...)
	binary.BigEndian.PutUint16(p[12:], unix.ETH_P_IP)
	ip := p[ethernet:]
	ip[0] = 4<<4 | ipv4/4
	binary.BigEndian.PutUint16(ip[2:], ipv4+udp+size)
	ip[8] = 64 // hops
	ip[9] = unix.IPPROTO_UDP
	copy(ip[12:16], source.AsSlice())
	binary.BigEndian.PutUint16(ip[ipv4+2:], port)
	binary.BigEndian.PutUint16(ip[ipv4+4:], udp+size)
	return p
}
