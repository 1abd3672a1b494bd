package flood

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/equic-bench/equic-bench/record"
)

const (
	// prepared is the number of datagrams of a flood, which it then repeats. A server
	// that keeps an attempt for five seconds treats repeated Initials as new attempts
	// at rates of up to 2,000/s.
	prepared = 10_000
	// idBytes is the size of connection IDs, the minimum for a client (RFC 9000, 7.2).
	idBytes = 8
)

// payloads returns the datagrams of a flood.
func (o *Options) payloads(ctx context.Context) ([][]byte, error) {
	count := max(prepared, o.Addresses) // each address sends at least one
	if o.Frames > 0 {
		count = min(count, o.Frames)
	}
	all := make([][]byte, count)
	if o.Kind == record.Junk || o.Kind == record.Short {
		for i := range all {
			all[i] = junk()
			if o.Kind == record.Short {
				all[i] = short()
			}
		}
		return all, nil
	}
	hello, err := clientHello(ctx)
	if err != nil {
		return nil, err
	}
	for i := range all {
		id := make([]byte, idBytes)
		_, _ = rand.Read(id) // never fails; 10,000 of 2^64 are distinct
		if all[i], err = initial(hello, id); err != nil {
			return nil, fmt.Errorf("make an Initial: %w", err)
		}
	}
	return all, nil
}

// junk returns a random datagram with neither of QUIC's first two bits set, so that no
// version accepts it as a packet (RFC 9000, 17.2 and 17.3; RFC 9443).
func junk() []byte {
	b := make([]byte, payloadBytes)
	_, _ = rand.Read(b) // never fails
	b[0] &= 0x3f
	return b
}

// shortBytes is the size of a datagram of kind Short: more than the headers of an Initial,
// and less than any datagram with one has (RFC 9000, 14.1).
const shortBytes = 100

// short returns what begins as an Initial of QUIC version 1 with random connection IDs,
// and is random after them.
func short() []byte {
	b := make([]byte, shortBytes)
	_, _ = rand.Read(b) // never fails
	copy(b, []byte{0xc0, 0, 0, 0, 1, idBytes})
	b[6+idBytes] = idBytes
	return b
}
