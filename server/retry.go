package server

import (
	"fmt"
	"strconv"

	"github.com/equic-bench/equic-bench/equic"
	"github.com/equic-bench/equic-bench/record"
)

// Retry specifies when the server sends a Retry (RFC 9000, 8.1.2) in answer to attempts
// from addresses that are not validated. The zero value is the default: the limits of
// equic.HalfOpenLimits.
type Retry struct {
	Always bool
	// Above is how many handshakes from unvalidated addresses may be in progress
	// before the server answers with a Retry. A client's quota is a further limit on its
	// own.
	Above int
}

// retryAlways is the text of Retry.Always.
const retryAlways = "always"

// ParseRetry reads "always" or a number. The empty text is the default.
func ParseRetry(text string) (Retry, error) {
	switch text {
	case "":
		return Retry{}, nil
	case retryAlways:
		return Retry{Always: true}, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return Retry{}, fmt.Errorf("retry %q: want %s, or a number of handshakes from 1 up", text, retryAlways)
	}
	return Retry{Above: n}, nil
}

// validate refuses settings for a variant that never answers with a Retry.
func (r Retry) validate(v record.Variant) error {
	switch {
	case r == (Retry{}):
		return nil
	case !v.Retries():
		return fmt.Errorf("retry: variant %s never answers with a Retry; use %s, or one that drops under policy new",
			v, record.UserspaceRetry)
	case r.Above < 0 || r.Always && r.Above > 0:
		return fmt.Errorf("retry above %d handshakes: want 1 or more, or always", r.Above)
	}
	return nil
}

// limits returns the limits on handshakes in progress; those that are zero are the
// defaults.
func (r Retry) limits() equic.HalfOpenLimits {
	return equic.HalfOpenLimits{Total: r.Above, PerClient: r.Above}
}
