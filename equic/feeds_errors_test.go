package equic

import (
	"errors"
	"slices"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/equic-bench/equic-bench/internal/testkit"
)

var errBroken = errors.New("broken on purpose")

// never is more keys than a test has.
const never = 1000

// failingMap is a map of the kernel whose batches fail after some keys.
type failingMap struct {
	prefixMap
	updates, deletes int
}

func (m *failingMap) BatchUpdate(keys, values any, _ *ebpf.BatchOptions) (int, error) {
	return batch(keys, m.updates, func(some []prefixKey) (int, error) {
		return m.prefixMap.BatchUpdate(some, values.([]origin)[:len(some)], nil)
	})
}

func (m *failingMap) BatchDelete(keys any, _ *ebpf.BatchOptions) (int, error) {
	return batch(keys, m.deletes, func(some []prefixKey) (int, error) { return m.prefixMap.BatchDelete(some, nil) })
}

// batch does something with at most so many keys, and fails if there are more.
func batch(keys any, most int, do func([]prefixKey) (int, error)) (n int, err error) {
	all := keys.([]prefixKey)
	some := all[:min(most, len(all))]
	if len(some) > 0 {
		n, err = do(some)
	}
	if len(some) < len(all) {
		err = errors.Join(err, errBroken)
	}
	return n, err
}

// failing is a gateway whose list of denied prefixes can fail.
type failing struct {
	*program
	kernel  *failingMap
	changes int // changes of the program's settings that succeed before the others fail
}

func newFailing(t *testing.T, o Options) *failing {
	t.Helper()
	o.Ports = onePort
	f := &failing{program: newProgram(t, o)}
	f.kernel = &failingMap{prefixMap: f.denied.kernel}
	f.denied.kernel = f.kernel
	changed := f.denied.changed
	f.denied.changed = func(empty bool) error {
		if f.changes--; f.changes < 0 {
			return errBroken
		}
		return changed(empty)
	}
	f.repair()
	return f
}

func (f *failing) repair() { f.kernel.updates, f.kernel.deletes, f.changes = never, never, never }

// wantListed checks what is on the list, and that the kernel drops that and no more.
func (f *failing) wantListed(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	for _, prefix := range f.Denied().Prefixes() {
		got = append(got, prefix.Addr().String())
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q are on the list, want %q", got, want)
	}
	for _, client := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"} {
		reason := PassUnknownClient
		if slices.Contains(got, client) {
			reason = DropDenied
		}
		f.expect(t, datagram(t, client, initial()), reason, serverPort)
	}
}

func TestTheKernelAndAListAgreeAfterAnError(t *testing.T) {
	next := func(l *List) error { return l.SetFeed(prefixList("192.0.2.3/32", "192.0.2.4/32")) }
	none := func(l *List) error { return l.SetFeed(nil) }
	all := []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"}
	for _, test := range []struct {
		name                      string
		updates, deletes, changes int
		do                        func(*List) error
		want, after               []string // on the list after the error, and after another attempt
	}{
		{"the next feed is not added", 0, never, never, next, all, []string{"192.0.2.3", "192.0.2.4"}},
		{"the old feed is not removed", never, 0, never, next, append(all[:3:3], "192.0.2.4"), []string{"192.0.2.3", "192.0.2.4"}},
		{"half of it is removed", never, 1, never, next, append(all[:3:3], "192.0.2.4"), []string{"192.0.2.3", "192.0.2.4"}},
		{"an empty feed is half removed", never, 2, never, none, all, nil},
		{"an empty list stays in use", never, never, 0, none, all, nil},
		{"and later cannot be used again", never, 2, 1, none, all, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFailing(t, Options{DeniedFeed: prefixList("192.0.2.1/32", "192.0.2.2/32", "192.0.2.3/32")})
			f.kernel.updates, f.kernel.deletes, f.changes = test.updates, test.deletes, test.changes
			wantError(t, test.do(f.Denied()), errBroken, "set a feed")
			if test.changes != 1 { // else the program does not read the list until the next attempt
				f.wantListed(t, test.want...)
			}
			f.repair()
			testkit.Must(t, f.Denied().SetFeed(prefixList(withLength(test.want)...)))
			f.wantListed(t, test.want...)
			testkit.Must(t, test.do(f.Denied()))
			f.wantListed(t, test.after...)
		})
	}
}

func withLength(addresses []string) []string {
	var texts []string
	for _, a := range addresses {
		texts = append(texts, a+"/32")
	}
	return texts
}

func TestANewFeedThatIsHalfAddedIsTakenBack(t *testing.T) {
	f := newFailing(t, Options{DeniedFeed: prefixList("192.0.2.1/32")})
	feed := prefixList("192.0.2.2/32", "192.0.2.3/32")
	f.kernel.updates = 1
	wantError(t, f.Denied().SetFeed(feed), errBroken, "set a feed")
	f.wantListed(t, "192.0.2.1")
	f.repair()
	testkit.Must(t, f.Denied().SetFeed(feed))
	f.wantListed(t, "192.0.2.2", "192.0.2.3")
}

func TestAListShowsWhatTheKernelDoesNotTakeBack(t *testing.T) {
	f := newFailing(t, Options{DeniedFeed: prefixList("192.0.2.1/32", "192.0.2.2/32")})
	f.kernel.deletes, f.kernel.updates = 1, 0
	wantError(t, f.Denied().SetFeed(nil), errBroken, "prefixes that have left the list all the same: 1")
	left := f.Denied().Prefixes()
	if len(left) != 1 {
		t.Fatalf("%v is on the list, want one of the two", left)
	}
	f.wantListed(t, left[0].Addr().String())
	f.repair()
	testkit.Must(t, f.Denied().SetFeed(prefixList("192.0.2.1/32", "192.0.2.2/32")))
	f.wantListed(t, "192.0.2.1", "192.0.2.2")
}

func TestAListShowsWhatTheKernelKeeps(t *testing.T) {
	f := newFailing(t, Options{DeniedFeed: prefixList("192.0.2.1/32")})
	f.kernel.updates, f.kernel.deletes = 1, 0
	err := f.Denied().SetFeed(prefixList("192.0.2.2/32", "192.0.2.3/32"))
	wantError(t, err, errBroken, "prefixes that stay on the list until its next feed: 1")
	if got := f.Denied().Prefixes(); len(got) != 2 {
		t.Fatalf("%v is on the list, want the old feed and one more", got)
	}
	f.wantListed(t, "192.0.2.1", f.Denied().Prefixes()[1].Addr().String())
	f.repair()
	testkit.Must(t, f.Denied().SetFeed(prefixList("192.0.2.4/32")))
	f.wantListed(t, "192.0.2.4")
}

func TestAPrefixThatCannotBeRemovedStays(t *testing.T) {
	prefix := prefixList("192.0.2.1/32")[0]
	for name, fail := range map[string]func(*failing){
		"the kernel keeps it":        func(f *failing) { f.kernel.deletes = 0 },
		"the program reads the list": func(f *failing) { f.changes = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFailing(t, Options{Denied: prefixList("192.0.2.1/32")})
			fail(f)
			wantError(t, f.Denied().Remove(prefix), errBroken, "remove 192.0.2.1/32")
			f.repair()
			testkit.Must(t, f.Denied().Add(prefix))
			f.wantListed(t, "192.0.2.1")
			testkit.Must(t, f.Denied().Remove(prefix))
			f.wantListed(t)
		})
	}
}
