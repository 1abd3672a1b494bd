package scenarios

import (
	"slices"
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/record"
)

func TestAServerThatIsNotOursHasItsOwnRules(t *testing.T) {
	for name, c := range map[string]struct{ from, to, says string }{
		"it is right":             {"", "", ""},
		"a variant of our server": {"server:", "variants: [no-block, xdp-block]\nserver:", "xdp-block is our server's"},
		"an unknown placeholder":  {"{root}", "{folder}", "{folder} is no placeholder; use {address}, {port}"},
		"no list":                 {"command: [", "command: x # [", "is not a list of words"},
		"a path without a slash":  {"/index.html", "index.html", `"index.html" does not begin with a slash`},
		"ready without a command": {"  command:", "  # command:", "there is no server.command that prints it"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Parse("x.yaml", []byte(strings.Replace(foreign, c.from, c.to, 1)))
			switch {
			case c.says == "" && err != nil:
				t.Fatal(err)
			case c.says == "":
				ours := !s.Server.Foreign() || !slices.Equal(s.Variants, []record.Variant{record.NoBlock})
				if ours || s.Server.Command[2] != "{address}:{port}" {
					t.Errorf("%+v", s.Server)
				}
			case err == nil || !strings.Contains(err.Error(), c.says):
				t.Errorf("error %v, want one on %q", err, c.says)
			}
		})
	}
}
