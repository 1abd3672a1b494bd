//go:build linux && !mips && !mips64 && !ppc64 && !s390x

package equic

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// objects are the program of one mode and its maps.
type objects struct {
	gatewayMaps
	gatewayVariables
	Program *ebpf.Program `ebpf:"program"`
}

func (o *objects) Close() error { return errors.Join(o.Program.Close(), o.gatewayMaps.Close()) }

// loaded is a program with its maps. Those of clients and networks are mapped into memory.
type loaded struct {
	objs              *objects
	clients, networks []group // networks has none if they are not limited
	mapped            mappings
	key               hashKey
}

// mappings are maps in this process's memory.
type mappings [][]byte

func (m mappings) close() error {
	var err error
	for _, memory := range m {
		err = errors.Join(err, unix.Munmap(memory))
	}
	return err
}

// mapTable maps the groups of a table into memory until l is closed.
func (l *loaded) mapTable(m *ebpf.Map) ([]group, error) {
	size := int(m.MaxEntries()) * int(unsafe.Sizeof(group{}))
	b, err := unix.Mmap(m.FD(), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map a table into memory: %w", err)
	}
	l.mapped = append(l.mapped, b)
	return unsafe.Slice((*group)(unsafe.Pointer(unsafe.SliceData(b))), m.MaxEntries()), nil
}

// readInParts is set by a test: the program then reads every packet as if it were in several
// buffers.
var readInParts bool

// load makes the program and its maps from complete options. If there is a pinned gateway,
// its maps are used.
func load(o Options, p *pin) (_ *loaded, err error) {
	maps, err := p.maps()
	defer func() {
		for _, m := range maps {
			err = errors.Join(err, m.Close()) // the program has its own references
		}
	}()
	if err != nil {
		return nil, err
	}
	spec, err := loadGateway()
	if err != nil {
		return nil, err
	}
	var specs gatewaySpecs
	if err := spec.Assign(&specs); err != nil {
		return nil, err
	}
	l := &loaded{objs: new(objects), key: newHashKey()}
	if len(maps) > 0 {
		l.key = p.now.HashKey
	}
	tick, err := kernelTick()
	if err != nil {
		return nil, err
	}
	groups := groupsFor(o.MaxClients)
	rateSets := max(1, nextPowerOfTwo(uint32(o.MaxClients))/4) // validated
	specs.Clients.MaxEntries = groups
	specs.Rates.MaxEntries = rateSets
	specs.Quotas.MaxEntries = uint32(len(o.Quotas)) + 1
	if o.Networks.Quota > 0 {
		specs.Networks.MaxEntries = groups
	}
	specs.Allowed.MaxEntries = uint32(o.MaxPrefixes) + 1 // validated; allIPv4 is always there
	specs.Denied.MaxEntries = uint32(o.MaxPrefixes) + 1
	var of [1 << 16]uint8
	for i, p := range o.Ports {
		of[p.Number] = uint8(i + 1) // at most MaxPorts
	}
	err = errors.Join(
		specs.ApplicationOf.Set(of),
		specs.Ipv4Mask.Set(mask(o.IPv4Prefix)[0]),
		specs.Ipv6Mask.Set(mask(o.IPv6Prefix)),
		specs.HashKey.Set(l.key),
		specs.Groups.Set(groups),
		specs.RateSets.Set(rateSets),
		specs.TickNs.Set(uint64(tick)),
		specs.UnusualPassed.Set(uint8(o.Pass)),
	)
	if len(o.Quotas) > 0 {
		err = errors.Join(err, specs.HasQuotas.Set(uint8(1)))
	}
	if o.LongIDs {
		err = errors.Join(err, specs.LongIds.Set(uint8(1)))
	}
	if readInParts {
		err = errors.Join(err, specs.InParts.Set(uint8(1)))
	}
	if o.Pin != "" {
		err = errors.Join(err, specs.Outlives.Set(uint8(1)))
	}
	if n := o.Networks; n.Quota > 0 {
		err = errors.Join(err,
			specs.LimitsNetworks.Set(uint8(1)),
			specs.Ipv4NetworkMask.Set(mask(n.IPv4Prefix)[0]),
			specs.Ipv6NetworkMask.Set(mask(n.IPv6Prefix)),
			specs.NetworkGroups.Set(groups),
		)
	}
	if !o.mayMerge() {
		err = errors.Join(err, specs.Merges.Set(uint8(0)))
	}
	if o.Events != nil {
		interval := uint64(time.Second) / uint64(o.EventsPerSecond) // validated
		err = errors.Join(err, specs.EventIntervalNs.Set(interval), specs.EventBurstNs.Set(uint64(time.Second)))
	}
	if o.Events != nil && o.SamplesPerSecond > 0 {
		interval := uint64(time.Second) / uint64(o.SamplesPerSecond) // validated
		err = errors.Join(err, specs.SampleIntervalNs.Set(interval), specs.SampleBurstNs.Set(uint64(time.Second)-interval))
	}
	if err != nil {
		return nil, err
	}
	spec.Programs = map[string]*ebpf.ProgramSpec{"program": spec.Programs[hookOf(o.Mode).name]}
	if err := l.loadSpec(spec, &specs, maps); err != nil {
		return nil, explainPermission(err)
	}
	if err = l.writeQuotas(o); err == nil {
		l.clients, err = l.mapTable(l.objs.Clients)
	}
	if err == nil && o.Networks.Quota > 0 {
		l.networks, err = l.mapTable(l.objs.Networks)
	}
	if err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

// loadSpec loads the program in its fastest form that the kernel's verifier accepts. Without
// CAP_PERFMON, the verifier also follows the paths that a CPU may speculate on, and would give
// up after seconds.
func (l *loaded) loadSpec(spec *ebpf.CollectionSpec, specs *gatewaySpecs, maps map[string]*ebpf.Map) error {
	c, err := effectiveCapabilities()
	if err == nil && (c.has(unix.CAP_PERFMON) || c.has(unix.CAP_SYS_ADMIN)) {
		err = spec.LoadAndAssign(l.objs, &ebpf.CollectionOptions{MapReplacements: maps})
		if !errors.Is(err, unix.E2BIG) {
			return err
		}
	}
	return errors.Join(specs.Outlined.Set(uint8(1)),
		spec.LoadAndAssign(l.objs, &ebpf.CollectionOptions{MapReplacements: maps}))
}

// kernelTick returns the time from tick to tick of the kernel, which is the resolution of
// its coarse clocks.
func kernelTick() (time.Duration, error) {
	var resolution unix.Timespec
	if err := unix.ClockGetres(unix.CLOCK_MONOTONIC_COARSE, &resolution); err != nil {
		return 0, fmt.Errorf("read the resolution of the kernel's coarse clock: %w", err)
	}
	return time.Duration(resolution.Nano()), nil
}

// writeQuotas writes the quotas of prefixes to the kernel.
func (l *loaded) writeQuotas(o Options) error {
	err := l.objs.Quotas.Put(allIPv4, uint32(0)) // or an IPv6 prefix such as ::/0 would contain it
	for _, q := range newQuotas(o.Quotas) {
		err = errors.Join(err, l.objs.Quotas.Put(keyOf(q.Prefix), uint32(q.Quota))) // validated
	}
	if err != nil {
		return fmt.Errorf("write the quotas of prefixes: %w", err)
	}
	return nil
}

// tables returns tables that count in the memory of the kernel's maps.
func (l *loaded) tables(o Options) counts {
	c := counts{clients: newTable(l.clients, o.MaxClients, newPrefixes(o.IPv4Prefix, o.IPv6Prefix), l.key)}
	c.clients.halfOpen, c.clients.holdDown, c.clients.quotas = o.HalfOpen, o.HoldDown, newQuotas(o.Quotas)
	n := o.Networks
	if n.Quota > 0 {
		c.networks = newTable(l.networks, o.MaxClients, newPrefixes(n.IPv4Prefix, n.IPv6Prefix), l.key)
	}
	for i, p := range o.Ports {
		c.clients.addLimit(p.Number, uint8(i+1), uint32(p.Quota), p.Policy == PolicyNew) // validated
		if c.networks != nil {
			c.networks.addLimit(p.Number, uint8(i+1), uint32(n.Quota), false) // validated
		}
	}
	return c
}

func (l *loaded) close() error { return errors.Join(l.mapped.close(), l.objs.Close()) }

// mask returns the mask of a prefix, in network order.
func mask(bits int) [4]uint32 {
	b := net.CIDRMask(bits, 128)
	var words [4]uint32
	for i := range words {
		words[i] = binary.NativeEndian.Uint32(b[4*i:])
	}
	return words
}
