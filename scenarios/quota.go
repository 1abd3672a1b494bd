package scenarios

import (
	"fmt"

	"github.com/equic-bench/equic-bench/record"
)

// CheckVariants is an *Error if the server cannot run one of the variants, or no client
// can live with its quota under one: after Load, a flag may have chosen other variants.
func (s *Scenario) CheckVariants() error {
	for _, check := range []func() (what, remedy string){s.lethalQuota, s.strangeVariant} {
		if what, remedy := check(); what != "" {
			return &Error{[]Problem{{File: s.Path, What: what, Remedy: remedy}}}
		}
	}
	return nil
}

// strangeVariant is what is wrong with a variant under a server that is not ours.
func (s *Scenario) strangeVariant() (what, remedy string) {
	for _, v := range s.Variants {
		if s.Server.Foreign() && v != record.NoBlock {
			return fmt.Sprintf("variants: %s is our server's, and server.command runs another", v), "write variants: [no-block]"
		}
	}
	return "", ""
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
