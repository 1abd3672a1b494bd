package equic

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// modeInForce asks the kernel in which mode it runs a program on an
// interface. A BPF link's own information holds no mode, so this reads the
// interface's description (rtnetlink, IFLA_XDP).
func modeInForce(prog *ebpf.Program, index int) (Mode, error) {
	info, err := prog.Info()
	if err != nil {
		return "", err
	}
	id, ok := info.ID()
	if !ok {
		return "", errors.New("the kernel gives programs no id")
	}
	xdp, err := xdpAttribute(index)
	if err != nil {
		return "", err
	}
	return modeOf(xdp, uint32(id))
}

// modeOf finds a program's id in the content of an IFLA_XDP attribute, which
// names the program of each mode.
func modeOf(xdp []byte, id uint32) (Mode, error) {
	ids, err := nestedUint32s(xdp)
	if err != nil {
		return "", err
	}
	switch id {
	case ids[unix.IFLA_XDP_DRV_PROG_ID]:
		return Native, nil
	case ids[unix.IFLA_XDP_SKB_PROG_ID]:
		return Generic, nil
	}
	return "", fmt.Errorf("program %d is attached neither in native nor in generic mode", id)
}

// xdpAttribute is the content of an interface's IFLA_XDP attribute.
func xdpAttribute(index int) ([]byte, error) {
	dump, err := syscall.NetlinkRIB(unix.RTM_GETLINK, unix.AF_UNSPEC)
	if err != nil {
		return nil, os.NewSyscallError("netlink RTM_GETLINK", err)
	}
	messages, err := syscall.ParseNetlinkMessage(dump)
	if err != nil {
		return nil, os.NewSyscallError("parse netlink messages", err)
	}
	for _, m := range messages {
		// struct ifinfomsg: the index is at offset 4.
		if m.Header.Type != unix.RTM_NEWLINK || len(m.Data) < unix.SizeofIfInfomsg ||
			int32(binary.NativeEndian.Uint32(m.Data[4:])) != int32(index) {
			continue
		}
		attributes, err := syscall.ParseNetlinkRouteAttr(&m)
		if err != nil {
			return nil, os.NewSyscallError("parse netlink attributes", err)
		}
		for _, a := range attributes {
			if a.Attr.Type&^unix.NLA_F_NESTED == unix.IFLA_XDP {
				return a.Value, nil
			}
		}
	}
	return nil, fmt.Errorf("interface %d is gone, or the kernel does not describe its XDP", index)
}

// nestedUint32s reads the 32-bit values of nested netlink attributes, by
// type. Values of other sizes are skipped; a length that does not fit is an
// error.
func nestedUint32s(b []byte) (map[uint16]uint32, error) {
	values := make(map[uint16]uint32)
	for len(b) >= unix.SizeofNlAttr {
		size, kind := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])
		if size < unix.SizeofNlAttr || size > len(b) {
			return nil, fmt.Errorf("netlink attribute %d has length %d of %d", kind, size, len(b))
		}
		if size == unix.SizeofNlAttr+4 {
			values[kind] = binary.NativeEndian.Uint32(b[unix.SizeofNlAttr:])
		}
		aligned := (size + unix.NLA_ALIGNTO - 1) &^ (unix.NLA_ALIGNTO - 1)
		b = b[min(aligned, len(b)):]
	}
	return values, nil
}
