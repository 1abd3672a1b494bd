package equic

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/equic-bench/equic-bench/internal/testkit"
)

func prefixList(texts ...string) []netip.Prefix {
	var list []netip.Prefix
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

func TestListsDecideBeforeAllElse(t *testing.T) {
	for _, policy := range []Policy{PolicyNew, PolicyClient} {
		t.Run(string(policy), func(t *testing.T) {
			p := newProgram(t, Options{
				Ports: onePort, Quota: 3, Policy: policy, MaxClients: 8,
				Allowed: prefixList(over+"/32", "192.0.2.128/25", "2001:db8::/64", "203.0.113.5/32"),
				Denied:  prefixList("192.0.2.0/24", "2001:db8::/32", "203.0.113.5/32"),
			})
			p.fillClients(t)
			p.expectAll(t, []packetCase{
				{"an allowed client over its quota passes", datagram(t, over, initial()), PassAllowed},
				{"its short Initial too", datagram(t, over, long(quicV1, 0, 50)), PassAllowed},
				{"one that is not on a list is judged", datagram(t, at, initial()), DropOverQuota},
				{"a denied client is dropped", datagram(t, "192.0.2.1", initial()), DropDenied},
				{"and what it has established", datagram(t, "192.0.2.1", short()), DropDenied},
				{"and what can't be read", datagram(t, "192.0.2.1", nil), DropDenied},
				{"one that is allowed within what is denied passes", datagram(t, "192.0.2.128", initial()), PassAllowed},
				{"one that is on both lists passes", datagram(t, "203.0.113.5", initial()), PassAllowed},
				{"its neighbour is on none", datagram(t, "203.0.113.4", initial()), PassUnknownClient},
				{"an IPv6 client that is allowed within what is denied passes", datagram(t, over6, initial()), PassAllowed},
				{"an IPv6 client that is denied is dropped", datagram(t, "2001:db8:0:1::1", initial()), DropDenied},
				{"an IPv6 client that is on no list is judged", datagram(t, "2001:db9::1", initial()), PassUnknownClient},
				{"other ports have no lists", datagramTo(t, "192.0.2.1", 53, initial()), PassOtherPort},
			})
		})
	}
}

func TestAListHoldsForEveryPort(t *testing.T) {
	p := newProgram(t, Options{Ports: []Port{{Number: 443}, {Number: 8443}}})
	testkit.Must(t, p.Denied().Add(netip.MustParsePrefix("192.0.2.0/24")))
	p.expect(t, datagramTo(t, "192.0.2.1", 443, initial()), DropDenied, 443)
	p.expect(t, datagramTo(t, "192.0.2.1", 8443, initial()), DropDenied, 8443)
}

func TestListsChangeWhileTheProgramIsLoaded(t *testing.T) {
	p := newProgram(t, Options{Ports: onePort})
	wide, narrow := netip.MustParsePrefix("198.51.0.0/16"), netip.MustParsePrefix("198.51.100.0/24")
	for _, step := range []struct {
		name string
		do   func() error
		want string
	}{
		{"nothing is listed", func() error { return nil }, PassUnknownClient},
		{"a wide prefix is denied", func() error { return p.Denied().Add(wide) }, DropDenied},
		{"a narrow one too", func() error { return p.Denied().Add(narrow) }, DropDenied},
		{"and once more", func() error { return p.Denied().Add(narrow) }, DropDenied},
		{"the wide one is taken off", func() error { return p.Denied().Remove(wide) }, DropDenied},
		{"the narrow one is allowed", func() error { return p.Allowed().Add(narrow) }, PassAllowed},
		{"and no longer denied", func() error { return p.Denied().Remove(narrow) }, PassAllowed},
		{"the wide one is denied again", func() error { return p.Denied().Add(wide) }, PassAllowed},
		{"the narrow one is no longer allowed", func() error { return p.Allowed().Remove(narrow) }, DropDenied},
		{"nothing is listed again", func() error { return p.Denied().Remove(wide) }, PassUnknownClient},
	} {
		testkit.Must(t, step.do())
		t.Run(step.name, func(t *testing.T) {
			p.expect(t, datagram(t, stranger, initial()), step.want, serverPort)
		})
	}
}

func TestAPrefixOfEitherFamilyLeavesTheOtherAlone(t *testing.T) {
	for _, test := range []struct{ denied, four, six string }{
		{"0.0.0.0/0", DropDenied, PassUnknownClient},
		{"::/0", PassUnknownClient, DropDenied},
		{"::/0 0.0.0.0/0", DropDenied, DropDenied},
		{"::/0 198.51.100.0/24", DropDenied, DropDenied},
		{"::/0 203.0.113.0/24", PassUnknownClient, DropDenied},
		{"::/80", PassUnknownClient, PassUnknownClient},
		{"::ffff:198.51.100.0/120", DropDenied, PassUnknownClient},
	} {
		t.Run("denied "+test.denied, func(t *testing.T) {
			p := newProgram(t, Options{Ports: onePort})
			for text := range strings.FieldsSeq(test.denied) {
				testkit.Must(t, p.Denied().Add(netip.MustParsePrefix(text)))
			}
			p.expect(t, datagram(t, stranger, initial()), test.four, serverPort)
			p.expect(t, datagram(t, over6, initial()), test.six, serverPort)
			for text := range strings.FieldsSeq(test.denied) {
				testkit.Must(t, p.Denied().Remove(netip.MustParsePrefix(text)))
			}
			p.expect(t, datagram(t, stranger, initial()), PassUnknownClient, serverPort)
			p.expect(t, datagram(t, over6, initial()), PassUnknownClient, serverPort)
		})
	}
}

func TestEveryLengthOfPrefixMatchesItsBitsAlone(t *testing.T) {
	for _, address := range []string{"198.51.100.1", "2001:db8:1:2:3:4:5:6"} {
		p := newProgram(t, Options{Ports: onePort})
		addr := netip.MustParseAddr(address)
		for bits := 1; bits <= addr.BitLen(); bits++ {
			prefix, err := addr.Prefix(bits)
			testkit.Must(t, err)
			testkit.Must(t, p.Denied().Add(netip.PrefixFrom(addr, bits))) // the other bits are ignored
			p.expect(t, datagram(t, address, initial()), DropDenied, serverPort)
			p.expect(t, datagram(t, flipped(addr, bits-1).String(), initial()), PassUnknownClient, serverPort)
			testkit.Must(t, p.Denied().Remove(prefix))
		}
	}
}

// flipped returns an address with one bit changed, counted from the first.
func flipped(addr netip.Addr, bit int) netip.Addr {
	b := addr.AsSlice()
	b[bit/8] ^= 0x80 >> (bit % 8)
	changed, _ := netip.AddrFromSlice(b)
	return changed
}

func TestAPrefixOfIPv6IsNotMostOfIPv4(t *testing.T) {
	for text, want := range map[string]string{
		"64:ff9b::/96": "", "64:ff9b::8000:0/97": "", "::ffff:0:0/96": "", // as lists of special addresses have them
		"64:ff9b::c000:200/120": "192.0.2.0/24", "64:ff9b::a00:0/104": "10.0.0.0/8", "::/0": "::/0", "0.0.0.0/0": "0.0.0.0/0",
	} {
		got, err := ListedPrefix(netip.MustParsePrefix(text))
		if (err != nil) != (want == "") || err == nil && got.String() != want {
			t.Errorf("%s is listed as %v, %v; want %q", text, got, err, want)
		}
	}
}

func TestAListTellsWhatIsOnIt(t *testing.T) {
	p := newProgram(t, Options{
		Ports:  onePort,
		Denied: prefixList("192.0.2.7/24", "2001:db8::1/32", "::ffff:203.0.113.0/120"),
	})
	want := prefixList("192.0.2.0/24", "203.0.113.0/24", "2001:db8::/32")
	same := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
	if diff := cmp.Diff(want, p.Denied().Prefixes(), same); diff != "" {
		t.Errorf("denied (-want +got):\n%s", diff)
	}
	if got := p.Allowed().Prefixes(); len(got) != 0 {
		t.Errorf("allowed %v, want none", got)
	}
	for _, prefix := range []netip.Prefix{
		{},
		netip.MustParsePrefix("192.0.2.0/25"),
		netip.MustParsePrefix("192.0.0.0/16"),
	} {
		if err := p.Denied().Remove(prefix); err == nil {
			t.Errorf("removed %v, which is not on the list", prefix)
		}
	}
	if err := p.Denied().Add(netip.Prefix{}); err == nil {
		t.Error("added a prefix that is none")
	}
	if diff := cmp.Diff(want, p.Denied().Prefixes(), same); diff != "" {
		t.Errorf("denied after errors (-want +got):\n%s", diff)
	}
}
