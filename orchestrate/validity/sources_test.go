package validity

import (
	"testing"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
)

// An attacker with several addresses is served at all of them, and at none of its node.
func TestResponsesToAllAddressesOfAnAttackerAddUp(t *testing.T) {
	for network, addresses := range map[string][]string{
		"10.128.0.0/24": {"10.128.0.0", "10.128.0.49"},
		"fd01:e9::/48":  {"fd01:e9::1", "fd01:e9:0:31::1"},
	} {
		t.Run(network, func(t *testing.T) {
			s := newSynth(record.NoBlock)
			attacker := s.named("parallel-1")
			attacker.Sources = network
			served := map[string]int{addresses[0]: 7, addresses[1]: 13}
			s.edit(func(_ *results.Node, l *record.Line) bool {
				return l.Connection == nil || l.Connection.Client != attacker.Address
			})
			for address, n := range served {
				s.printFirst(results.RoleServer, record.Line{Connection: &record.Connection{Client: address, Served: n}})
			}
			if v := s.judge(t); !v.Valid() {
				t.Errorf("checks %+v", v.Checks)
			}
			s.printFirst(results.RoleServer, record.Line{Connection: &record.Connection{Client: addresses[0], Served: 1}})
			expectBroken(t, s.judge(t),
				"parallel-1 got 20 whole responses and can have got at most 20, but the server counted 21", RuleServed)
		})
	}
}
