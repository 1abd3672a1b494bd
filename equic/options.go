package equic

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// DefaultHoldDown is the default of Options.HoldDown.
const DefaultHoldDown = time.Second

// Defaults of Options.
const (
	DefaultQuota      = 5 // as in the paper
	DefaultMaxClients = 65536
	DefaultIPv4Prefix = 32 // bits
	DefaultIPv6Prefix = 64 // bits: the smallest network that a provider assigns to one customer
	// DefaultMaxPrefixes has room for two versions of a feed of 100,000 prefixes.
	DefaultMaxPrefixes = 1 << 18
)

// Limits of Options.
const (
	MaxPorts     = 63      // of one gateway
	MostClients  = 1 << 24 // largest MaxClients
	MostPrefixes = 1 << 24 // largest MaxPrefixes
)

// Policy selects which packets of a client at its quota are dropped.
type Policy string

// The policies.
const (
	// PolicyNew drops the packets that open a connection: Initial, 0-RTT, long headers
	// of versions that the program does not recognize, and the first of several IP
	// fragments (RFC 9000 forbids fragments). Established connections continue, so
	// clients that share an address keep theirs.
	PolicyNew Policy = "new"
	// PolicyClient drops every packet: Algorithm 1 of the paper. A blocked client's
	// connections end only by the server's idle timeout, and it stays blocked until
	// then.
	PolicyClient Policy = "client"
)

// ParsePolicy parses a policy's name. The empty name is PolicyNew.
func ParsePolicy(name string) (Policy, error) {
	switch p := Policy(name); p {
	case "":
		return PolicyNew, nil
	case PolicyNew, PolicyClient:
		return p, nil
	}
	return "", fmt.Errorf("policy is %q: give %s or %s", name, PolicyNew, PolicyClient)
}

// Options specify what Attach protects, and how.
type Options struct {
	// Interfaces are the names of the interfaces on which clients' packets arrive, in the
	// caller's network namespace. They share the counts, lists and limits. Required,
	// unless Mode is Netfilter or Socket.
	Interfaces []string
	// Ports are the server's UDP ports, at most MaxPorts. Each is an application with
	// its own counts and limits. Packets to other ports are not dropped. Required.
	Ports []Port

	// The defaults for fields that a Port leaves at zero.
	//
	// Quota is the number of simultaneous connections that a client may have. A client
	// with that many is blocked. Zero is DefaultQuota.
	Quota int
	// Policy selects which packets of a blocked client are dropped. Empty is PolicyNew.
	Policy Policy
	// InitialsPerSecond limits, for each client, the packets that open a connection,
	// independently of its quota. One attempt takes two or three of them: a ClientHello
	// with a post-quantum key share fills two, and the client sends one more to acknowledge
	// the server's Initial. The limit applies before an address is validated: a spoofed packet
	// takes a token of the client whose address it claims. Zero is no limit.
	InitialsPerSecond float64
	// Burst is the number of such packets that a client may send at once. Zero is one
	// second's worth, and at least 4. The minimum is 10 ms' worth, and the maximum a week's.
	Burst int

	// Mode selects where the program runs. Empty is Native.
	Mode Mode
	// Sockets are the server's UDP sockets, for the modes Socket and Auto. The gateway
	// does not close them. They may be closed before the gateway is.
	Sockets []syscall.Conn
	// MaxClients is the number of clients that may have connections at once; for a
	// further client the error is ErrFull. The memory is allocated at the start, about
	// 160 bytes per client. Zero is DefaultMaxClients.
	MaxClients int
	// IPv4Prefix and IPv6Prefix are the lengths, in bits, of the prefixes that
	// distinguish clients. Zero is DefaultIPv4Prefix and DefaultIPv6Prefix.
	IPv4Prefix, IPv6Prefix int

	// Quotas replace Quota and Port.Quota, at every port, for the clients in some prefixes.
	// An example is a higher quota for the addresses that a provider shares among its
	// customers (CGNAT). Of several prefixes that contain a client, the longest applies.
	// None may be longer than the prefix that identifies a client.
	Quotas []PrefixQuota
	// Networks limits the connections of whole networks, too.
	Networks NetworkLimits
	// HalfOpen limits the handshakes in progress from addresses that are not validated.
	HalfOpen HalfOpenLimits
	// HoldDown is how long a connection continues to count after its end, under
	// PolicyNew, if its client was refused something in the last 10 to 20 seconds. It
	// is also how long a failed handshake continues to count. Without it, a client that
	// opens short connections as fast as it can gets a new one each time one of them
	// ends. Zero is DefaultHoldDown, negative is none.
	HoldDown time.Duration
	// AllowTunnels attaches even if there is a tunnel device that is up (IPIP, GRE,
	// VXLAN and others). The program does not see the packets of a tunnel: they arrive
	// inside others.
	AllowTunnels bool
	// LongIDs is set if the server's connection IDs have 8 bytes or more. An Initial to a
	// shorter one then opens a connection, like any other. Some servers accept such an
	// Initial from a client that they do not know, against RFC 9000, 7.2. A server with short
	// IDs, such as one of quic-go, must not set it: it gets such packets in every handshake.
	LongIDs bool
	// Pin is a folder in a BPF file system, such as /sys/fs/bpf/equic, in which the
	// gateway outlives its process: see Handing over, in the package's description. A
	// gateway that is there is taken over. Then Mode, Ports with their policies,
	// MaxClients, MaxPrefixes and the prefix lengths must be the same, or the error is
	// ErrPinned. Limits that were changed while the predecessor ran stay changed, unless
	// these options differ from its own. Empty is no pinning. The modes Netfilter and
	// Socket cannot be pinned.
	Pin string
	// TakeOver is called if a living process owns the gateway in Pin. It must make that
	// process call Leave. If it is nil in that case, the error is ErrPinned.
	TakeOver func() error
	// Inherit is how long the connections that a predecessor counted still count, unless
	// Claim takes them over. Give a time if the owners of the connections are other
	// processes, which live on. Zero is none: they were this program's own, and have
	// ended with it.
	Inherit time.Duration
	// Monitor makes the gateway judge and count everything, but drop and refuse nothing:
	// see Gateway.SetMonitor.
	Monitor bool
	// Pass is the set of unusual packets to pass, although no QUIC client sends them.
	Pass Unusual

	// Allowed clients' packets are never dropped. Denied clients' packets always are,
	// unless the client is also allowed. Gateway.Allowed and Gateway.Denied change the
	// lists.
	Allowed, Denied []netip.Prefix
	// AllowedFeed and DeniedFeed are the first feeds of the two lists: List.SetFeed
	// replaces them as a whole. If one is nil, the feed of a predecessor (Pin) stays; without
	// a predecessor it is empty.
	AllowedFeed, DeniedFeed []netip.Prefix
	// MaxPrefixes is the number of prefixes that each list has room for. While SetFeed
	// replaces a feed, both versions of it are on the list. Memory is allocated only for
	// prefixes that are on the list, about 200 bytes each. Zero is DefaultMaxPrefixes.
	MaxPrefixes int

	// Events receives what happens to clients. Sending never blocks: if the channel has
	// no room, the event is lost and counted in Stats.EventsLost. The channel is never
	// closed. Nil is no events.
	Events chan<- Event
	// OnAttachment is called, by a goroutine of the gateway, when the program is no
	// longer attached to an interface, when it is attached again, and when the interface is
	// renamed. There is one call at a time, and the first may come before Attach returns. It
	// may be nil.
	OnAttachment func(Attachment)
	// SamplesPerSecond is how many dropped packets per second become an event (Sampled).
	// Zero is none.
	SamplesPerSecond int
	// EventsPerSecond limits the other events in the kernel. Events above the limit are lost
	// and counted. Zero is 1000.
	EventsPerSecond int
}

// Unusual is a set of kinds of packets that no QUIC client sends. The program drops
// them unless they are in Options.Pass.
type Unusual uint8

// The elements of the set.
const (
	// Fragments are the first fragments of a datagram to a protected port, and first
	// fragments of any packet that lack some of the headers (RFC 8200, 4.5; RFC 9000,
	// 14 forbids fragments). Later fragments pass, since they are useless without the
	// first.
	Fragments Unusual = 1 << iota
	// IPv4Options are packets with IPv4 options to a protected port.
	IPv4Options
	// DeepHeaders are packets with more VLAN tags or IPv6 extension headers than the
	// program reads.
	DeepHeaders
)

// Port is one application: a UDP port and its limits. Limits left at zero are those of
// Options. A negative InitialsPerSecond is no limit.
type Port struct {
	Number            uint16
	Quota             int
	Policy            Policy
	InitialsPerSecond float64
	Burst             int
}

// complete fills in the defaults, then validates.
func (o Options) complete() (Options, error) {
	if o.Quota == 0 {
		o.Quota = DefaultQuota
	}
	if o.MaxClients == 0 {
		o.MaxClients = DefaultMaxClients
	}
	if o.IPv4Prefix == 0 {
		o.IPv4Prefix = DefaultIPv4Prefix
	}
	if o.IPv6Prefix == 0 {
		o.IPv6Prefix = DefaultIPv6Prefix
	}
	if o.MaxPrefixes == 0 {
		o.MaxPrefixes = DefaultMaxPrefixes
	}
	if o.EventsPerSecond == 0 {
		o.EventsPerSecond = 1000
	}
	o.HalfOpen = o.HalfOpen.complete()
	o.Networks = o.Networks.complete(&o)
	if o.HoldDown == 0 {
		o.HoldDown = DefaultHoldDown
	}
	mode, err := ParseMode(string(o.Mode))
	if err != nil {
		return o, err
	}
	o.Mode = mode
	policy, err := ParsePolicy(string(o.Policy))
	if err != nil {
		return o, err
	}
	o.Policy = policy
	if o.Pin != "" {
		o.Pin = filepath.Clean(o.Pin)
	}
	o.Interfaces = slices.Clone(o.Interfaces)
	o.Ports = slices.Clone(o.Ports)
	for i := range o.Ports {
		if o.Ports[i], err = o.completePort(o.Ports[i]); err != nil {
			return o, err
		}
	}
	return o, o.validate()
}

func (o *Options) completePort(p Port) (Port, error) {
	if p.Quota == 0 {
		p.Quota = o.Quota
	}
	if p.Policy == "" {
		p.Policy = o.Policy
	}
	policy, err := ParsePolicy(string(p.Policy))
	if err != nil {
		return p, fmt.Errorf("port %d: %w", p.Number, err)
	}
	p.Policy = policy
	if p.InitialsPerSecond == 0 {
		p.InitialsPerSecond = o.InitialsPerSecond
	}
	if p.Burst == 0 {
		p.Burst = o.Burst
	}
	return p, nil
}

func (o *Options) validate() error {
	switch {
	case len(o.Interfaces) == 0 && o.Mode != Netfilter && o.Mode != Socket:
		return errors.New("no interface given: name the one on which clients arrive, such as eth0")
	case o.Mode == Socket && len(o.Sockets) == 0:
		return errors.New("no sockets given: give the server's UDP socket")
	case o.Pin != "" && (o.Mode == Netfilter || o.Mode == Socket):
		return fmt.Errorf("mode %s cannot be pinned: give %s, %s or %s", o.Mode, Native, TC, Generic)
	case len(o.Ports) == 0:
		return errors.New("no ports given: give the server's UDP port")
	case len(o.Ports) > MaxPorts:
		return fmt.Errorf("%d ports given: give %d at most", len(o.Ports), MaxPorts)
	case o.MaxClients < 1 || o.MaxClients > MostClients:
		return fmt.Errorf("max clients is %d: give 1 to %d", o.MaxClients, MostClients)
	case o.MaxPrefixes < 1 || o.MaxPrefixes > MostPrefixes:
		return fmt.Errorf("max prefixes is %d: give 1 to %d", o.MaxPrefixes, MostPrefixes)
	case o.IPv4Prefix < 1 || o.IPv4Prefix > 32:
		return fmt.Errorf("IPv4 prefix is %d: give 1 to 32 bits", o.IPv4Prefix)
	case o.IPv6Prefix < 1 || o.IPv6Prefix > 128:
		return fmt.Errorf("IPv6 prefix is %d: give 1 to 128 bits", o.IPv6Prefix)
	case o.SamplesPerSecond < 0 || o.SamplesPerSecond > 1_000_000:
		return fmt.Errorf("samples per second is %d: give 0 to 1000000", o.SamplesPerSecond)
	case o.EventsPerSecond < 1 || o.EventsPerSecond > 1_000_000:
		return fmt.Errorf("events per second is %d: give 1 to 1000000", o.EventsPerSecond)
	}
	if err := errors.Join(o.HalfOpen.validate(), o.Networks.validate(o), validateQuotas(o)); err != nil {
		return err
	}
	for i, name := range o.Interfaces {
		if slices.Contains(o.Interfaces[:i], name) {
			return fmt.Errorf("interface %q is given twice", name)
		}
	}
	seen := make(map[uint16]bool)
	for _, p := range o.Ports {
		if seen[p.Number] {
			return fmt.Errorf("port %d is given twice", p.Number)
		}
		seen[p.Number] = true
		if err := p.validate(); err != nil {
			return err
		}
	}
	for _, list := range [][]netip.Prefix{o.Allowed, o.Denied, o.AllowedFeed, o.DeniedFeed} {
		for _, p := range list {
			if _, err := ListedPrefix(p); err != nil {
				return fmt.Errorf("lists: %w", err)
			}
		}
	}
	return nil
}

func (p Port) validate() error {
	if p.Number == 0 {
		return errors.New("port is 0: give the server's UDP port, 1 to 65535")
	}
	if err := validQuota(p.Quota); err != nil {
		return fmt.Errorf("port %d: %w", p.Number, err)
	}
	if _, err := newRate(p.InitialsPerSecond, p.Burst); err != nil {
		return fmt.Errorf("port %d: %w", p.Number, err)
	}
	return nil
}

func validQuota(n int) error {
	if n < 1 || n > math.MaxInt32 {
		return fmt.Errorf("quota is %d: give 1 to %d connections", n, math.MaxInt32)
	}
	return nil
}

// rate is a token bucket in the program's form: the time between two tokens, and how
// far ahead of time tokens may be taken. Zero is no limit.
type rate struct {
	interval, burst time.Duration
}

// The smallest default burst, and the range of valid rates and bursts.
const (
	minDefaultBurst = 4
	minRate         = 0.001
	maxRate         = 1e6
	maxBurst        = 1e6
	maxBurstTime    = 7 * 24 * time.Hour   // a day less than RATE_MOST in bpf/maps.h
	rateUnit        = 64 * time.Nanosecond // that of a bucket's time in the program
	// clockTick is the longest time from tick to tick of the program's clock: the
	// packets in between arrive at once.
	clockTick = 10 * time.Millisecond
)

func newRate(perSecond float64, burst int) (rate, error) {
	if burst < 0 || burst > maxBurst {
		return rate{}, fmt.Errorf("burst is %d: give 1 to %d packets", burst, int(maxBurst))
	}
	if perSecond <= 0 && !math.IsInf(perSecond, -1) { // which JSON does not have
		return rate{}, nil
	}
	if !(perSecond >= minRate && perSecond <= maxRate) {
		return rate{}, fmt.Errorf("initials per second is %v: give %v to %v, or 0 for no limit", perSecond, minRate, maxRate)
	}
	if burst == 0 {
		burst = max(minDefaultBurst, int(math.Ceil(perSecond)))
	}
	burst = max(burst, int(math.Ceil(perSecond*clockTick.Seconds())))
	interval := time.Duration(float64(time.Second) / perSecond).Round(rateUnit)
	if time.Duration(burst) > maxBurstTime/interval {
		return rate{}, fmt.Errorf("burst is %d: at %v initials per second it would take more than %v to come back; "+
			"give a smaller one", burst, perSecond, maxBurstTime)
	}
	return rate{interval: interval, burst: time.Duration(burst-1) * interval}, nil
}
