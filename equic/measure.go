//go:build linux && !mips && !mips64 && !ppc64 && !s390x

package equic

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// A burst is short, so that an interrupt spoils few of them and the median
// passes them over; one long run would average everything in. The kernel takes
// about 20 ms to prepare each (it patches its XDP dispatcher), which is not in
// the time that it reports.
const (
	bursts       = 15 // odd, so that the median is one of them
	runsPerBurst = 1000

	xdpDrop = 1 // enum xdp_action
)

// MeasureDrop times the program on a packet of a client over its quota, by
// the kernel's test run (BPF_PROG_TEST_RUN), in short bursts that alternate
// with an empty program, on one CPU. It takes about a second, and slows the
// machine's packets in that time: call it after the load.
//
// It runs a copy of the program with the same settings and maps of its own:
// neither the counts nor Stats of the gateway change. The copy knows one
// client and its caches are warm, so this is a lower bound. The kernel
// reports whole nanoseconds.
func (g *Gateway) MeasureDrop(ctx context.Context) (DropCost, error) {
	type result struct {
		cost DropCost
		err  error
	}
	done := make(chan result)
	go func() {
		// Not unlocked: the thread, pinned to a CPU, ends with the goroutine.
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
	o.Events = nil
	l, err := load(o)
	if err != nil {
		return DropCost{}, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	empty, err := emptyProgram()
	if err != nil {
		return DropCost{}, err
	}
	defer func() { err = errors.Join(err, empty.Close()) }()

	client := netip.MustParseAddr("192.0.2.1") // RFC 5737: for documentation
	port := o.Ports[0]
	application := o.applications()[0]
	application.Quota = 1
	if err := errors.Join(
		l.objs.Applications.Put(uint32(1), application),
		l.table(o).inc(port.Number, client),
	); err != nil {
		return DropCost{}, err
	}
	if err := pinThread(); err != nil {
		return DropCost{}, err
	}
	return compareBursts(ctx, l.objs.Equic, empty, initialPacket(client, port.Number))
}

// compareBursts runs both programs in turn. The first pair warms the caches
// and is not counted.
func compareBursts(ctx context.Context, drop, empty *ebpf.Program, packet []byte) (DropCost, error) {
	var dropNS, emptyNS []float64
	for i := range bursts + 1 {
		if err := ctx.Err(); err != nil {
			return DropCost{}, err
		}
		d, err := burst(drop, packet)
		if err != nil {
			return DropCost{}, err
		}
		e, err := burst(empty, packet)
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

// burst is the mean time of one run, in nanoseconds, of a program that must
// drop the packet.
func burst(prog *ebpf.Program, packet []byte) (float64, error) {
	verdict, mean, err := prog.Benchmark(packet, runsPerBurst, nil)
	if err != nil {
		return 0, err
	}
	if verdict != xdpDrop {
		return 0, fmt.Errorf("%s returned %d, not XDP_DROP", prog, verdict)
	}
	return float64(mean.Nanoseconds()), nil
}

// emptyProgram drops every packet without looking at it.
func emptyProgram() (*ebpf.Program, error) {
	return ebpf.NewProgram(&ebpf.ProgramSpec{
		Name:         "empty",
		Type:         ebpf.XDP,
		License:      "Dual MIT/GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, xdpDrop), asm.Return()},
	})
}

// pinThread keeps the calling thread on the first CPU that it may use.
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

// initialPacket is an Ethernet frame with IPv4 without options, UDP, and the
// start of a QUIC version 1 Initial, padded as a client must: it is dropped
// under either policy.
func initialPacket(source netip.Addr, port uint16) []byte {
	const ethernet, ipv4, udp, payload = 14, 20, 8, 1200
	p := make([]byte, ethernet+ipv4+udp+payload)
	binary.BigEndian.PutUint16(p[12:], unix.ETH_P_IP)
	ip := p[ethernet:]
	ip[0] = 4<<4 | ipv4/4
	binary.BigEndian.PutUint16(ip[2:], ipv4+udp+payload)
	ip[8] = 64 // hops
	ip[9] = unix.IPPROTO_UDP
	copy(ip[12:16], source.AsSlice())
	binary.BigEndian.PutUint16(ip[ipv4+2:], port)
	binary.BigEndian.PutUint16(ip[ipv4+4:], udp+payload)
	copy(ip[ipv4+udp:], []byte{0xc0, 0, 0, 0, 1, 8}) // RFC 9000, 17.2.2: a connection ID of 8 bytes
	return p
}

// median of an odd number of values; it sorts them.
func median(sample []float64) float64 {
	slices.Sort(sample)
	return sample[len(sample)/2]
}
