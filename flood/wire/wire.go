// Package wire sends the frames of a flood, opens a bridge port for them, and counts
// those that arrive, all by eBPF (bpf/flood.bpf.c).
//
// equic-flood uses it to send. orchestrate/netns opens the ports and counts, because
// the ports are outside of the nodes.
package wire

import (
	"errors"
	"fmt"
	"io"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

const (
	// FrameBytes is the size of a frame in IPv4: Ethernet, IPv4 and UDP headers, and a
	// datagram of 1200 bytes.
	FrameBytes = 14 + 20 + 8 + 1200
	// FrameBytes6 is the size in IPv6.
	FrameBytes6 = 14 + 40 + 8 + 1200
	// Mark is the type of service (IPv4) or traffic class (IPv6) of each frame: a code
	// point for local use (RFC 2474, section 6, pool 2), without ECN.
	Mark = 0xac
)

const (
	// batch is how many frames the kernel sends before it processes their effects. The
	// ring of a veth interface has 256 places; larger batches lose frames.
	batch = 32
	// liveFrames is BPF_F_TEST_XDP_LIVE_FRAMES.
	liveFrames = 1 << 1
)

// Sender sends frames through an interface, in order, and then again from the first. If
// the interface is one end of a veth pair, the other end needs a native XDP program
// (Open). Only one goroutine may use it.
type Sender struct {
	objects struct {
		Send   *ebpf.Program  `ebpf:"send"`
		Frames *ebpf.Map      `ebpf:"frames"`
		Sent   *ebpf.Variable `ebpf:"sent_frames"`
	}
	first []byte
}

// NewSender loads frames, all of the same size, FrameBytes6 at most. index is that of an
// interface of the calling thread's network namespace.
func NewSender(index int, frames [][]byte) (_ *Sender, err error) {
	spec, err := loadFlood()
	if err != nil {
		return nil, err
	}
	count := uint32(len(frames))
	spec.Maps["frames"].MaxEntries = count
	err = errors.Join(spec.Variables["out_index"].Set(uint32(index)), spec.Variables["frame_count"].Set(count),
		spec.Variables["frame_bytes"].Set(uint32(len(frames[0]))))
	if err != nil {
		return nil, err
	}
	s := &Sender{first: frames[0]}
	if err := spec.LoadAndAssign(&s.objects, nil); err != nil {
		return nil, fmt.Errorf("load the program that sends frames: %w", err)
	}
	padded := make([]byte, FrameBytes6)
	for i, frame := range frames {
		copy(padded, frame)
		if err := s.objects.Frames.Put(uint32(i), padded); err != nil {
			return nil, errors.Join(fmt.Errorf("load frame %d: %w", i, err), s.Close())
		}
	}
	return s, nil
}

// Send sends n frames. If a signal interrupts it, more may be sent: Sent counts them.
func (s *Sender) Send(n int) error {
	_, err := s.objects.Send.Run(&ebpf.RunOptions{
		Data: s.first, Repeat: uint32(n), Flags: liveFrames, BatchSize: uint32(min(n, batch)),
	})
	if err != nil {
		return fmt.Errorf("send %d frames by BPF_PROG_TEST_RUN: %w", n, err)
	}
	return nil
}

// Sent returns how many frames have been sent so far.
func (s *Sender) Sent() (n uint64, err error) {
	if err := s.objects.Sent.Get(&n); err != nil {
		return 0, fmt.Errorf("count the frames that were sent: %w", err)
	}
	return n, nil
}

// Close unloads the program.
func (s *Sender) Close() error { return errors.Join(s.objects.Send.Close(), s.objects.Frames.Close()) }

// Open attaches a native XDP program that passes all packets to an interface of the
// calling thread's network namespace, until it is closed.
func Open(index int) (_ io.Closer, err error) {
	var objects struct {
		LetThrough *ebpf.Program `ebpf:"let_through"`
	}
	if err := load(&objects); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, objects.LetThrough.Close()) }()
	l, err := link.AttachXDP(link.XDPOptions{Program: objects.LetThrough, Interface: index, Flags: link.XDPDriverMode})
	if err != nil {
		return nil, fmt.Errorf("attach an empty XDP program: %w", err)
	}
	return l, nil
}

func load(objects any) error {
	spec, err := loadFlood()
	if err != nil {
		return err
	}
	if err := spec.LoadAndAssign(objects, nil); err != nil {
		return fmt.Errorf("load a program: %w", err)
	}
	return nil
}

// Counter counts the frames with Mark that leave through an interface.
type Counter struct {
	objects struct {
		Count  *ebpf.Program  `ebpf:"count_marked"`
		Marked *ebpf.Variable `ebpf:"marked_frames"`
	}
	attached link.Link
}

// Count attaches a counter to an interface of the calling thread's network namespace.
// It needs Linux 6.6 (tcx).
func Count(index int) (*Counter, error) {
	c := new(Counter)
	if err := load(&c.objects); err != nil {
		return nil, err
	}
	var err error
	c.attached, err = link.AttachTCX(link.TCXOptions{
		Program: c.objects.Count, Interface: index, Attach: ebpf.AttachTCXEgress,
	})
	if err != nil {
		err = fmt.Errorf("attach a counter of frames, which needs Linux 6.6: %w", err)
		return nil, errors.Join(err, c.objects.Count.Close())
	}
	return c, nil
}

// Frames returns the number that have left so far.
func (c *Counter) Frames() (n uint64, err error) {
	if err := c.objects.Marked.Get(&n); err != nil {
		return 0, fmt.Errorf("count the frames that arrived: %w", err)
	}
	return n, nil
}

// Close detaches the counter.
func (c *Counter) Close() error { return errors.Join(c.attached.Close(), c.objects.Count.Close()) }
