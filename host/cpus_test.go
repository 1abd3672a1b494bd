package host

import (
	"slices"
	"testing"
	"testing/fstest"
)

func TestListsOfCPUsAreRead(t *testing.T) {
	for list, want := range map[string][]int{
		"0":              {0},
		"0-3":            {0, 1, 2, 3},
		"0-3,7":          {0, 1, 2, 3, 7},
		"0,2-3,6":        {0, 2, 3, 6},
		"5-5,65535":      {5, 65535},
		"":               nil,
		",":              nil,
		"0,":             nil,
		"x":              nil,
		"0-x":            nil,
		"0-":             nil,
		"-1":             nil,
		"3-1":            nil,
		"1,0":            nil,
		"0-3,3":          nil,
		"0-3\n":          nil,
		"0-4294967295":   nil,
		"65536":          nil,
		"0-7:2/4":        nil,
		"0-1-2":          nil,
		"0, 1":           nil,
		"00000000,0000f": nil,
	} {
		got, err := ParseCPUs(list)
		if !slices.Equal(got, want) || (err == nil) != (want != nil) {
			t.Errorf("%q: %v, %v; want %v", list, got, err, want)
		}
	}
}

func FuzzParseCPUs(f *testing.F) {
	for _, list := range []string{"0-3,7", "0,2-3,6", "", "0-x", "3-1"} {
		f.Add(list)
	}
	f.Fuzz(func(t *testing.T, list string) {
		cpus, err := ParseCPUs(list)
		if err != nil {
			return
		}
		if again, err := ParseCPUs(FormatCPUs(cpus)); err != nil || !slices.Equal(again, cpus) {
			t.Errorf("%q is read as %v, and that as %v, %v", list, cpus, again, err)
		}
	})
}

func TestOnlineCPUsMayHaveGaps(t *testing.T) {
	for list, want := range map[string][]int{"0,2-3,6\n": {0, 2, 3, 6}, "0-x": nil} {
		if got := files("sys/devices/system/cpu/online", list).OnlineCPUs(); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", list, got, want)
		}
	}
	if got := New(fstest.MapFS{}).OnlineCPUs(); got != nil {
		t.Errorf("without the file: %v", got)
	}
}
