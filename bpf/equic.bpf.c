// SPDX-License-Identifier: MIT OR GPL-2.0
//
// The data plane of the eQUIC gateway. User space counts the connections of
// each client in the map `clients`, which it has in its own memory; this program
// reads the count if a packet's policy asks for it, and drops the packets of a
// client that is at its quota:
//
//   POLICY_CLIENT  every packet of the client: Algorithm 1 of the paper
//   POLICY_NEW     those that open a connection; established ones live on
//
// Only UDP packets to a protected port are judged. The program fails closed: it
// drops what no honest QUIC client sends and what it cannot read although the
// stack behind it could (fragments, IPv4 options, too many headers). What the
// stack cannot read either is passed, for the stack to drop. No clock is read
// unless there is a rate limit.
//
// If headers have their usual lengths the packet is read in place, at offsets
// that the compiler knows. If not, it is read by bpf_xdp_load_bytes: a variable
// offset into a packet needs CAP_PERFMON, the helper does not.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define VLAN_TAG 4 /* bytes */
#define IPV4_FRAGMENT_OFFSET 0x1fff
#define IPV4_MORE_FRAGMENTS 0x2000
#define IPV6_FRAGMENT_OFFSET 0xfff8
#define IPV6_MORE_FRAGMENTS 0x0001
#define IPV4_WORDS_WITHOUT_OPTIONS 5
#define MAX_EXTENSIONS 8 /* IPv6 extension headers that are read */

#define MAX_APPLICATIONS 64
#define RATE_ATTEMPTS 4 /* at a token that other CPUs want too */

/* QUIC: RFC 8999 (any version), RFC 9000 (1), RFC 9369 (2). */
#define QUIC_LONG_HEADER 0x80
#define QUIC_V1 0x00000001
#define QUIC_V2 0x6b3343cf
#define QUIC_FIXED_BIT 0x40
#define QUIC_INITIAL 0
#define QUIC_0RTT 1
#define QUIC_MIN_INITIAL 1200 /* bytes of a datagram with an Initial (RFC 9000, 14.1) */
/* Bytes of the connection ID that a client chooses for a server it does not know
 * yet (RFC 9000, 7.2). A shorter one was chosen by a server. */
#define QUIC_MIN_CLIENT_CHOSEN 8
#define QUIC_MAX_ID 20

/* Why the program ended; equic/stats.go holds the same list. */
enum reason {
	PASS_MALFORMED,
	PASS_NOT_IP,
	PASS_NOT_UDP,
	PASS_FRAGMENT, /* not the first: it has no UDP header */
	PASS_INCOMPLETE, /* a first fragment without all headers */
	PASS_TOO_DEEP, /* more VLAN tags or extension headers than are read */
	PASS_OTHER_PORT,
	DROP_INCOMPLETE,
	DROP_TOO_DEEP,
	/* Of a protected port: */
	PASS_ALLOWED,
	PASS_NOT_QUIC, /* too short to tell what it is */
	PASS_ESTABLISHED, /* it opens no connection */
	PASS_UNKNOWN_CLIENT,
	PASS_UNDER_QUOTA,
	PASS_HANDSHAKE, /* of a client at its quota, from a port with a handshake in progress */
	DROP_DENIED,
	DROP_FRAGMENTED,
	DROP_OPTIONS,
	DROP_OVER_QUOTA,
	DROP_SHORT_INITIAL,
	DROP_RATE,
	REASONS,
};

#define FIRST_DROP_OF_PORT DROP_DENIED

enum policy { POLICY_CLIENT, POLICY_NEW };

/* What is dropped unless user space says otherwise. */
enum unusual { UNUSUAL_FRAGMENTS = 1, UNUSUAL_OPTIONS = 2, UNUSUAL_DEEP = 4 };

/* Which lists are not empty: an empty one costs no lookup. */
enum lists { LIST_ALLOWED = 1, LIST_DENIED = 2 };

/* An IPv6 address in network order, or an IPv4 address mapped into one. The
 * bytes are for people who dump a map. */
struct address {
	union {
		__u8 bytes[16];
		__u32 words[4];
	};
};

/* A client of one application: its address, cut to the prefix by which clients
 * are told apart, and the port. */
struct key {
	struct address prefix;
	__u16 port; /* host order */
	__u16 zero;
};

/* A client's place in the table. User space writes it, but for `dropped`. */
struct slot {
	__u64 hash; /* of its key; zero is a free place */
	__u32 connections; /* open ones, and handshakes in progress that count */
	__u8 ports[3]; /* a bit for each source port with a handshake in progress */
	__u8 dropped; /* one from the first dropped packet on */
};

#define PORT_BITS 24

#define SLOTS 4
#define GROUP_BUCKETS 64 /* a page of memory */

/* One cache line. */
struct bucket {
	struct slot slots[SLOTS];
} __attribute__((aligned(64)));

/* What is protected. It may change while the program runs. */
struct application {
	__u32 quota;
	__u16 policy; /* enum policy */
	__u16 lists; /* enum lists */
	__u64 interval_ns; /* from token to token; zero is no rate limit */
	__u64 burst_ns; /* how far ahead of time tokens may be taken */
};

struct prefix {
	__u32 length; /* bits; of an IPv4 prefix 96 more */
	struct address address;
};

enum event_kind { EVENT_OVER_QUOTA, EVENT_OVER_RATE, EVENT_UNDER_RATE };

struct event {
	__u64 at_ns; /* CLOCK_MONOTONIC */
	struct key client;
	__u32 kind; /* enum event_kind */
};

enum lost { LOST_LIMITED, LOST_FULL, LOST_REASONS };

/* Settings, constant for the verifier. Set by user space before loading. */
const volatile __u32 ipv4_mask = 0xffffffff; /* network order */
const volatile __u32 ipv6_mask[4] = { 0xffffffff, 0xffffffff }; /* network order */
const volatile __u64 hash_key[2] = {}; /* random */
const volatile __u32 groups = 1; /* of the table, a power of two */
const volatile __u32 rate_lines = 1; /* a power of two */
const volatile __u8 unusual_passed = 0; /* enum unusual */
const volatile __u64 event_interval_ns = 0; /* one event in this time; zero is none at all */
const volatile __u64 event_burst_ns = 0;

/* The application of each port, by its index in `applications`; zero is none.
 * Set by user space before loading. */
volatile __u8 application_of[65536];

volatile __u64 events_full_ns; /* the bucket of all events */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_APPLICATIONS);
	__type(key, __u32);
	__type(value, struct application);
} applications SEC(".maps");

/* Each client has a place in one of two buckets, which its hash names. A client
 * that is absent is below its quota. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* user space sets it */
	__type(key, __u32);
	__type(value, struct bucket);
} clients SEC(".maps");

#define RATE_WORDS 8 /* in a cache line */

/* The token buckets of the rate limit. A client has two words of one cache line,
 * each of which it may share with others, and is over its rate if both are empty (as
 * in a count-min sketch). Each word is the time at which its bucket is full again
 * (the virtual scheduling form of ITU-T I.371's generic cell rate algorithm); its
 * lowest bit is set from the first dropped packet until one passes. The flag aligns
 * the words to cache lines. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, RATE_WORDS); /* user space sets it */
	__type(key, __u32);
	__type(value, __u64);
} rates SEC(".maps");

/* The value is one. All of IPv4 is there with a zero, unless it is listed: it
 * would be part of ::/0 else. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct prefix);
	__type(value, __u8);
} allowed SEC(".maps"), denied SEC(".maps");

/* Packets: enum reason by application; the first is for packets to none. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MAX_APPLICATIONS * REASONS);
	__type(key, __u32);
	__type(value, __u64);
} packets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536); /* bytes */
} events SEC(".maps");

/* Events that were not sent, by enum lost. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LOST_REASONS);
	__type(key, __u32);
	__type(value, __u64);
} events_lost SEC(".maps");

/* What is read of a UDP datagram: its header (RFC 768) and the first six bytes of
 * a long header, which every version has (RFC 8999, 5.1). */
struct start {
	__be16 source;
	__be16 destination;
	__be16 length;
	__be16 checksum;
	__u8 first;
	__be32 version;
	__u8 id_length; /* of the destination connection ID */
} __attribute__((packed));

#define UDP_HEADER 8 /* bytes */
#define LONG_HEADER_START 6 /* bytes */

struct datagram {
	struct address source;
	__u32 length; /* of the payload, in bytes */
	__u32 payload; /* its offset */
	__u32 version; /* of a long header */
	__u16 port;
	__u16 source_port;
	__u8 first;
	__u8 id_length;
	__u8 readable; /* bytes of the payload that could be read, six at most */
	__u8 jumbo; /* over IPv6: it may have no length */
	__u8 fragment; /* the first of several */
	__u8 options; /* IPv4 options are in front of it */
};

static __always_inline void count(void *map, __u32 index)
{
	__u64 *n = bpf_map_lookup_elem(map, &index);

	if (n)
		(*n)++;
}

/* The packet at a constant offset, as a pointer that the compiler knows nothing
 * of: or it would merge the code of several offsets into a variable one. */
static __always_inline void *at(struct xdp_md *ctx, const __u32 offset)
{
	void *p = (void *)(long)ctx->data + offset;

	asm volatile("" : "+r"(p));
	return p;
}

/* Takes the datagram at an offset apart; REASONS says that it was read. Over
 * IPv6, a length of zero is that of a jumbogram, which ends with its packet
 * (RFC 2675, 4): Linux takes it at any size. */
static __always_inline enum reason take(struct xdp_md *ctx, __u32 offset, struct datagram *d, const struct start *start,
					__u8 readable)
{
	__u32 length = bpf_ntohs(start->length);

	if (length < UDP_HEADER) {
		if (length || !d->jumbo)
			return PASS_MALFORMED;
		length = bpf_xdp_get_buff_len(ctx) - offset;
	}
	d->length = length - UDP_HEADER;
	d->payload = offset + UDP_HEADER;
	d->port = bpf_ntohs(start->destination);
	d->source_port = bpf_ntohs(start->source);
	d->first = start->first;
	d->version = bpf_ntohl(start->version);
	d->id_length = start->id_length;
	d->readable = readable;
	return REASONS;
}

/* Reads the datagram at a variable offset, or one that ends early. */
static __always_inline enum reason read_slowly(struct xdp_md *ctx, __u32 offset, struct datagram *d)
{
	struct start start = {};

	if (!bpf_xdp_load_bytes(ctx, offset, &start, sizeof(start)))
		return take(ctx, offset, d, &start, LONG_HEADER_START);
	if (!bpf_xdp_load_bytes(ctx, offset, &start, UDP_HEADER + 1))
		return take(ctx, offset, d, &start, 1);
	if (!bpf_xdp_load_bytes(ctx, offset, &start, UDP_HEADER))
		return take(ctx, offset, d, &start, 0);
	return PASS_MALFORMED;
}

/* Reads the datagram that starts at an offset, in place if it is whole. */
static __always_inline enum reason read_datagram(struct xdp_md *ctx, const struct start *start, __u32 offset,
						 struct datagram *d)
{
	void *data_end = (void *)(long)ctx->data_end;

	if ((void *)(start + 1) > data_end)
		return read_slowly(ctx, offset, d);
	return take(ctx, offset, d, start, LONG_HEADER_START);
}

static __always_inline enum reason incomplete(void)
{
	return unusual_passed & UNUSUAL_FRAGMENTS ? PASS_INCOMPLETE : DROP_INCOMPLETE;
}

/* Reads the datagram of a first fragment. Its headers must be within the IP
 * packet: a frame may be longer, and what is behind the packet in it is not part
 * of what the stack reassembles. */
static __always_inline enum reason read_fragment(struct xdp_md *ctx, __u32 offset, __u32 end, struct datagram *d)
{
	enum reason why = PASS_MALFORMED;

	d->fragment = 1;
	if (offset + UDP_HEADER <= end)
		why = read_slowly(ctx, offset, d);
	return why == PASS_MALFORMED ? incomplete() : why;
}

static __always_inline enum reason read_ipv4(struct xdp_md *ctx, const __u32 offset, struct datagram *d)
{
	void *data_end = (void *)(long)ctx->data_end;
	struct iphdr *ip = at(ctx, offset);

	if ((void *)(ip + 1) > data_end || ip->version != 4 || ip->ihl < IPV4_WORDS_WITHOUT_OPTIONS)
		return PASS_MALFORMED;
	if (ip->protocol != IPPROTO_UDP)
		return PASS_NOT_UDP;
	if (ip->frag_off & bpf_htons(IPV4_FRAGMENT_OFFSET))
		return PASS_FRAGMENT;
	d->source.words[0] = 0;
	d->source.words[1] = 0;
	d->source.words[2] = bpf_htonl(0xffff);
	d->source.words[3] = ip->saddr;
	d->options = ip->ihl > IPV4_WORDS_WITHOUT_OPTIONS;
	if (ip->frag_off & bpf_htons(IPV4_MORE_FRAGMENTS))
		return read_fragment(ctx, offset + ip->ihl * 4, offset + bpf_ntohs(ip->tot_len), d);
	if (d->options)
		return read_slowly(ctx, offset + ip->ihl * 4, d);
	return read_datagram(ctx, at(ctx, offset + sizeof(*ip)), offset + sizeof(*ip), d);
}

/* An IPv6 extension header begins with these two, a fragment header with all. */
struct extension {
	__u8 next;
	__u8 length;
	__be16 fragment;
};

static __always_inline int is_extension(__u32 next)
{
	switch (next) {
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_DSTOPTS:
	case IPPROTO_FRAGMENT:
	case IPPROTO_AH:
		return 1;
	}
	return 0;
}

#define FOUND 0x10000 /* at the offset in the low bits */
#define FOUND_FRAGMENT 0x20000 /* and it is the first of several fragments */

/* Walks over the extension headers to the datagram (RFC 8200, 4), and returns
 * FOUND or the reason why there is none. The IP packet ends at `end`. Global, so
 * that the verifier looks at it once: the ways through it are many. */
__noinline int find_datagram(struct xdp_md *ctx, __u32 offset, __u32 next, __u32 end)
{
	__u32 found = FOUND;
	struct extension e;

	for (int i = 0; i < MAX_EXTENSIONS && is_extension(next); i++) {
		if (bpf_xdp_load_bytes(ctx, offset, &e, sizeof(e)))
			return found & FOUND_FRAGMENT ? incomplete() : PASS_MALFORMED;
		if (next == IPPROTO_FRAGMENT) {
			if (e.fragment & bpf_htons(IPV6_FRAGMENT_OFFSET))
				return PASS_FRAGMENT;
			if (e.fragment & bpf_htons(IPV6_MORE_FRAGMENTS))
				found = FOUND | FOUND_FRAGMENT;
			offset += 8;
		} else if (next == IPPROTO_AH) {
			offset += (e.length + 2) * 4; /* RFC 4302, 2.2 */
		} else {
			offset += (e.length + 1) * 8;
		}
		/* Not the last byte of the header, but the first one behind it: what
		 * ends with the fragment may go on in the next. */
		if ((found & FOUND_FRAGMENT) && offset > end)
			return incomplete();
		next = e.next;
	}
	if (next == IPPROTO_UDP)
		return found | (offset & 0xffff);
	if (!is_extension(next))
		return PASS_NOT_UDP;
	return unusual_passed & UNUSUAL_DEEP ? PASS_TOO_DEEP : DROP_TOO_DEEP;
}

static __always_inline enum reason read_extended(struct xdp_md *ctx, __u32 offset, __u8 next, __u32 end,
						 struct datagram *d)
{
	__u32 found = find_datagram(ctx, offset, next, end);

	if (!(found & FOUND))
		return found < REASONS ? found : PASS_MALFORMED;
	offset = found & 0xffff;
	return found & FOUND_FRAGMENT ? read_fragment(ctx, offset, end, d) : read_slowly(ctx, offset, d);
}

#define NAT64_PREFIX 0x0064ff9b /* of 64:ff9b::/96 (RFC 6052, 2.1) */

static __always_inline enum reason read_ipv6(struct xdp_md *ctx, const __u32 offset, struct datagram *d)
{
	void *data_end = (void *)(long)ctx->data_end;
	struct ipv6hdr *ip = at(ctx, offset);

	if ((void *)(ip + 1) > data_end || ip->version != 6)
		return PASS_MALFORMED;
	__builtin_memcpy(&d->source, &ip->saddr, sizeof(d->source));
	/* A client behind NAT64 is its IPv4 address. */
	if (d->source.words[0] == bpf_htonl(NAT64_PREFIX) && !d->source.words[1] && !d->source.words[2]) {
		d->source.words[0] = 0;
		d->source.words[2] = bpf_htonl(0xffff);
	}
	d->jumbo = 1;
	if (ip->nexthdr == IPPROTO_UDP)
		return read_datagram(ctx, at(ctx, offset + sizeof(*ip)), offset + sizeof(*ip), d);
	return read_extended(ctx, offset + sizeof(*ip), ip->nexthdr, offset + sizeof(*ip) + bpf_ntohs(ip->payload_len), d);
}

static __always_inline enum reason read_network(struct xdp_md *ctx, __be16 type, const __u32 offset, struct datagram *d)
{
	if (type == bpf_htons(ETH_P_IP))
		return read_ipv4(ctx, offset, d);
	if (type == bpf_htons(ETH_P_IPV6))
		return read_ipv6(ctx, offset, d);
	return PASS_NOT_IP;
}

static __always_inline int is_vlan(__be16 type)
{
	return type == bpf_htons(ETH_P_8021Q) || type == bpf_htons(ETH_P_8021AD);
}

/* Reads a packet, up to two VLAN tags deep. */
static __always_inline enum reason read_packet(struct xdp_md *ctx, struct datagram *d)
{
	void *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	__be16 type;

	if (data + ETH_HLEN > data_end)
		return PASS_MALFORMED;
	if (!is_vlan(eth->h_proto))
		return read_network(ctx, eth->h_proto, ETH_HLEN, d);
	if (data + ETH_HLEN + VLAN_TAG > data_end)
		return PASS_MALFORMED;
	type = *(__be16 *)(data + ETH_HLEN + VLAN_TAG - sizeof(type));
	if (!is_vlan(type))
		return read_network(ctx, type, ETH_HLEN + VLAN_TAG, d);
	if (data + ETH_HLEN + 2 * VLAN_TAG > data_end)
		return PASS_MALFORMED;
	type = *(__be16 *)(data + ETH_HLEN + 2 * VLAN_TAG - sizeof(type));
	if (!is_vlan(type))
		return read_network(ctx, type, ETH_HLEN + 2 * VLAN_TAG, d);
	return unusual_passed & UNUSUAL_DEEP ? PASS_TOO_DEEP : DROP_TOO_DEEP;
}

/* What a datagram's first QUIC packet is. */
enum kind {
	KIND_UNREADABLE,
	KIND_ESTABLISHED, /* it opens no connection */
	/* These may: */
	KIND_0RTT, /* it waits for the Initial of its connection */
	KIND_TOKEN, /* an Initial with a token, to an ID that a server chose: the
		     * answer to a Retry, or a later packet of its handshake */
	KIND_INITIAL,
	KIND_OPENING, /* of an unknown version; or a fragment */
};

/* An Initial to an ID that a server chose opens a connection only if it brings
 * the token of a Retry (RFC 9000, 7.2 and 17.2.5). Only clients send tokens. */
static __always_inline enum kind kind_of_initial(struct xdp_md *ctx, const struct datagram *d)
{
	__u32 offset = LONG_HEADER_START + d->id_length;
	__u8 length;

	if (d->id_length >= QUIC_MIN_CLIENT_CHOSEN)
		return KIND_INITIAL;
	/* What ends too early no server can read either. */
	if (offset >= d->length || bpf_xdp_load_bytes(ctx, d->payload + offset, &length, 1) || length > QUIC_MAX_ID)
		return KIND_ESTABLISHED;
	offset += 1 + length;
	if (offset >= d->length || bpf_xdp_load_bytes(ctx, d->payload + offset, &length, 1) || !length)
		return KIND_ESTABLISHED;
	return KIND_TOKEN;
}

static __always_inline enum kind kind_of(struct xdp_md *ctx, const struct datagram *d)
{
	__u8 type;

	if (d->fragment)
		return KIND_OPENING;
	if (d->readable < 1 || d->length < 1)
		return KIND_UNREADABLE;
	if (!(d->first & QUIC_LONG_HEADER))
		return KIND_ESTABLISHED;
	if (d->readable < LONG_HEADER_START || d->length < LONG_HEADER_START)
		return KIND_UNREADABLE;
	type = (d->first >> 4) & 3;
	switch (d->version) {
	case 0: /* version negotiation */
		return KIND_ESTABLISHED;
	case QUIC_V1:
		break;
	case QUIC_V2:
		type = (type + 3) & 3;
		break;
	default: /* types are the version's own; RTP and others have no fixed bit (RFC 9443, 4) */
		return d->first & QUIC_FIXED_BIT ? KIND_OPENING : KIND_ESTABLISHED;
	}
	if (type == QUIC_INITIAL)
		return kind_of_initial(ctx, d);
	return type == QUIC_0RTT ? KIND_0RTT : KIND_ESTABLISHED;
}

/* Takes a token of a bucket; returns 0 if there is none. A bucket that is emptier
 * than these settings can make it is from before a change of them: it becomes one
 * that is just empty, or its client would wait for tokens of the old rate. The
 * lowest bit of the word is not part of the time; it is one on return if there
 * was no token. */
static __always_inline int take_token(volatile __u64 *full_ns, __u64 now, __u64 interval, __u64 burst, int *was_empty)
{
	for (int i = 0; i < RATE_ATTEMPTS; i++) {
		__u64 old = *full_ns;
		__u64 time = old & ~1ULL;
		__u64 from = time > now ? time : now;
		int empty = from - now > burst;

		*was_empty = old & 1;
		if (empty) {
			if (from - now > burst + interval)
				from = now + burst + interval;
			if (old != (from | 1))
				__sync_val_compare_and_swap(full_ns, old, from | 1);
			return 0;
		}
		if (__sync_val_compare_and_swap(full_ns, old, (from + interval) & ~1ULL) == old)
			return 1;
	}
	return 0;
}

/* Not inline in the caller's common path: an event is rare. */
static __noinline int send_event(struct key *client, __u32 kind)
{
	struct event e = {};
	int was_empty;

	if (!event_interval_ns)
		return 0;
	e.at_ns = bpf_ktime_get_ns();
	e.client = *client;
	e.kind = kind;
	if (!take_token(&events_full_ns, e.at_ns, event_interval_ns, event_burst_ns, &was_empty))
		count(&events_lost, LOST_LIMITED);
	else if (bpf_ringbuf_output(&events, &e, sizeof(e), 0))
		count(&events_lost, LOST_FULL);
	return 0;
}

static __always_inline int is_listed(void *list, const struct datagram *d)
{
	struct prefix p = { .length = 128, .address = d->source };

	__u8 *listed = bpf_map_lookup_elem(list, &p);

	return listed && *listed;
}

static __always_inline void make_key(const struct datagram *d, struct key *k)
{
	if (d->source.words[2] == bpf_htonl(0xffff) && !d->source.words[0] && !d->source.words[1]) {
		k->prefix.words[0] = 0;
		k->prefix.words[1] = 0;
		k->prefix.words[2] = bpf_htonl(0xffff);
		k->prefix.words[3] = d->source.words[3] & ipv4_mask;
	} else {
		k->prefix.words[0] = d->source.words[0] & ipv6_mask[0];
		k->prefix.words[1] = d->source.words[1] & ipv6_mask[1];
		k->prefix.words[2] = d->source.words[2] & ipv6_mask[2];
		k->prefix.words[3] = d->source.words[3] & ipv6_mask[3];
	}
	k->port = d->port;
	k->zero = 0;
}

#define ROTATE(x, bits) ((x) << (bits) | (x) >> (64 - (bits)))

#define SIP_ROUND(v0, v1, v2, v3)      \
	do {                           \
		v0 += v1;              \
		v1 = ROTATE(v1, 13);   \
		v1 ^= v0;              \
		v0 = ROTATE(v0, 32);   \
		v2 += v3;              \
		v3 = ROTATE(v3, 16);   \
		v3 ^= v2;              \
		v0 += v3;              \
		v3 = ROTATE(v3, 21);   \
		v3 ^= v0;              \
		v2 += v1;              \
		v1 = ROTATE(v1, 17);   \
		v1 ^= v2;              \
		v2 = ROTATE(v2, 32);   \
	} while (0)

/* SipHash-1-3 of the two words of an address, with the port as part of the key: a
 * message of a fixed length needs no padding. Nobody without the key can choose
 * addresses that meet in the table. equic/hash.go is the same. */
static __always_inline __u64 hash_of(const struct key *k)
{
	__u64 high = (__u64)k->prefix.words[1] << 32 | k->prefix.words[0];
	__u64 low = (__u64)k->prefix.words[3] << 32 | k->prefix.words[2];
	__u64 port = (__u64)k->port;
	__u64 v0 = hash_key[0] ^ 0x736f6d6570736575ULL;
	__u64 v1 = hash_key[1] ^ port ^ 0x646f72616e646f6dULL;
	__u64 v2 = hash_key[0] ^ 0x6c7967656e657261ULL;
	__u64 v3 = hash_key[1] ^ port ^ 0x7465646279746573ULL;

	v3 ^= high;
	SIP_ROUND(v0, v1, v2, v3);
	v0 ^= high;
	v3 ^= low;
	SIP_ROUND(v0, v1, v2, v3);
	v0 ^= low;
	v2 ^= 0xff;
	SIP_ROUND(v0, v1, v2, v3);
	SIP_ROUND(v0, v1, v2, v3);
	SIP_ROUND(v0, v1, v2, v3);
	v0 ^= v1 ^ v2 ^ v3;
	return v0 ? v0 : 1; /* zero is a free place */
}

/* The client's place, if it has one. Both of its buckets are in one page of memory,
 * so that the processor has one address to translate. */
static __always_inline struct slot *find(__u64 hash)
{
	__u32 group = ((hash >> 16) & (groups - 1)) * GROUP_BUCKETS;
	__u32 i = group + (hash & (GROUP_BUCKETS - 1));
	__u32 j = group + ((hash >> 8) & (GROUP_BUCKETS - 1));
	struct bucket *a = bpf_map_lookup_elem(&clients, &i);
	struct bucket *b = bpf_map_lookup_elem(&clients, &j);

	if (!a || !b)
		return NULL;
#pragma unroll
	for (int n = 0; n < SLOTS; n++) {
		if (a->slots[n].hash == hash)
			return &a->slots[n];
	}
#pragma unroll
	for (int n = 0; n < SLOTS; n++) {
		if (b->slots[n].hash == hash)
			return &b->slots[n];
	}
	return NULL;
}

/* Whether a handshake from a source port is in progress, or from another of the same
 * bit. equic/table.go is the same. */
static __always_inline int in_progress(const struct slot *s, __u16 port)
{
	__u32 ports = s->ports[0] | s->ports[1] << 8 | s->ports[2] << 16;
	__u64 spread = (__u32)(port * 2654435769U);

	return ports >> (spread * PORT_BITS >> 32) & 1;
}

static __always_inline enum reason judge_quota(const struct datagram *d, struct key *k, __u64 hash, enum kind kind,
					       const struct application *a)
{
	struct slot *s = find(hash);

	if (!s)
		return PASS_UNKNOWN_CLIENT;
	if (s->connections < a->quota)
		return PASS_UNDER_QUOTA;
	if (a->policy == POLICY_NEW && (kind == KIND_TOKEN || kind == KIND_0RTT) && in_progress(s, d->source_port))
		return PASS_HANDSHAKE;
	if (!s->dropped) {
		s->dropped = 1;
		send_event(k, EVENT_OVER_QUOTA);
	}
	return DROP_OVER_QUOTA;
}

/* A client's two token buckets. */
struct pair {
	__u64 *first, *second;
};

/* Finds them, and reads one at once, so that they come from memory while the client's
 * place in the table does. */
static __always_inline void find_rate(__u64 hash, struct pair *p)
{
	__u32 line = ((hash >> 32) & (rate_lines - 1)) * RATE_WORDS;
	__u32 word = (hash >> 58) & (RATE_WORDS - 1);
	__u32 i = line + word;
	__u32 j = line + (word ^ (((hash >> 61) & (RATE_WORDS - 1)) | 1)); /* another one */

	p->first = bpf_map_lookup_elem(&rates, &i);
	p->second = bpf_map_lookup_elem(&rates, &j);
	if (p->first)
		(void)*(volatile __u64 *)p->first;
}

/* Returns 1 if the client may open a connection now. */
static __always_inline int within_rate(struct key *k, struct pair *p, const struct application *a)
{
	int passed, was_empty, other_was_empty;
	__u64 now;

	if (!p->first || !p->second)
		return 0;
	now = bpf_ktime_get_ns();
	passed = take_token(p->first, now, a->interval_ns, a->burst_ns, &was_empty);
	passed |= take_token(p->second, now, a->interval_ns, a->burst_ns, &other_was_empty);
	was_empty &= other_was_empty;
	if (passed && was_empty)
		send_event(k, EVENT_UNDER_RATE);
	if (!passed && !was_empty)
		send_event(k, EVENT_OVER_RATE);
	return passed;
}

static __always_inline enum reason judge(struct xdp_md *ctx, const struct datagram *d, const struct application *a)
{
	struct pair rate = {};
	enum reason why;
	enum kind kind;
	struct key k;
	__u64 hash;

	if (a->lists) {
		if ((a->lists & LIST_ALLOWED) && is_listed(&allowed, d))
			return PASS_ALLOWED;
		if ((a->lists & LIST_DENIED) && is_listed(&denied, d))
			return DROP_DENIED;
	}
	if (d->fragment && !(unusual_passed & UNUSUAL_FRAGMENTS))
		return DROP_FRAGMENTED;
	if (d->options && !(unusual_passed & UNUSUAL_OPTIONS))
		return DROP_OPTIONS;
	kind = kind_of(ctx, d);
	if (a->policy == POLICY_NEW && kind == KIND_ESTABLISHED)
		return PASS_ESTABLISHED;
	if (a->policy == POLICY_NEW && kind == KIND_UNREADABLE)
		return PASS_NOT_QUIC;
	if ((kind == KIND_INITIAL || kind == KIND_TOKEN) && d->length < QUIC_MIN_INITIAL)
		return DROP_SHORT_INITIAL;
	make_key(d, &k);
	hash = hash_of(&k);
	if (a->interval_ns && kind >= KIND_TOKEN)
		find_rate(hash, &rate);
	why = judge_quota(d, &k, hash, kind, a);
	if (why == DROP_OVER_QUOTA || kind < KIND_TOKEN || !a->interval_ns)
		return why;
	return within_rate(&k, &rate, a) ? why : DROP_RATE;
}

SEC("xdp")
int equic(struct xdp_md *ctx)
{
	struct application *a;
	struct datagram d = {};
	enum reason why;
	__u32 index = 0;

	why = read_packet(ctx, &d);
	if (why == REASONS) {
		index = application_of[d.port];
		a = index ? bpf_map_lookup_elem(&applications, &index) : NULL;
		why = a ? judge(ctx, &d, a) : PASS_OTHER_PORT;
	}
	count(&packets, index * REASONS + why);
	if (why >= FIRST_DROP_OF_PORT || why == DROP_INCOMPLETE || why == DROP_TOO_DEEP)
		return XDP_DROP;
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
