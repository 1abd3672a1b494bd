package server

import (
	"errors"
	"fmt"
	"slices"

	"github.com/equic-bench/equic-bench/equic"
)

// Limiter says where the server turns away a client that is over quota
// (docs/method.md, Variants).
type Limiter string

// The limiters.
const (
	// LimiterNone admits everybody.
	LimiterNone Limiter = "none"
	// LimiterUserspace completes the handshake, then closes the connection:
	// the paper's user-space variant.
	LimiterUserspace Limiter = "userspace"
	// LimiterUserspaceEarly refuses on the first packet, before any crypto.
	LimiterUserspaceEarly Limiter = "userspace-early"
	// LimiterXDP has the kernel drop the client's packets (Algorithm 1).
	LimiterXDP Limiter = "xdp"
	// LimiterXDPNew has the kernel drop those of the client's packets that open
	// a connection.
	LimiterXDPNew Limiter = "xdp-new"
)

// Limiters are all limiters.
var Limiters = []Limiter{LimiterNone, LimiterUserspace, LimiterUserspaceEarly, LimiterXDP, LimiterXDPNew}

// ParseLimiter takes a limiter's name, or the name of the variant that uses it.
func ParseLimiter(name string) (Limiter, error) {
	switch name {
	case "no-block":
		return LimiterNone, nil
	case "userspace-block":
		return LimiterUserspace, nil
	case "xdp-block":
		return LimiterXDP, nil
	case "xdp-block-new":
		return LimiterXDPNew, nil
	}
	if l := Limiter(name); l.known() {
		return l, nil
	}
	return "", fmt.Errorf("unknown limiter %q: want one of %v", name, Limiters)
}

func (l Limiter) known() bool { return slices.Contains(Limiters, l) }

// xdp says whether the kernel blocks.
func (l Limiter) xdp() bool { return l == LimiterXDP || l == LimiterXDPNew }

// policy is the gateway's.
func (l Limiter) policy() equic.Policy {
	if l == LimiterXDPNew {
		return equic.PolicyNew
	}
	return equic.PolicyClient
}

// The stages of a refusal (results.Refusal).
const (
	stageEarly    = "early"
	stageAccepted = "accepted"
)

var errOverQuota = errors.New("client is over quota")
