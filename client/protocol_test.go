package client

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/server/certificate"
)

// plainServer answers requests of HTTP/0.9 on QUIC streams. It returns its address. No
// client may resume a session, although the server offers it.
func plainServer(t *testing.T, body string) string {
	t.Helper()
	pair, err := certificate.SelfSigned(certificate.ECDSA)
	testkit.Must(t, err)
	l, err := quic.ListenAddr("127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{*pair}, NextProtos: []string{string(HQ)},
	}, nil)
	testkit.Must(t, err)
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			conn, err := l.Accept(t.Context())
			if err != nil {
				return
			}
			if conn.ConnectionState().TLS.DidResume {
				t.Error("a request has no handshake of its own")
			}
			stream, err := conn.AcceptStream(t.Context())
			if err != nil {
				continue
			}
			line, err := bufio.NewReader(stream).ReadString('\n')
			if err == nil && line == "GET /a\r\n" {
				_, _ = io.WriteString(stream, body)
			}
			_ = stream.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-served
	})
	return l.Addr().String()
}

func TestAPlainRequestGetsTheBodyThatItAskedFor(t *testing.T) {
	server := plainServer(t, "12345")
	for _, test := range []struct {
		path  string
		bytes int64
		want  record.Outcome
	}{{"/a", 5, record.OK}, {"/a", 6, record.Failed}, {"/b", 5, record.Failed}} {
		var out bytes.Buffer
		testkit.Must(t, Run(t.Context(), Options{
			Server: server, Mode: Sequential, Requests: 2, Timeout: 10 * time.Second, BodyBytes: test.bytes,
			Path: test.path, Protocol: HQ, Node: "sequential-1", Clock: testClock(t),
		}, &out))
		testkit.Must(t, record.ReadLines(&out, "client", func(l *record.Line) error {
			if r := l.Request; r != nil && (r.Outcome != test.want || r.Outcome == record.OK && r.FirstByteNS == 0) {
				t.Errorf("%s, %d bytes: %+v, want %s", test.path, test.bytes, r, test.want)
			}
			return nil
		}))
	}
}

func TestAClientKnowsItsProtocols(t *testing.T) {
	o := Options{Server: "127.0.0.1:1", Mode: Sequential, Requests: 1, Timeout: time.Second, Protocol: "h2"}
	if err := o.validate(); err == nil {
		t.Error("no error for h2")
	}
}
