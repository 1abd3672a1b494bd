package scenarios

import (
	"fmt"

	"github.com/equic-bench/equic-bench/record"
)

// CheckVariants returns an *Error if the server cannot run one of the variants, or if no client can
// complete a connection with its quota. Call it after Load if a flag has changed the variants.
func (s *Scenario) CheckVariants() error {
	if v := s.unused(s.Cells()); v != "" {
		return &Error{[]Problem{{File: s.Path, What: "variants: " + string(v) + " " + nowhere, Remedy: "leave it out"}}}
	}
	for _, c := range s.Cells() {
		for _, check := range []func() (what, remedy string){c.lethalQuota, c.strangeVariant} {
			if what, remedy := check(); what != "" {
				return &Error{[]Problem{{File: s.Path, What: what, Remedy: remedy}}}
			}
		}
	}
	return nil
}

// strangeVariant returns the problem with a variant that does not exist for the server.
func (s *Scenario) strangeVariant() (what, remedy string) {
	for _, v := range s.allowed(s.Variants) {
		switch {
		case s.Server.Runs(v):
			if _, _, whole := s.Server.Limits.Whole(); v == record.NftablesInFront && s.Server.Limits.Rate > 0 && !whole {
				return fmt.Sprintf("server.limits.rate: nftables takes a whole number of packets per second, minute or hour, not %g/s",
					s.Server.Limits.Rate), "write another rate, or leave nftables-limit out"
			}
		case !s.Server.Foreign():
			return fmt.Sprintf("variants: %s protects a server of yours, and there is no server.command", v), "leave it out"
		case v.InFront():
			return fmt.Sprintf("variants: %s has nothing to enforce", v), "add server.limits, such as {rate: 60/s}"
		default:
			return fmt.Sprintf("variants: %s is our server's, and server.command runs another", v),
				"use no-block, gateway or nftables-limit"
		}
	}
	return "", ""
}

// lethalQuota returns the problem with a quota of 1 under policy client, and the remedy. Under this
// policy, all packets of a client with as many connections as its quota are dropped, including
// those of the connections themselves. So the first connection of a client is cut off once it
// counts, and the next one is dropped because of the first's count.
func (s *Scenario) lethalQuota() (what, remedy string) {
	if s.Server.Quota > 1 {
		return "", ""
	}
	for _, v := range s.allowed(s.Variants) {
		if v.Drops() && v.Spec().Policy == record.PolicyClient {
			return fmt.Sprintf("server.quota: with 1, %s drops every packet of a client as soon as its only connection "+
					"counts, so no request of a sequential client completes", v),
				fmt.Sprintf("write 2 or more, or leave %s out of variants", v)
		}
	}
	return "", ""
}
