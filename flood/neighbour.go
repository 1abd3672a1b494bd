package flood

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// resolveLimit limits the wait for the server's hardware address.
const resolveLimit = 3 * time.Second

// hardwareAddress sends an empty datagram, so that the kernel resolves the server's
// hardware address, and returns the address. No QUIC server answers an empty datagram.
func hardwareAddress(ctx context.Context, o *Options, link *net.Interface) (net.HardwareAddr, error) {
	conn, err := net.DialUDP(o.network(), nil, net.UDPAddrFromAddrPort(o.Server))
	if err != nil {
		return nil, fmt.Errorf("find a way to the server: %w", err)
	}
	defer conn.Close()
	if _, err := conn.Write(nil); err != nil {
		return nil, fmt.Errorf("ask for the server's hardware address: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, resolveLimit)
	defer cancel()
	find := neighbour4
	if o.Server.Addr().Is6() {
		find = neighbour6
	}
	for {
		found, err := find(o.Server.Addr(), link)
		if found != nil || err != nil {
			return found, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%s is not a neighbour on %s: %w", o.Server.Addr(), o.Interface, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// neighbour4 returns the hardware address of a neighbour from the kernel's table of IPv4,
// or nil.
func neighbour4(address netip.Addr, link *net.Interface) (_ net.HardwareAddr, err error) {
	table, err := os.Open("/proc/thread-self/net/arp") // of this thread's network namespace
	if err != nil {
		return nil, fmt.Errorf("read the neighbours: %w", err)
	}
	defer func() { err = errors.Join(err, table.Close()) }()
	for lines := bufio.NewScanner(table); lines.Scan(); {
		// IP address, HW type, flags, HW address, mask, device
		f := strings.Fields(lines.Text())
		if len(f) == 6 && f[0] == address.String() && f[5] == link.Name && f[2] != "0x0" {
			return net.ParseMAC(f[3])
		}
	}
	return nil, nil
}

// neighbour6 does the same for IPv6, whose table has no file.
func neighbour6(address netip.Addr, link *net.Interface) (net.HardwareAddr, error) {
	table, err := syscall.NetlinkRIB(unix.RTM_GETNEIGH, unix.AF_INET6)
	if err != nil {
		return nil, fmt.Errorf("read the neighbours: %w", err)
	}
	messages, err := syscall.ParseNetlinkMessage(table)
	if err != nil {
		return nil, fmt.Errorf("read the neighbours: %w", err)
	}
	for _, m := range messages {
		if m.Header.Type != unix.RTM_NEWNEIGH || len(m.Data) < unix.SizeofNdMsg {
			continue
		}
		index, state := binary.NativeEndian.Uint32(m.Data[4:]), binary.NativeEndian.Uint16(m.Data[8:])
		found, hardware := neighbourAttributes(m.Data[unix.SizeofNdMsg:])
		if int(index) == link.Index && state&resolved != 0 && found == address {
			return hardware, nil
		}
	}
	return nil, nil
}

// resolved are the states of a neighbour whose hardware address is known.
const resolved = unix.NUD_REACHABLE | unix.NUD_STALE | unix.NUD_DELAY | unix.NUD_PROBE | unix.NUD_PERMANENT

// neighbourAttributes returns the address and the hardware address of an entry of the
// neighbour table (rtnetlink(7)). What is missing is zero.
func neighbourAttributes(b []byte) (address netip.Addr, hardware net.HardwareAddr) {
	for len(b) >= unix.SizeofRtAttr {
		length, kind := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])
		if length < unix.SizeofRtAttr || length > len(b) {
			return address, hardware
		}
		value := b[unix.SizeofRtAttr:length]
		switch kind {
		case unix.NDA_DST:
			address, _ = netip.AddrFromSlice(value)
		case unix.NDA_LLADDR:
			hardware = value
		}
		b = b[min(len(b), (length+3)&^3):]
	}
	return address, hardware
}
