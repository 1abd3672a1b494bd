package netns

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// On veth, the sender's CPU receives a packet, up to the socket's queue or to the program that
// drops it. The clients would pay for the work of the server's kernel, and the server for the cost
// of its answers to the clients. So each node's interface receives in a kernel thread of its own,
// on the node's CPUs, in every variant (threaded NAPI). veth supports this only with GRO on, and
// only for packets from a sender with TSO off.

// sendToThread makes the bridge's port to a node hand its packets to the node's
// receiving threads.
func sendToThread(bridge netns.NsHandle, port string) error {
	return runInNamespace(bridge, func() error { return setOffload(port, segmentOffload, 0) })
}

// receiveApart makes the interface of a node receive in threads on CPUs (none: any),
// and returns their numbers.
func receiveApart(ns netns.NsHandle, cpus []int) (threads []int, err error) {
	err = runInNamespace(ns, func() (err error) {
		threads, err = makeReceivers(cpus)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("receive packets in a thread: %w", err)
	}
	return threads, nil
}

// makeReceivers acts on the calling thread's network namespace, and gives the thread a
// mount namespace of its own.
func makeReceivers(cpus []int) ([]int, error) {
	if err := setOffload(nodeInterface, receiveOffload, 1); err != nil {
		return nil, err
	}
	before, err := receivers()
	if err != nil {
		return nil, err
	}
	if err := mountSysfs(); err != nil {
		return nil, err
	}
	file := filepath.Join("/sys/class/net", nodeInterface, "threaded")
	if err := os.WriteFile(file, []byte("1"), 0); err != nil {
		return nil, err
	}
	after, err := receivers()
	if err != nil {
		return nil, err
	}
	threads := slices.DeleteFunc(after, func(pid int) bool { return slices.Contains(before, pid) })
	if len(threads) == 0 {
		return nil, errors.New("the kernel's threads cannot be seen")
	}
	for _, pid := range threads {
		if err := bindThread(pid, cpus); err != nil {
			return nil, err
		}
	}
	return threads, nil
}

// The offloads that are switched, by their numbers in linux/ethtool.h.
const (
	receiveOffload = 0x2c // ETHTOOL_SGRO
	segmentOffload = 0x1f // ETHTOOL_STSO
)

// setOffload switches an offload of an interface of the calling thread's network
// namespace.
func setOffload(name string, offload, value uint32) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open a socket: %w", err)
	}
	defer unix.Close(fd)
	command := struct{ offload, value uint32 }{offload, value}
	request := struct {
		name  [unix.IFNAMSIZ]byte
		value unsafe.Pointer
		_     [16]byte // the rest of a larger union
	}{value: unsafe.Pointer(&command)}
	copy(request.name[:unix.IFNAMSIZ-1], name)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL,
		uintptr(unsafe.Pointer(&request))); errno != 0 {
		return fmt.Errorf("switch offload %#x of %s to %d: %w", offload, name, value, errno)
	}
	return nil
}

// mountSysfs gives the calling thread a /sys that shows its network namespace.
func mountSysfs() error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("make a mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep mounts apart: %w", err)
	}
	if err := unix.Mount("sysfs", "/sys", "sysfs", 0, ""); err != nil {
		return fmt.Errorf("mount sysfs: %w", err)
	}
	return nil
}

// receivers returns the kernel threads that receive for interfaces with the name of a node's
// interface.
func receivers() (pids []int, err error) {
	names, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		comm, err := os.ReadFile(name)
		if err != nil { // it has ended
			continue
		}
		if strings.HasPrefix(string(comm), "napi/"+nodeInterface+"-") {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			if err != nil {
				return nil, err
			}
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

func bindThread(pid int, cpus []int) error {
	if len(cpus) == 0 {
		return nil
	}
	var set unix.CPUSet
	for _, cpu := range cpus {
		set.Set(cpu)
	}
	if err := unix.SchedSetaffinity(pid, &set); err != nil {
		return fmt.Errorf("bind kernel thread %d to CPUs %v: %w", pid, cpus, err)
	}
	return nil
}
