package results

import "testing"

func TestATrialIsLimitedIfItsClientsAloneMakeItInvalid(t *testing.T) {
	check := func(rule string, ok bool) Check { return Check{Rule: rule, OK: ok} }
	for name, test := range map[string]struct {
		checks []Check
		want   bool
	}{
		"a valid trial":                  {[]Check{check("completed", true)}, false},
		"clients that are busy":          {[]Check{check("completed", true), check(GeneratorRule, false)}, true},
		"frames that are lost":           {[]Check{check(FloodRule, false), check(GeneratorRule, false)}, true},
		"busy clients and a dead server": {[]Check{check("completed", false), check(GeneratorRule, false)}, false},
	} {
		trial := &Trial{Checks: test.checks}
		if trial.Valid = len(trial.BrokenRules()) == 0; trial.Limited() != test.want {
			t.Errorf("%s: limited %v", name, trial.Limited())
		}
	}
}
