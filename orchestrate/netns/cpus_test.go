package netns

import (
	"runtime"
	"slices"
	"testing"

	"github.com/equic-bench/equic-bench/host"
)

func TestTheUsableCPUsAreThoseOfTheProcess(t *testing.T) {
	all, _ := host.Affinity()
	if len(all) == 0 || len(all) != runtime.NumCPU() {
		t.Fatalf("CPUs %v, want the %d of this process", all, runtime.NumCPU())
	}
	last := all[len(all)-1:]
	bound := make(chan []int)
	go func() {
		runtime.LockOSThread() // until it ends, and the thread with it
		if err := bind(last); err != nil {
			t.Error(err)
		}
		cpus, _ := host.Affinity()
		bound <- cpus
	}()
	if got := <-bound; !slices.Equal(got, last) {
		t.Errorf("CPUs %v where only %v may be used", got, last)
	}
}
