package control

import (
	"io"
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/internal/testkit"
)

// BenchmarkPipelinedCounts sends batches of inc and dec, without waiting for replies
// within a batch. The gateway is a fake, so this is the cost of the protocol.
func BenchmarkPipelinedCounts(b *testing.B) {
	const batch = 256 // pairs
	c := control(b, 443)
	p := dial(b, c.path)
	requests := strings.Repeat("inc 192.0.2.7\ndec 192.0.2.7\n", batch)
	replies := make([]byte, 2*batch*len("ok\n"))
	b.ReportAllocs()
	for n := 0; n < b.N; n += 2 * batch {
		_, err := io.WriteString(p, requests)
		testkit.Must(b, err)
		_, err = io.ReadFull(p.in, replies)
		testkit.Must(b, err)
	}
	b.StopTimer()
	if string(replies) != strings.Repeat("ok\n", 2*batch) {
		b.Error("not all was counted")
	}
}

// BenchmarkCountAndWait waits for each reply, as a simple server does.
func BenchmarkCountAndWait(b *testing.B) {
	c := control(b, 443)
	p := dial(b, c.path)
	for b.Loop() {
		if p.ask(b, "inc 192.0.2.7") != "ok" || p.ask(b, "dec 192.0.2.7") != "ok" {
			b.Fatal("not counted")
		}
	}
}
