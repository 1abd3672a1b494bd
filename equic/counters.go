//go:build linux && !mips && !mips64 && !ppc64 && !s390x

package equic

import (
	"fmt"

	"github.com/cilium/ebpf"
)

// perCPU returns the sum over all CPUs of one value of a per-CPU map.
func perCPU(m *ebpf.Map, index uint32) (uint64, error) {
	var values []uint64
	if err := m.Lookup(index, &values); err != nil {
		return 0, err
	}
	var sum uint64
	for _, n := range values {
		sum += n
	}
	return sum, nil
}

// maxApplications is MAX_APPLICATIONS in bpf/maps.h.
const maxApplications = MaxPorts + 1

// readReason returns the number of packets that ended with a reason, and of those that
// would have if monitor mode had not been on.
func readReason(packets *ebpf.Map, application, reason int) (ended, monitored uint64, err error) {
	index := application*len(reasons) + reason
	if ended, err = perCPU(packets, uint32(index)); err != nil || !isDrop(reason) {
		return ended, 0, err
	}
	monitored, err = perCPU(packets, uint32(index+maxApplications*len(reasons)))
	return ended, monitored, err
}

// readStats sums the counters over the CPUs. ports[i] is application i + 1. Application
// 0 counts the packets that are not to any of the ports.
func readStats(packets, eventsLost *ebpf.Map, ports []Port) (Stats, error) {
	s := Stats{Counts: newCounts(), Ports: make(map[uint16]Counts, len(ports))}
	for application := range len(ports) + 1 {
		of := newCounts()
		from, to := firstOfPort, len(reasons)
		if application == 0 {
			from, to = 0, firstOfPort
		}
		for reason := from; reason < to; reason++ {
			ended, monitored, err := readReason(packets, application, reason)
			if err != nil {
				return Stats{}, fmt.Errorf("read packet counter %s: %w", reasons[reason], err)
			}
			for _, c := range []*Counts{&of, &s.Counts} {
				c.add(reason, ended)
				if isDrop(reason) {
					c.addMonitored(reason, monitored)
				}
			}
		}
		if application > 0 {
			s.Ports[ports[application-1].Number] = of
		}
	}
	for i := range eventsLost.MaxEntries() {
		n, err := perCPU(eventsLost, i)
		if err != nil {
			return Stats{}, fmt.Errorf("read the count of lost events: %w", err)
		}
		s.EventsLost += n
	}
	return s, nil
}
