package scenarios

import (
	"strings"
	"testing"
)

func TestASearchHasDefaultsAndGivesTheAttackItsStrength(t *testing.T) {
	s, err := Parse("x.yaml", []byte(strings.Replace(searching, "{from: 0.25x, to: 8x, factor: 1.25x, keep: 99%, "+
		"lost: 0, p99: 3x}", "{to: 4 x, keep: 97.5 %}", 1)))
	if err != nil {
		t.Fatal(err)
	}
	want := Search{From: 0.25, To: 4, Factor: 1.25, KeepPercent: 97.5, P99: 3}
	if *s.Search != want || s.Parallel.Strength != 4 || !s.Parallel.UpTo || s.Parallel.ClosedLoop() {
		t.Errorf("search %+v, attack %+v; want %+v, and up to 4x", *s.Search, s.Parallel, want)
	}
}

func TestAStrengthOfASearchIsAShareOfTheStrongest(t *testing.T) {
	s, err := Parse("x.yaml", []byte(searching))
	if err != nil {
		t.Fatal(err)
	}
	s.SetRates(func(string) (capacity, most float64) { return 100, 5 })
	at := s.At(0.5).Parallel
	if at.Rate != 12.5 || at.Strength != 0.5 || at.Reached != 0 || at.UpTo {
		t.Errorf("half of a capacity of 100/s with four attackers is %+v", at)
	}
	if s.Parallel.Rate != 125 || s.Parallel.Reached != 5 {
		t.Errorf("the strongest attack is now %+v", s.Parallel)
	}
}

func TestAnAttackCanHaveBoundsOfItsOwn(t *testing.T) {
	const loads = `name: x
search: {factor: 2x}
loads:
  requests: {sequential: &honest {count: 10, duration: 30s, pace: 200ms}, parallel: {count: 4, duration: 15s, delay: 15s}}
  junk:
    sequential: *honest
    parallel: {kind: junk, count: 4, duration: 15s, delay: 15s, rate: 10x to 1000x}
`
	s, err := Parse("x.yaml", []byte(loads))
	if err != nil {
		t.Fatal(err)
	}
	for cell, want := range map[string]Search{
		"requests": {From: 0.25, To: 8, Factor: 2, KeepPercent: 99, P99: 3},
		"junk":     {From: 10, To: 1000, Factor: 2, KeepPercent: 99, P99: 3},
	} {
		if c := s.CellNamed(cell); *c.Search != want || c.Parallel.Strength != want.To {
			t.Errorf("%s: search %+v, attack %+v; want %+v", cell, c.Search, c.Parallel, want)
		}
	}
}

func TestASearchThatCannotBeMadeIsRefused(t *testing.T) {
	for what, test := range map[string]struct{ old, new, want string }{
		"a rate": {"duration: 15s, delay", "duration: 15s, rate: 2x, delay", `clients.parallel.rate: "2x" is no range for the search`},
		"a range of no size": {
			"duration: 15s, delay", "duration: 15s, rate: 2x to 1x, delay", `clients.parallel.rate: "2x to 1x" is no range`,
		},
		"no unit":      {"from: 0.25x", "from: 0.25", `search.from: "0.25" is not a number with x behind it`},
		"no search":    {"search: {from: 0.25x, to: 8x, factor: 1.25x, keep: 99%, lost: 0, p99: 3x}\n", "", "clients.parallel.rate: is missing"},
		"no step":      {"factor: 1.25x", "factor: 1x", "search.factor: 1x is out of range"},
		"too much":     {"keep: 99%", "keep: 101%", "search.keep: 101% is out of range"},
		"no range":     {"to: 8x", "to: 0.2x", "search.to: is less than search.from"},
		"requests":     {"duration: 15s, delay", "requests: 15, delay", "clients.parallel.requests: a stronger attack would be a shorter one"},
		"closed loop":  {", pace: 200ms", "", "clients.sequential: has no rate and no pace"},
		"an early end": {"duration: 30s", "duration: 29s", "clients.sequential: ends before the attack does, at 30s"},
		"an early end of requests": {
			"duration: 30s", "requests: 140", "clients.sequential: ends before the attack does, at 30s",
		},
		"few requests": {"count: 10", "count: 5", "clients.parallel.delay: 375 sequential requests come before the attack and 375 during it"},
		"no attack":    {"  parallel: {count: 4, duration: 15s, delay: 15s, max_in_flight: 2000}\n", "", "search: there is no attack"},
		"attack alone": {"  sequential: {count: 10, duration: 30s, pace: 200ms}\n", "", "search: no clients show"},
	} {
		t.Run(what, func(t *testing.T) {
			text := strings.Replace(searching, test.old, test.new, 1)
			if text == searching {
				t.Fatal("nothing was replaced")
			}
			if _, err := Parse("x.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one that says %q", err, test.want)
			}
		})
	}
}
