package scenarios

import (
	"strings"
	"testing"
)

func TestWhenTheServerAnswersWithARetry(t *testing.T) {
	for name, c := range map[string]struct{ variants, retry, want, says string }{
		"always":             {"[userspace-retry]", "always", "always", ""},
		"above a number":     {"[xdp-block-new]", "64", "64", ""},
		"with an underscore": {"[userspace-retry]", "1_000", "1000", ""},
		"another word":       {"[userspace-retry]", "sometimes", "", `"sometimes" is neither always nor a number`},
		"a number as text":   {"[userspace-retry]", `"64"`, "", `"64" is neither always nor a number`},
		"zero":               {"[userspace-retry]", "0", "", "0 is out of range"},
		"a list":             {"[userspace-retry]", "[1]", "", "has no single value"},
	} {
		t.Run(name, func(t *testing.T) {
			text := "variants: " + c.variants + "\nserver: {retry: " + c.retry + "}\n" + shortest
			s, err := Parse("x.yaml", []byte(text))
			switch {
			case c.says != "":
				if err == nil || !strings.Contains(err.Error(), c.says) {
					t.Errorf("error %v, want one on %q", err, c.says)
				}
			case err != nil:
				t.Error(err)
			case s.Server.Retry != c.want || strings.Contains(strings.Join(s.Warnings(), "\n"), "server.retry"):
				t.Errorf("retry %q, want %q; warnings %q", s.Server.Retry, c.want, s.Warnings())
			}
		})
	}
}

func TestARetryOfNoVariantIsAWarning(t *testing.T) {
	text := "variants: [userspace-block, xdp-block]\nserver: {retry: always}\n" + shortest
	s, err := Parse("x.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if w := strings.Join(s.Warnings(), "\n"); !strings.Contains(w, "server.retry has no effect") {
		t.Errorf("warnings %q", w)
	}
}

func TestAServerThatIsNotOursHasNoRetryKey(t *testing.T) {
	_, err := Parse("x.yaml", []byte(strings.Replace(foreign, "server:", "server:\n  retry: always", 1)))
	if err == nil || !strings.Contains(err.Error(), "server.retry: server.command runs another server") {
		t.Errorf("error %v", err)
	}
}
