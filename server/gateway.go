package server

import (
	"context"
	"fmt"

	"github.com/equic-bench/equic-bench/record"
)

// gatewayRecord reads the counters of the program, and measures the cost of a drop now
// that the load is over.
func (s *server) gatewayRecord(ctx context.Context) (*record.Gateway, error) {
	stats, err := s.gateway.Stats()
	if err != nil {
		return nil, fmt.Errorf("read gateway statistics: %w", err)
	}
	cost, err := s.gateway.MeasureDrop(ctx)
	if err != nil {
		return nil, fmt.Errorf("measure a drop: %w", err)
	}
	return &record.Gateway{
		Interface:    s.o.Interface,
		Mode:         s.gateway.Mode().String(),
		Packets:      stats.Packets,
		Seen:         stats.Seen,
		Passed:       stats.Passed,
		Dropped:      stats.Dropped,
		DropNS:       cost.DropNS,
		EmptyNS:      cost.EmptyNS,
		UpdateErrors: s.guard.Stats().Failed,
	}, nil
}
