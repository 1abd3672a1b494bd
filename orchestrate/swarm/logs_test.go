package swarm

import (
	"bytes"
	"testing"
)

func TestAStreamThatIsReadAgainIsWrittenOnce(t *testing.T) {
	var got bytes.Buffer
	r := &resumed{to: &got}
	for _, reading := range [][]string{{"one\n", "tw"}, {"one\n"}, {"one\ntwo\n", "three\n"}, {"o", "ne\ntwo\nthree\nfour\n"}} {
		r.seen = 0
		for _, part := range reading {
			if n, err := r.Write([]byte(part)); n != len(part) || err != nil {
				t.Fatalf("write %q: %d, %v", part, n, err)
			}
		}
	}
	if want := "one\ntwo\nthree\nfour\n"; got.String() != want {
		t.Errorf("got %q, want %q", &got, want)
	}
}
