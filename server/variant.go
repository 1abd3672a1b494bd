package server

import (
	"errors"

	"github.com/equic-bench/equic-bench/equic"
	"github.com/equic-bench/equic-bench/record"
)

// policy returns the gateway's policy for a variant.
func policy(v record.Variant) equic.Policy {
	if v.Spec().Policy == record.PolicyNew {
		return equic.PolicyNew
	}
	return equic.PolicyClient
}

// The stages of a refusal (record.Refusal).
const (
	stageEarly    = "early"
	stageAccepted = "accepted"
)

var errOverQuota = errors.New("client is over quota")
