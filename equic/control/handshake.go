package control

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/equic-bench/equic-bench/equic"
)

// handshake is a handshake in progress that a connection has begun.
type handshake struct {
	equic.Handshake
	client client
}

// errRetry is the error for an attempt that needs a validated address.
var errRetry = errors.New("answer with a Retry")

// validate returns errRetry if an attempt from an address that is not validated needs a
// Retry.
func (s *session) validate(c client) error {
	if s.server.Gateway.MustValidate(c.port, c.addr) {
		return errRetry
	}
	return nil
}

// begin counts a handshake in progress, under an ID that the peer has chosen.
func begin(s *session, arguments []string) (string, error) {
	from, err := netip.ParseAddrPort(arguments[1])
	if err != nil {
		return "", fmt.Errorf("%.64q is not an address with a port: give one such as 192.0.2.7:50000 or [2001:db8::7]:50000",
			arguments[1])
	}
	rest := arguments[2:]
	validated := len(rest) > 0 && rest[0] == "validated"
	asked := len(rest) > 0 && rest[0] == "asked"
	if validated || asked {
		rest = rest[1:]
	}
	if len(rest) > 1 {
		return "", fmt.Errorf("%.32q is one argument too many: send %s", rest[1], beginForm)
	}
	port, err := s.server.port(rest)
	if err != nil {
		return "", err
	}
	from = netip.AddrPortFrom(from.Addr().Unmap().WithZone(""), from.Port())
	if !validated && !asked {
		if err := s.validate(client{port: port, addr: from.Addr()}); err != nil {
			return "", err
		}
	}
	return "", s.begin(arguments[0], port, from, validated)
}

func (s *session) begin(id string, port uint16, from netip.AddrPort, validated bool) error {
	if _, taken := s.handshakes[id]; taken {
		return fmt.Errorf("a handshake %.64q is in progress here: choose another ID", id)
	}
	h, err := s.server.Gateway.Begin(port, from, validated)
	if err != nil {
		return err
	}
	s.handshakes[id] = handshake{h, client{port: port, addr: from.Addr()}}
	return nil
}

// ofHandshake makes the request hello, complete, fail or cancel.
func ofHandshake(do func(s *session, id string, h handshake) error) func(*session, []string) (string, error) {
	return func(s *session, arguments []string) (string, error) {
		h, ok := s.handshakes[arguments[0]]
		if !ok {
			return "", fmt.Errorf("no handshake %.64q is in progress here: begin it first", arguments[0])
		}
		return "", do(s, arguments[0], h)
	}
}

func (s *session) hello(_ string, h handshake) error {
	h.Hello()
	return nil
}

// complete turns a handshake into a connection, which dec releases.
func (s *session) complete(id string, h handshake) error {
	delete(s.handshakes, id)
	switch admitted, err := h.Complete(); {
	case err != nil:
		return err
	case !admitted:
		return equic.ErrOverQuota
	}
	s.count(h.client)
	return nil
}

func (s *session) fail(id string, h handshake) error {
	delete(s.handshakes, id)
	h.Close()
	return nil
}

// cancel removes a handshake that cost the server nothing.
func (s *session) cancel(id string, h handshake) error {
	delete(s.handshakes, id)
	h.Cancel()
	return nil
}

// cancelAll cancels the handshakes in progress: they were broken off by their server,
// not by their clients.
func (s *session) cancelAll() (n int) {
	n = len(s.handshakes)
	for id, h := range s.handshakes {
		_ = s.cancel(id, h) // always nil
	}
	return n
}
