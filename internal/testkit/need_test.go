package testkit

import (
	"cmp"
	"flag"
	"testing"
)

// judged is a test that records how it would end, and continues.
type judged struct {
	testing.TB
	end string
}

func (*judged) Helper()                 {}
func (j *judged) Skip(...any)           { j.end = cmp.Or(j.end, "skip") }
func (j *judged) Fatalf(string, ...any) { j.end = "fail" }

func TestALackIsAFailureUnderCIAndASkipElsewhere(t *testing.T) {
	for _, test := range []struct{ ci, short, lack, slow string }{
		{"", "false", "skip", ""},
		{"true", "false", "fail", ""},
		{"", "true", "skip", "skip"},
		{"true", "true", "skip", "skip"},
	} {
		t.Run("CI="+test.ci+" -short="+test.short, func(t *testing.T) {
			t.Setenv("CI", test.ci)
			was := flag.Lookup("test.short").Value.String()
			Must(t, flag.Set("test.short", test.short))
			defer func() { Must(t, flag.Set("test.short", was)) }()
			var lack, slow judged
			Lack(&lack, "")
			Slow(&slow, "")
			if lack.end != test.lack || slow.end != test.slow {
				t.Errorf("a lack: %q, want %q; what is slow: %q, want %q", lack.end, test.lack, slow.end, test.slow)
			}
		})
	}
}
