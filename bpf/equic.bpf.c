// SPDX-License-Identifier: MIT OR GPL-2.0
//
// The data plane of the eQUIC gateway. User space counts the connections of
// each client in the map `clients`; this program reads the count where a
// packet's policy asks for it, and drops the packets of a client that is at its
// quota:
//
//   POLICY_CLIENT  every packet of the client: Algorithm 1 of the paper
//   POLICY_NEW     those that open a connection; established ones live on
//
// Only UDP packets to a protected port are judged. A packet that cannot be read
// is passed and counted by its reason: the stack behind decides. What the
// published program reads wrongly is read here: VLAN tags, IPv6, IP options,
// fragments, other ports; and no clock is read but for the rate limit.
//
// Where headers have their usual lengths the packet is read in place, at offsets
// that the compiler knows. Where they have not, it is read by
// bpf_xdp_load_bytes: a variable offset into a packet needs CAP_PERFMON, the
// helper does not.
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
#define QUIC_INITIAL 0
#define QUIC_0RTT 1
#define QUIC_MIN_INITIAL 1200 /* bytes of a datagram with an Initial (RFC 9000, 14.1) */

/* Why the program ended; equic/stats.go holds the same list. */
enum reason {
	PASS_MALFORMED,
	PASS_NOT_IP,
	PASS_NOT_UDP,
	PASS_FRAGMENT, /* not the first: it has no UDP header */
	PASS_TOO_DEEP, /* more VLAN tags or extension headers than are read */
	PASS_OTHER_PORT,
	/* Of a protected port: */
	PASS_ALLOWED,
	PASS_NOT_QUIC, /* too short to tell what it is */
	PASS_ESTABLISHED, /* it opens no connection */
	PASS_UNKNOWN_CLIENT,
	PASS_UNDER_QUOTA,
	DROP_DENIED,
	DROP_OVER_QUOTA,
	DROP_SHORT_INITIAL,
	DROP_RATE,
	REASONS,
};

enum policy { POLICY_CLIENT, POLICY_NEW };

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

struct client {
	__u32 connections;
	__u32 dropped; /* one from the first dropped packet on */
};

/* What is protected. It may change while the program runs. */
struct application {
	__u32 quota;
	__u16 policy; /* enum policy */
	__u16 lists; /* enum lists */
	__u64 interval_ns; /* from token to token; zero is no rate limit */
	__u64 burst_ns; /* how far ahead of time tokens may be taken */
};

/* A token bucket, as the time at which it is full again (the virtual scheduling
 * form of ITU-T I.371's generic cell rate algorithm). */
struct bucket {
	__u64 full_ns;
	__u64 dropped; /* one from the first dropped packet until one passes */
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

/* Open connections of each client. User space writes a count below the quota
 * within a second, or never if the connection is gone by then: an absent client
 * is below its quota. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536); /* user space may set another size */
	__type(key, struct key);
	__type(value, struct client);
} clients SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1); /* user space sets it */
	__type(key, struct key);
	__type(value, struct bucket);
} buckets SEC(".maps");

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

/* What is read of a UDP datagram: its header (RFC 768) and the first five bytes
 * of a QUIC packet, which every version has (RFC 8999, 5.1). */
struct start {
	__be16 source;
	__be16 destination;
	__be16 length;
	__be16 checksum;
	__u8 first;
	__be32 version;
} __attribute__((packed));

#define UDP_HEADER 8 /* bytes */

struct datagram {
	struct address source;
	__u32 length; /* of the payload, in bytes */
	__u32 version; /* of a long header */
	__u16 port;
	__u8 first;
	__u8 readable; /* bytes of the payload that could be read, five at most */
	__u8 jumbo; /* over IPv6: it may have no length */
	__u8 fragment; /* the first: the others may hold what it begins with */
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
	d->port = bpf_ntohs(start->destination);
	d->first = start->first;
	d->version = bpf_ntohl(start->version);
	d->readable = readable;
	return REASONS;
}

/* Reads the datagram at a variable offset, or one that ends early. */
static __always_inline enum reason read_slowly(struct xdp_md *ctx, __u32 offset, struct datagram *d)
{
	struct start start = {};

	if (!bpf_xdp_load_bytes(ctx, offset, &start, sizeof(start)))
		return take(ctx, offset, d, &start, 5);
	if (!bpf_xdp_load_bytes(ctx, offset, &start, UDP_HEADER + 1))
		return take(ctx, offset, d, &start, 1);
	if (!bpf_xdp_load_bytes(ctx, offset, &start, UDP_HEADER))
		return take(ctx, offset, d, &start, 0);
	return PASS_MALFORMED;
}

/* What is behind an IPv4 header of 5 to 15 words: variable, by offsets that the
 * compiler knows. */
static __always_inline void *behind_ipv4(struct xdp_md *ctx, const __u32 offset, __u8 words)
{
	switch (words) {
	case 5:
		return at(ctx, offset + 5 * 4);
	case 6:
		return at(ctx, offset + 6 * 4);
	case 7:
		return at(ctx, offset + 7 * 4);
	case 8:
		return at(ctx, offset + 8 * 4);
	case 9:
		return at(ctx, offset + 9 * 4);
	case 10:
		return at(ctx, offset + 10 * 4);
	case 11:
		return at(ctx, offset + 11 * 4);
	case 12:
		return at(ctx, offset + 12 * 4);
	case 13:
		return at(ctx, offset + 13 * 4);
	case 14:
		return at(ctx, offset + 14 * 4);
	default:
		return at(ctx, offset + 15 * 4);
	}
}

/* Reads the datagram that starts at an offset, in place if it is whole. */
static __always_inline enum reason read_datagram(struct xdp_md *ctx, const struct start *start, __u32 offset,
						 struct datagram *d)
{
	void *data_end = (void *)(long)ctx->data_end;

	if ((void *)(start + 1) > data_end)
		return read_slowly(ctx, offset, d);
	return take(ctx, offset, d, start, 5);
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
	d->fragment = (ip->frag_off & bpf_htons(IPV4_MORE_FRAGMENTS)) != 0;
	d->source.words[0] = 0;
	d->source.words[1] = 0;
	d->source.words[2] = bpf_htonl(0xffff);
	d->source.words[3] = ip->saddr;
	return read_datagram(ctx, behind_ipv4(ctx, offset, ip->ihl), offset + ip->ihl * 4, d);
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
 * FOUND or the reason why there is none. Global, so that the verifier looks at
 * it once: the ways through it are many. */
__noinline int find_datagram(struct xdp_md *ctx, __u32 offset, __u32 next)
{
	__u32 found = FOUND;
	struct extension e;

	for (int i = 0; i < MAX_EXTENSIONS && is_extension(next); i++) {
		if (bpf_xdp_load_bytes(ctx, offset, &e, sizeof(e)))
			return PASS_MALFORMED;
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
		next = e.next;
	}
	if (next == IPPROTO_UDP)
		return found | (offset & 0xffff);
	return is_extension(next) ? PASS_TOO_DEEP : PASS_NOT_UDP;
}

static __always_inline enum reason read_extended(struct xdp_md *ctx, __u32 offset, __u8 next, struct datagram *d)
{
	__u32 found = find_datagram(ctx, offset, next);

	if (!(found & FOUND))
		return found < REASONS ? found : PASS_MALFORMED;
	d->fragment = (found & FOUND_FRAGMENT) != 0;
	return read_slowly(ctx, found & 0xffff, d);
}

static __always_inline enum reason read_ipv6(struct xdp_md *ctx, const __u32 offset, struct datagram *d)
{
	void *data_end = (void *)(long)ctx->data_end;
	struct ipv6hdr *ip = at(ctx, offset);

	if ((void *)(ip + 1) > data_end || ip->version != 6)
		return PASS_MALFORMED;
	__builtin_memcpy(&d->source, &ip->saddr, sizeof(d->source));
	d->jumbo = 1;
	if (ip->nexthdr == IPPROTO_UDP)
		return read_datagram(ctx, at(ctx, offset + sizeof(*ip)), offset + sizeof(*ip), d);
	return read_extended(ctx, offset + sizeof(*ip), ip->nexthdr, d);
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
	return PASS_TOO_DEEP;
}

/* What a datagram's first QUIC packet is. */
enum kind {
	KIND_UNREADABLE,
	KIND_ESTABLISHED, /* it opens no connection */
	KIND_OPENING, /* or a fragment, which QUIC forbids (RFC 9000, 14) */
	KIND_INITIAL, /* it opens one, and is an Initial */
};

static __always_inline enum kind kind_of(const struct datagram *d)
{
	__u8 type;

	if (d->fragment)
		return KIND_OPENING;
	if (d->readable < 1 || d->length < 1)
		return KIND_UNREADABLE;
	if (!(d->first & QUIC_LONG_HEADER))
		return KIND_ESTABLISHED;
	if (d->readable < 5 || d->length < 5)
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
	default:
		return KIND_OPENING; /* types are the version's own */
	}
	if (type == QUIC_INITIAL)
		return KIND_INITIAL;
	return type == QUIC_0RTT ? KIND_OPENING : KIND_ESTABLISHED;
}

/* Takes a token of a bucket; returns 0 where there is none. A bucket that is
 * emptier than these settings can make it is from before a change of them: it
 * becomes one that is just empty, or its client would wait for tokens of the old
 * rate. */
static __always_inline int take_token(volatile __u64 *full_ns, __u64 now, __u64 interval, __u64 burst)
{
	for (int i = 0; i < RATE_ATTEMPTS; i++) {
		__u64 old = *full_ns;
		__u64 from = old > now ? old : now;

		if (from - now > burst) {
			if (from - now > burst + interval)
				__sync_val_compare_and_swap(full_ns, old, now + burst + interval);
			return 0;
		}
		if (__sync_val_compare_and_swap(full_ns, old, from + interval) == old)
			return 1;
	}
	return 0;
}

/* Not inline in the caller's common path: an event is rare. */
static __noinline int send_event(struct key *client, __u32 kind)
{
	struct event e = {};

	if (!event_interval_ns)
		return 0;
	e.at_ns = bpf_ktime_get_ns();
	e.client = *client;
	e.kind = kind;
	if (!take_token(&events_full_ns, e.at_ns, event_interval_ns, event_burst_ns))
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

static __always_inline enum reason judge_quota(struct key *k, __u32 quota)
{
	struct client *c = bpf_map_lookup_elem(&clients, k);

	if (!c)
		return PASS_UNKNOWN_CLIENT;
	if (c->connections < quota)
		return PASS_UNDER_QUOTA;
	if (!c->dropped) {
		c->dropped = 1;
		send_event(k, EVENT_OVER_QUOTA);
	}
	return DROP_OVER_QUOTA;
}

/* Returns 1 if the client may open a connection now. */
static __always_inline int within_rate(struct key *k, const struct application *a)
{
	struct bucket fresh = {}, *b;
	__u64 now = bpf_ktime_get_ns();

	b = bpf_map_lookup_elem(&buckets, k);
	if (!b) {
		fresh.full_ns = now + a->interval_ns;
		bpf_map_update_elem(&buckets, k, &fresh, BPF_NOEXIST);
		return 1;
	}
	if (take_token(&b->full_ns, now, a->interval_ns, a->burst_ns)) {
		if (b->dropped) {
			b->dropped = 0;
			send_event(k, EVENT_UNDER_RATE);
		}
		return 1;
	}
	if (!b->dropped) {
		b->dropped = 1;
		send_event(k, EVENT_OVER_RATE);
	}
	return 0;
}

static __always_inline enum reason judge(const struct datagram *d, const struct application *a)
{
	enum kind kind;
	enum reason why;
	struct key k;

	if (a->lists) {
		if ((a->lists & LIST_ALLOWED) && is_listed(&allowed, d))
			return PASS_ALLOWED;
		if ((a->lists & LIST_DENIED) && is_listed(&denied, d))
			return DROP_DENIED;
	}
	kind = kind_of(d);
	if (a->policy == POLICY_NEW && kind == KIND_ESTABLISHED)
		return PASS_ESTABLISHED;
	if (a->policy == POLICY_NEW && kind == KIND_UNREADABLE)
		return PASS_NOT_QUIC;
	if (kind == KIND_INITIAL && d->length < QUIC_MIN_INITIAL)
		return DROP_SHORT_INITIAL;
	make_key(d, &k);
	why = judge_quota(&k, a->quota);
	if (why == DROP_OVER_QUOTA || kind < KIND_OPENING || !a->interval_ns)
		return why;
	return within_rate(&k, a) ? why : DROP_RATE;
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
		why = a ? judge(&d, a) : PASS_OTHER_PORT;
	}
	count(&packets, index * REASONS + why);
	return why >= DROP_DENIED ? XDP_DROP : XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
