package measure

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/record"
)

// counter counts the system calls of one process, in the kernel (bpf/syscalls.bpf.c).
type counter struct {
	objects syscallsObjects
	onExec  link.Link
	perCall []link.Link  // none while paused
	totals  *ebpf.Memory // of the map total
	buf     [8]byte      // used by total, which only one goroutine calls

	once   sync.Once
	frozen []record.Syscall
	err    error
}

// attachCounter starts counting. It counts the system calls of the next child of this
// process that calls exec, from the end of that exec to the child's death.
func attachCounter() (_ *counter, err error) {
	if err := requireCapabilities(); err != nil {
		return nil, err
	}
	c := new(counter)
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	if err := c.load(); err != nil {
		return nil, fmt.Errorf("load programs: %w", err)
	}
	if c.onExec, err = attach(c.objects.OnExec); err != nil {
		return nil, err
	}
	if err := c.resume(); err != nil {
		return nil, err
	}
	if _, err := c.objects.Watch.Run(&ebpf.RunOptions{}); err != nil {
		return nil, fmt.Errorf("choose the process: %w", err)
	}
	// Release the memory that loading used: the node's memory is limited, and meant for
	// the command.
	debug.FreeOSMemory()
	return c, nil
}

// load makes the maps, in the size for this machine, and the programs.
func (c *counter) load() error {
	spec, err := loadSyscalls()
	if err != nil {
		return err
	}
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return err
	}
	spec.Maps["total"].MaxEntries = uint32(cpus)
	if err := spec.LoadAndAssign(&c.objects, nil); err != nil {
		return err
	}
	c.totals, err = c.objects.Total.Memory()
	return err
}

func attach(p *ebpf.Program) (link.Link, error) {
	l, err := link.AttachTracing(link.TracingOptions{Program: p})
	if err != nil {
		return nil, fmt.Errorf("attach program: %w", err)
	}
	return l, nil
}

// resume counts calls from now on.
func (c *counter) resume() error {
	for _, p := range []*ebpf.Program{c.objects.OnSysEnter, c.objects.OnSysExit, c.objects.OnSwitch} {
		l, err := attach(p)
		if err != nil {
			return err
		}
		c.perCall = append(c.perCall, l)
	}
	return nil
}

// pause detaches everything that runs at a system call. The time of a call in progress
// at that moment, or when counting resumes, is not valid.
func (c *counter) pause() error {
	var err error
	for _, l := range c.perCall {
		err = errors.Join(err, l.Close())
	}
	c.perCall = nil
	return err
}

// Close stops counting.
func (c *counter) Close() error {
	err := c.pause()
	if c.onExec != nil {
		err = errors.Join(err, c.onExec.Close())
	}
	return errors.Join(err, c.objects.Close())
}

// freeze keeps the counts as they are now. Only the first call has an effect.
func (c *counter) freeze() {
	c.once.Do(func() { c.frozen, c.err = c.read() })
}

// counts returns the counts that freeze kept, or the counts so far.
func (c *counter) counts() ([]record.Syscall, error) {
	c.freeze()
	return c.frozen, c.err
}

// total returns the number of calls so far, of all system calls together. It makes no
// system call itself.
func (c *counter) total() (uint64, error) {
	const size, calls = int64(unsafe.Sizeof(syscallsTotal{})), int64(unsafe.Offsetof(syscallsTotal{}.Calls))
	var sum uint64
	for cpu := range int64(c.objects.Total.MaxEntries()) {
		if _, err := c.totals.ReadAt(c.buf[:], cpu*size+calls); err != nil {
			return 0, fmt.Errorf("read the count of system calls: %w", err)
		}
		sum += binary.NativeEndian.Uint64(c.buf[:])
	}
	return sum, nil
}

// read returns the counts so far of every system call that was made, by number.
func (c *counter) read() ([]record.Syscall, error) {
	var pid uint32
	if err := c.objects.Watched.Get(&pid); err != nil {
		return nil, fmt.Errorf("read the process: %w", err)
	}
	if pid == 0 {
		return nil, errors.New("the command's exec was not seen")
	}
	var calls []record.Syscall
	for number := range c.objects.Counts.MaxEntries() {
		var perCPU []syscallsCount
		if err := c.objects.Counts.Lookup(number, &perCPU); err != nil {
			return nil, fmt.Errorf("read count %d: %w", number, err)
		}
		call := record.Syscall{Number: int(number), Name: syscallName(int(number))}
		for _, n := range perCPU {
			call.Calls += n.Calls
			call.Errors += n.Errors
			call.TimeNS += n.TimeNs
		}
		if call.Calls > 0 {
			calls = append(calls, call)
		}
	}
	return calls, nil
}

// syscallName returns the name of a system call on this architecture, or "syscall_N" if
// it is not known.
func syscallName(number int) string {
	if name := knownSyscall(number); name != "" {
		return name
	}
	return fmt.Sprintf("syscall_%d", number)
}

// requireCapabilities returns an error that names the missing capability. The kernel
// would only return EPERM.
func requireCapabilities() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	missing := missingCapabilities(uint64(data[1].Effective)<<32 | uint64(data[0].Effective))
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("missing %s (or CAP_SYS_ADMIN in place of both): %w", strings.Join(missing, " and "), unix.EPERM)
}

// missingCapabilities returns the capabilities that effective lacks to load and attach
// the counter.
func missingCapabilities(effective uint64) []string {
	has := func(capability uint) bool { return effective&(1<<capability) != 0 }
	var missing []string
	if has(unix.CAP_SYS_ADMIN) {
		return nil
	}
	if !has(unix.CAP_BPF) {
		missing = append(missing, "CAP_BPF")
	}
	if !has(unix.CAP_PERFMON) {
		missing = append(missing, "CAP_PERFMON")
	}
	return missing
}

// TryCounter attaches the counter of system calls and detaches it. The error is the
// reason why system calls cannot be counted here.
func TryCounter() error {
	c, err := attachCounter()
	if err != nil {
		return err
	}
	return c.Close()
}
