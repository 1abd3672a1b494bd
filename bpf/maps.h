/* SPDX-License-Identifier: MIT OR GPL-2.0
 *
 * The interface of the gateway's programs to user space: the reasons, the
 * settings and the maps.
 */
#ifndef EQUIC_MAPS_H
#define EQUIC_MAPS_H

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define MAX_APPLICATIONS 64

/* Why a program ended; equic/stats.go has the same list. */
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
	PASS_UNOWNED, /* of a client at its quota, by counts that no process maintains */
	DROP_DENIED,
	DROP_FRAGMENTED,
	DROP_OPTIONS,
	DROP_OVER_QUOTA,
	DROP_NETWORK, /* it opens a connection, and its client's network is at its quota */
	DROP_SHORT_INITIAL,
	DROP_RATE,
	REASONS,
};

#define FIRST_DROP_OF_PORT DROP_DENIED

static __always_inline int is_drop(enum reason why)
{
	return why >= FIRST_DROP_OF_PORT || why == DROP_INCOMPLETE || why == DROP_TOO_DEEP;
}

enum policy { POLICY_CLIENT, POLICY_NEW };

/* Packets that are dropped unless user space lets them pass. */
enum unusual { UNUSUAL_FRAGMENTS = 1, UNUSUAL_OPTIONS = 2, UNUSUAL_DEEP = 4 };

/* Which lists are not empty: an empty one costs no lookup. */
enum lists { LIST_ALLOWED = 1, LIST_DENIED = 2 };

/* An IPv6 address in network order, or an IPv4 address mapped into one. The
 * bytes make map dumps readable. */
struct address {
	union {
		__u8 bytes[16];
		__u32 words[4];
	};
};

/* A client of one application: its address, masked with the prefix length
 * that separates clients, and the port. */
struct key {
	struct address prefix;
	__u16 port; /* host order */
	__u16 zero;
};

/* A client's place in a table. User space writes it, except `dropped`. */
struct slot {
	__u64 hash; /* of its key; zero is a free place */
	__u32 connections; /* open ones, and handshakes in progress that count */
	__u8 ports[3]; /* a bit for each source port with a handshake in progress */
	__u8 dropped; /* one from the first dropped packet on */
};

#define PORT_BITS 24

#define LINE_SLOTS 4 /* of a cache line */
#define GROUP_LINES 16 /* their tags are one cache line */

/* A part of a table. A client has its place in one of two cache lines, which its hash selects.
 * A slot's tag is a byte: some bits of its client's hash, or zero if it is free. */
struct group {
	__u32 tags[GROUP_LINES]; /* of the line's slots, the lowest byte first */
	struct slot slots[GROUP_LINES * LINE_SLOTS];
} __attribute__((aligned(64)));

/* What is protected. It may change while the program runs. */
struct application {
	__u32 quota;
	__u16 policy; /* enum policy */
	__u16 lists; /* enum lists */
	__u64 interval_ns; /* from token to token; zero is no rate limit */
	__u64 burst_ns; /* how far ahead of time tokens may be taken */
	__u32 network_quota; /* zero is none */
	__u32 zero;
};

struct prefix {
	__u32 length; /* bits; of an IPv4 prefix 96 more */
	struct address address;
};

enum event_kind { EVENT_OVER_QUOTA, EVENT_OVER_RATE, EVENT_UNDER_RATE, EVENT_SAMPLE };

struct event {
	__u64 at_ns; /* CLOCK_MONOTONIC */
	struct key client; /* of a sample: the whole address */
	__u32 kind; /* enum event_kind */
	/* Of a sample, a packet that was dropped: */
	__u16 source_port;
	__u16 length; /* bytes of the datagram */
	__u32 reason; /* enum reason */
};

enum lost { LOST_LIMITED, LOST_FULL, LOST_REASONS };

/* Settings, constant for the verifier. Set by user space before loading. */
const volatile __u32 ipv4_mask = 0xffffffff; /* network order */
const volatile __u32 ipv6_mask[4] = { 0xffffffff, 0xffffffff }; /* network order */
const volatile __u8 has_quotas = 0; /* of prefixes */
const volatile __u8 long_ids = 0; /* the server's own connection IDs are no shorter than a client's */
/* The settings for networks, if there is a quota for them. */
const volatile __u8 limits_networks = 0;
const volatile __u32 ipv4_network_mask = 0xffffffff; /* network order */
const volatile __u32 ipv6_network_mask[4] = { 0xffffffff, 0xffffffff }; /* network order */
const volatile __u32 network_groups = 1; /* of their table, a power of two */
const volatile __u64 hash_key[2] = {}; /* random */
const volatile __u32 groups = 1; /* of the table, a power of two */
const volatile __u32 rate_sets = 1; /* a power of two */
const volatile __u64 tick_ns = 10000000; /* from tick to tick of the kernel (jiffies) */
const volatile __u8 unusual_passed = 0; /* enum unusual */
const volatile __u64 event_interval_ns = 0; /* one event in this time; zero is none at all */
const volatile __u64 event_burst_ns = 0;

const volatile __u64 sample_interval_ns = 0; /* one sample in this time; zero is none at all */
const volatile __u64 sample_burst_ns = 0;

/* Set if the verifier would otherwise have too much to verify: the program in the driver judges
 * clients in a function of its own, and a call costs a quarter of the whole program. */
const volatile __u8 outlined = 0;

/* Set in tests: every packet is read as if its headers were not in its first buffer. */
const volatile __u8 in_parts = 0;

/* The application of each port, by its index in `applications`; zero is none.
 * Set by user space before loading. */
volatile __u8 application_of[65536];

/* Set if a packet may be several datagrams of one sender with one header (GSO,
 * GRO). User space clears it in native mode, where every packet is one datagram. */
const volatile __u8 merges = 1;

/* Set if the program outlives the process that counts. If not, the kernel detaches
 * the program when that process ends. */
const volatile __u8 outlives = 0;

/* If `outlives` is set: the time until which a process maintains the counts
 * (CLOCK_MONOTONIC). It renews this while it lives. */
volatile __u64 owned_until_ns;

volatile __u64 events_full_ns; /* the bucket of all events but samples */
volatile __u64 samples_full_ns; /* that of samples */

/* Set if nothing is dropped: packets that would be are counted separately. It may
 * change while the program runs. */
volatile __u8 monitoring;

/* The first is none: its burst_ns is the longest debt that the rates of the others allow. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_APPLICATIONS);
	__type(key, __u32);
	__type(value, struct application);
} applications SEC(".maps");

/* The tables. A client without a place is below its quota. BPF_F_MMAPABLE aligns a map to
 * cache lines. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* user space sets it */
	__type(key, __u32);
	__type(value, struct group);
} clients SEC(".maps"), networks SEC(".maps");

#define RATE_BUCKETS 4
#define RATE_TAG 0x7ffULL
#define RATE_MARK 0x800ULL
#define RATE_LOW (RATE_MARK | RATE_TAG)
#define RATE_SHIFT 6 /* from ns to the unit of a bucket's time */
#define RATE_SLACK (1000000000ULL << RATE_SHIFT)
#define RATE_MOST (8 * 86400 * 1000000000ULL << RATE_SHIFT) /* a day more than settings allow */

/* The token buckets of the rate limit that a client may use: half a cache line. Each is the
 * time at which it is full again (the virtual scheduling form of ITU-T I.371's generic cell
 * rate algorithm), in units of 1/64 ns. These wrap around every nine years; a time more than
 * eight days ahead is in the past. The lowest bits are not of the time: some bits of its
 * client's hash, and a mark, set from the client's first dropped packet until one passes. A
 * client uses its own bucket; without one, a full bucket, which becomes its own. If all are in
 * use, it shares the one that its hash prefers. */
struct rate_set {
	__u64 buckets[RATE_BUCKETS];
} __attribute__((aligned(32)));

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* user space sets it */
	__type(key, __u32);
	__type(value, struct rate_set);
} rates SEC(".maps");

/* User space sets their size. The program only checks that a value is not zero; the
 * rest is for user space. All of IPv4 has an entry of zero, unless it is listed:
 * otherwise it would be part of ::/0. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct prefix);
	__type(value, __u64);
} allowed SEC(".maps"), denied SEC(".maps");

/* The quotas of clients in some prefixes, in place of their application's. Zero is none. All
 * of IPv4 has an entry of zero, unless it has a quota. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct prefix);
	__type(value, __u32);
} quotas SEC(".maps");

/* Packets: enum reason by application; the first is for packets to none. The
 * second half counts the packets that would have been dropped (monitoring). */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2 * MAX_APPLICATIONS * REASONS);
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

static __always_inline void count(void *map, __u32 index)
{
	__u64 *n = bpf_map_lookup_elem(map, &index);

	if (n)
		(*n)++;
}

#endif
