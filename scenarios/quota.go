package scenarios

import (
	"fmt"

	"github.com/equic-bench/equic-bench/record"
)

// CheckQuota is an *Error if no client can live with the quota under one of the
// variants: after Load, a flag may have chosen other variants.
func (s *Scenario) CheckQuota() error {
	if what, remedy := s.lethalQuota(); what != "" {
		return &Error{[]Problem{{File: s.Path, What: what, Remedy: remedy}}}
	}
	return nil
}

func (d *decoder) checkQuota(s *Scenario) {
	if what, remedy := s.lethalQuota(); what != "" {
		d.problem(d.key("server.quota"), what, remedy)
	}
}

// lethalQuota is what is wrong with a quota of 1 under policy client, and what to do.
// Under it every packet is dropped of a client that has as many connections as its quota,
// those of the connections themselves included. So the first connection of a client
// is cut off once it counts, and the next one meets the count of the last.
func (s *Scenario) lethalQuota() (what, remedy string) {
	if s.Server.Quota > 1 {
		return "", ""
	}
	for _, v := range s.Variants {
		if v.Drops() && v.Spec().Policy == record.PolicyClient {
			return fmt.Sprintf("server.quota: with 1, %s drops every packet of a client as soon as its only connection "+
					"counts, so no request of a sequential client completes", v),
				fmt.Sprintf("write 2 or more, or leave %s out of variants", v)
		}
	}
	return "", ""
}
