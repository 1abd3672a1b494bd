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
	objs   *objects
	memory tableMemory
	key    hashKey
}

// tableMemory is the memory of the tables. networks is nil if networks are not limited.
type tableMemory struct{ clients, networks []byte }

func (m tableMemory) close() error {
	var err error
	for _, part := range [][]byte{m.clients, m.networks} {
		if part != nil {
			err = errors.Join(err, unix.Munmap(part))
		}
	}
	return err
}

// mapTable maps the map of a table into memory.
func mapTable(m *ebpf.Map) ([]byte, error) {
	size := int(m.MaxEntries()) * bucketSlots * int(unsafe.Sizeof(slot{}))
	b, err := unix.Mmap(m.FD(), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map a table into memory: %w", err)
	}
	return b, nil
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
	groups, rateLines := groupsFor(o.MaxClients), nextPowerOfTwo(uint32(o.MaxClients)) // validated
	specs.Clients.MaxEntries = groups * groupBuckets
	specs.Rates.MaxEntries = rateLines * rateWords
	specs.Quotas.MaxEntries = uint32(len(o.Quotas)) + 1
	specs.Networks.MaxEntries = groupBuckets
	if o.Networks.Quota > 0 {
		specs.Networks.MaxEntries = groups * groupBuckets
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
		specs.RateLines.Set(rateLines),
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
	if err := spec.LoadAndAssign(l.objs, &ebpf.CollectionOptions{MapReplacements: maps}); err != nil {
		return nil, explainPermission(err)
	}
	if err = l.writeQuotas(o); err == nil {
		l.memory.clients, err = mapTable(l.objs.Clients)
	}
	if err == nil && o.Networks.Quota > 0 {
		l.memory.networks, err = mapTable(l.objs.Networks)
	}
	if err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
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

// rateWords is the number of words of the rate limit in a cache line.
const rateWords = 8

// tables returns tables that count in the memory of the kernel's maps.
func (l *loaded) tables(o Options) counts {
	slots := func(memory []byte) []slot {
		return unsafe.Slice((*slot)(unsafe.Pointer(unsafe.SliceData(memory))), len(memory)/int(unsafe.Sizeof(slot{})))
	}
	c := counts{clients: newTable(slots(l.memory.clients), o.MaxClients, newPrefixes(o.IPv4Prefix, o.IPv6Prefix), l.key)}
	c.clients.halfOpen, c.clients.holdDown, c.clients.quotas = o.HalfOpen, o.HoldDown, newQuotas(o.Quotas)
	n := o.Networks
	if n.Quota > 0 {
		c.networks = newTable(slots(l.memory.networks), o.MaxClients, newPrefixes(n.IPv4Prefix, n.IPv6Prefix), l.key)
	}
	for i, p := range o.Ports {
		c.clients.addLimit(p.Number, uint8(i+1), uint32(p.Quota), p.Policy == PolicyNew) // validated
		if c.networks != nil {
			c.networks.addLimit(p.Number, uint8(i+1), uint32(n.Quota), false) // validated
		}
	}
	return c
}

func (l *loaded) close() error { return errors.Join(l.memory.close(), l.objs.Close()) }

// mask returns the mask of a prefix, in network order.
func mask(bits int) [4]uint32 {
	b := net.CIDRMask(bits, 128)
	var words [4]uint32
	for i := range words {
		words[i] = binary.NativeEndian.Uint32(b[4*i:])
	}
	return words
}
