package equic

import (
	"errors"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/internal/testkit/netkit"
)

// attachments receives a gateway's reports of its attachment.
type attachments chan Attachment

func (a attachments) next(t *testing.T) Attachment {
	t.Helper()
	select {
	case now := <-a:
		return now
	case <-time.After(time.Minute):
		t.Fatal("nothing is told of the attachment")
		return Attachment{}
	}
}

// recreate creates the pair's interfaces again. The test is then in the server's
// namespace.
func (p pair) recreate(t *testing.T) {
	t.Helper()
	netkit.AddVeth(t, serverIface, clientIface, p.Client)
	netkit.SetUp(t, serverIface, serverAddress+"/24")
	netkit.Enter(t, p.Client)
	netkit.SetUp(t, clientIface, clientAddress+"/24")
	netkit.Enter(t, p.Server)
}

func TestAnInterfaceThatIsCreatedAnewIsProtectedAgain(t *testing.T) {
	for _, gone := range []bool{true, false} {
		name := map[bool]string{true: "and is gone for a while", false: "at once"}[gone]
		t.Run(name, func(t *testing.T) {
			p := newPair(t)
			told, events := make(attachments, 8), make(chan Event, 8)
			g := mustAttach(t, Options{
				Interfaces: []string{serverIface}, Ports: onePort, Quota: 1, Events: events,
				OnAttachment: func(now Attachment) { told <- now },
			})
			testkit.Must(t, g.Inc(serverPort, alice))
			testkit.Must(t, netlink.LinkDel(netkit.Link(t, serverIface)))
			if gone {
				now := told.next(t)
				if now.Attached || now.Err == nil || now.Interface != serverIface {
					t.Errorf("told %+v, want that it is detached, and why", now)
				}
				if e := <-events; e.Kind != Detached {
					t.Errorf("event %+v, want %s", e, Detached)
				}
				if got := g.Attachments()[0]; got.Attached {
					t.Errorf("attachment %+v without an interface", got)
				}
			}
			p.recreate(t)
			for {
				if now := told.next(t); now.Attached {
					break
				}
			}
			if got := attachedMode(t); got != Native {
				t.Fatalf("the kernel says %q", got)
			}
			send := p.Wire(t)
			testkit.Await(t, "the client is dropped again", func() bool {
				send(datagram(t, alice.String(), initial()))
				return packets(t, g, DropOverQuota) > 0
			})
		})
	}
}

func TestAnInterfaceThatIsRenamedStaysProtected(t *testing.T) {
	p := newPair(t)
	told := make(attachments, 8)
	g := mustAttach(t, Options{Interfaces: []string{serverIface}, Ports: onePort, OnAttachment: func(now Attachment) { told <- now }})
	iface := netkit.Link(t, serverIface)
	testkit.Must(t, netlink.LinkSetDown(iface))
	testkit.Must(t, netlink.LinkSetName(iface, "renamed0"))
	if now := told.next(t); !now.Attached || now.Interface != "renamed0" {
		t.Errorf("told %+v, want that it is attached to renamed0", now)
	}
	// The interface that now has the old name is the one to protect.
	netkit.AddVeth(t, serverIface, "equictest2", p.Client)
	if now := told.next(t); !now.Attached || now.Interface != serverIface {
		t.Errorf("told %+v, want that it is attached to %s", now, serverIface)
	}
	if xdp := netkit.Link(t, "renamed0").Attrs().Xdp; xdp != nil && xdp.Attached {
		t.Error("the renamed interface still has the program")
	}
	if got := g.Attachments()[0]; got.Interface != serverIface {
		t.Errorf("attachment %+v", got)
	}
}

// A bridge has no native XDP.
func TestAnInterfaceThatTakesTheNameAndCannotBeProtectedIsTold(t *testing.T) {
	newPair(t)
	told := make(attachments, 8)
	mustAttach(t, Options{
		Interfaces: []string{serverIface}, Ports: onePort, OnAttachment: func(now Attachment) { told <- now },
	})
	iface := netkit.Link(t, serverIface)
	testkit.Must(t, netlink.LinkSetDown(iface))
	testkit.Must(t, netlink.LinkSetName(iface, "renamed0"))
	if now := told.next(t); !now.Attached || now.Interface != "renamed0" {
		t.Errorf("told %+v, want that it is attached to renamed0", now)
	}
	other := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: serverIface}}
	testkit.Must(t, netlink.LinkAdd(other))
	if now := told.next(t); now.Attached || now.Interface != serverIface || now.Err == nil {
		t.Errorf("told %+v, want that it is not attached to %s", now, serverIface)
	}
	testkit.Must(t, netlink.LinkDel(other))
	if now := told.next(t); !now.Attached || now.Interface != "renamed0" {
		t.Errorf("told %+v, want that it is attached to renamed0 again", now)
	}
}

func TestAnotherNameOfTheInterfaceIsItsName(t *testing.T) {
	const alternative = "an-alternative-name-of-the-interface"
	newPair(t)
	iface := netkit.Link(t, serverIface)
	testkit.Must(t, netlink.LinkAddAltName(iface, alternative))
	g := mustAttach(t, Options{Interfaces: []string{alternative}, Ports: onePort, Pin: newBPFFolder(t)})
	k, since := g.at.(keepers)[0], g.Attachments()[0].Since
	k.look()
	if got := g.Attachments()[0]; !got.Attached || got.Since != since {
		t.Errorf("attachment %+v, want one since %v", got, since)
	}
}

func TestOnAttachmentMayUseAGatewayThatIsClosed(t *testing.T) {
	newPair(t)
	var g *Gateway
	called, attached := make(chan bool, 8), make(chan bool)
	var ends error
	g, err := Attach(Options{
		Interfaces: []string{serverIface}, Ports: onePort,
		OnAttachment: func(Attachment) {
			<-attached
			called <- true
			for ends == nil { // until Close
				_, ends = g.Stats()
			}
		},
	})
	testkit.Must(t, err)
	close(attached)
	testkit.Must(t, netlink.LinkDel(netkit.Link(t, serverIface)))
	<-called
	testkit.Must(t, g.Close())
	if !errors.Is(ends, ErrClosed) {
		t.Errorf("error %v, want ErrClosed", ends)
	}
}

func TestAProgramThatWasTakenOffIsAttachedAgain(t *testing.T) {
	newPair(t)
	told := make(attachments, 8)
	g := mustAttach(t, Options{Interfaces: []string{serverIface}, Ports: onePort, OnAttachment: func(now Attachment) { told <- now }})
	k := g.at.(keepers)[0]
	k.mu.Lock()
	err := errors.Join(k.link.Close()) // as `bpftool link detach` does
	k.mu.Unlock()
	testkit.Must(t, err)
	if now := told.next(t); !now.Attached {
		t.Errorf("told %+v, want that it is attached again", now)
	}
	if got := attachedMode(t); got != Native {
		t.Errorf("the kernel says %q", got)
	}
}

func TestAProgramInItsPlaceIsTold(t *testing.T) {
	p := newPair(t)
	told := make(attachments, 8)
	g := mustAttach(t, Options{Interfaces: []string{serverIface}, Ports: onePort, OnAttachment: func(now Attachment) { told <- now }})
	testkit.Must(t, netlink.LinkDel(netkit.Link(t, serverIface)))
	if now := told.next(t); now.Attached {
		t.Fatalf("told %+v", now)
	}
	other, err := emptyProgram(Native)
	testkit.Must(t, err)
	defer other.Close()
	k := g.at.(keepers)[0]
	k.mu.Lock() // so that the other one is first
	p.recreate(t)
	testkit.Must(t, netlink.LinkSetXdpFd(netkit.Link(t, serverIface), other.FD()))
	k.mu.Unlock()
	testkit.Await(t, "the reason is told", func() bool {
		now := g.Attachments()[0]
		return !now.Attached && now.Err != nil && isTaken(now.Err)
	})
	testkit.Must(t, netlink.LinkSetXdpFd(netkit.Link(t, serverIface), -1))
	if now := told.next(t); !now.Attached {
		t.Errorf("told %+v, want that it is attached when the other has left", now)
	}
}

func TestAClientOnTwoInterfacesHasOneQuota(t *testing.T) {
	const second, its = "equictest2", "equictest3"
	p := newPair(t)
	add := func() {
		netkit.AddVeth(t, second, its, p.Client)
		netkit.SetUp(t, second)
		netkit.Enter(t, p.Client)
		netkit.SetUp(t, its)
		netkit.Enter(t, p.Server)
	}
	add()
	told := make(attachments, 8)
	g := mustAttach(t, Options{
		Interfaces: []string{serverIface, second}, Ports: onePort, Quota: 1, OnAttachment: func(now Attachment) { told <- now },
	})
	testkit.Must(t, g.Inc(serverPort, alice))
	dropped := func(send func([]byte)) {
		t.Helper()
		before := packets(t, g, DropOverQuota)
		testkit.Await(t, "the client is dropped", func() bool {
			send(datagram(t, alice.String(), initial()))
			return packets(t, g, DropOverQuota) > before
		})
	}
	first := p.Wire(t)
	dropped(first)
	dropped(p.WireBetween(t, its, second))

	testkit.Must(t, netlink.LinkDel(netkit.Link(t, second)))
	if now := told.next(t); now.Attached || now.Interface != second {
		t.Errorf("told %+v, want that %s is gone", now, second)
	}
	if all := g.Attachments(); len(all) != 2 || !all[0].Attached || all[1].Attached {
		t.Errorf("attachments %+v, want the first only", all)
	}
	dropped(first)
	add()
	if now := told.next(t); !now.Attached || now.Interface != second {
		t.Errorf("told %+v, want that %s is back", now, second)
	}
	dropped(p.WireBetween(t, its, second))
}

func TestAllInterfacesAreProtectedOrNone(t *testing.T) {
	newPair(t)
	_, err := Attach(Options{Interfaces: []string{serverIface, "nope0"}, Ports: onePort})
	if err == nil {
		t.Error("no error for an interface that is not there")
	}
	if got := attachedMode(t); got != "" {
		t.Errorf("the other has a program in mode %s", got)
	}
	_, err = Attach(Options{Interfaces: []string{serverIface, serverIface}, Ports: onePort})
	if !errors.Is(err, ErrOptions) {
		t.Errorf("twice the same: %v, want ErrOptions", err)
	}
}
