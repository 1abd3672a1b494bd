/* SPDX-License-Identifier: MIT OR GPL-2.0
 *
 * The verdict on a datagram to a protected port, and the counters.
 */
#ifndef EQUIC_VERDICT_H
#define EQUIC_VERDICT_H

#include "maps.h"
#include "packet.h"

/* At a token that other CPUs want too. */
#define EVENT_ATTEMPTS 4
#define RATE_ATTEMPTS 2 /* which are unrolled */

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

/* The kind of a datagram's first QUIC packet. */
enum kind {
	KIND_UNREADABLE,
	KIND_ESTABLISHED, /* it opens no connection */
	KIND_MERGED, /* the first of several datagrams opens none */
	/* These may: */
	KIND_0RTT, /* it waits for the Initial of its connection */
	KIND_TOKEN, /* an Initial with a token, to an ID that a server chose: the
		     * answer to a Retry, or a later packet of its handshake */
	KIND_INITIAL,
	KIND_OPENING, /* of an unknown version; or a fragment */
};

/* Merged datagrams all have the same length, except that the last may be shorter. An
 * Initial needs QUIC_MIN_INITIAL bytes, so the datagram in front of it has at least as
 * many, and the packet at least twice as many. */
static __always_inline int may_be_merged(const struct datagram *d)
{
	return d->length >= 2 * QUIC_MIN_INITIAL && merges;
}

static __always_inline enum kind established(const struct datagram *d)
{
	return may_be_merged(d) ? KIND_MERGED : KIND_ESTABLISHED;
}

/* An Initial to an ID that a server chose opens a connection only if it brings
 * the token of a Retry (RFC 9000, 7.2 and 17.2.5). Only clients send tokens. */
static __always_inline enum kind kind_of_initial(const struct view *v, const struct datagram *d)
{
	__u32 offset = LONG_HEADER_START + d->id_length;
	__u8 length;

	if (d->id_length >= QUIC_MIN_CLIENT_CHOSEN || long_ids)
		return KIND_INITIAL;
	/* No server can read a datagram that ends too early either. */
	if (offset >= d->length || load(v, d->payload + offset, &length, 1) || length > QUIC_MAX_ID)
		return established(d);
	offset += 1 + length;
	if (offset >= d->length || load(v, d->payload + offset, &length, 1) || !length)
		return established(d);
	return KIND_TOKEN;
}

static __always_inline enum kind kind_of(const struct view *v, const struct datagram *d)
{
	__u8 type;

	if (d->fragment)
		return KIND_OPENING;
	if (d->readable < 1 || d->length < 1)
		return KIND_UNREADABLE;
	if (!(d->first & QUIC_LONG_HEADER))
		return established(d);
	if (d->readable < LONG_HEADER_START || d->length < LONG_HEADER_START)
		return KIND_UNREADABLE;
	type = (d->first >> 4) & 3;
	switch (d->version) {
	case 0: /* version negotiation */
		return established(d);
	case QUIC_V1:
		break;
	case QUIC_V2:
		type = (type + 3) & 3;
		break;
	default: /* types are the version's own; RTP and others have no fixed bit (RFC 9443, 4) */
		return d->first & QUIC_FIXED_BIT ? KIND_OPENING : established(d);
	}
	if (type == QUIC_INITIAL)
		return kind_of_initial(v, d);
	return type == QUIC_0RTT ? KIND_0RTT : established(d);
}

/* Takes a token from the bucket of events or samples; returns 0 if there is none. */
static __always_inline int take_token(volatile __u64 *full_ns, __u64 now, __u64 interval, __u64 burst)
{
	for (int i = 0; i < EVENT_ATTEMPTS; i++) {
		__u64 old = *full_ns;
		__u64 from = old > now ? old : now;

		if (from - now > burst)
			return 0;
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

	__u64 *listed = bpf_map_lookup_elem(list, &p);

	return listed && *listed;
}

/* Makes the key of a client or of its network. */
static __always_inline void make_key(const struct datagram *d, struct key *k, __u32 mask4, const volatile __u32 *mask6)
{
	if (d->source.words[2] == bpf_htonl(0xffff) && !d->source.words[0] && !d->source.words[1]) {
		k->prefix.words[0] = 0;
		k->prefix.words[1] = 0;
		k->prefix.words[2] = bpf_htonl(0xffff);
		k->prefix.words[3] = d->source.words[3] & mask4;
	} else {
		k->prefix.words[0] = d->source.words[0] & mask6[0];
		k->prefix.words[1] = d->source.words[1] & mask6[1];
		k->prefix.words[2] = d->source.words[2] & mask6[2];
		k->prefix.words[3] = d->source.words[3] & mask6[3];
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

/* SipHash-1-3 of the words of an address that are not zero: one word of an IPv4
 * address, and of an IPv6 prefix of at most 64 bits. The port and which words they are
 * belong to the key, so a message has a fixed length and needs no padding. Without the
 * key, an attacker cannot choose addresses that collide in the table. equic/hash.go is
 * the same. */
static __always_inline __u64 hash_of(const struct key *k)
{
	__u64 high = (__u64)k->prefix.words[1] << 32 | k->prefix.words[0];
	__u64 low = (__u64)k->prefix.words[3] << 32 | k->prefix.words[2];
	__u64 what = (__u64)k->port | (__u64)!!high << 16 | (__u64)!!low << 17;
	__u64 v0 = hash_key[0] ^ 0x736f6d6570736575ULL;
	__u64 v1 = hash_key[1] ^ what ^ 0x646f72616e646f6dULL;
	__u64 v2 = hash_key[0] ^ 0x6c7967656e657261ULL;
	__u64 v3 = hash_key[1] ^ what ^ 0x7465646279746573ULL;
	__u64 last = high | low;

	if (high && low) {
		v3 ^= high;
		SIP_ROUND(v0, v1, v2, v3);
		v0 ^= high;
		last = low;
	}
	v3 ^= last;
	SIP_ROUND(v0, v1, v2, v3);
	v0 ^= last;
	v2 ^= 0xff;
	SIP_ROUND(v0, v1, v2, v3);
	SIP_ROUND(v0, v1, v2, v3);
	SIP_ROUND(v0, v1, v2, v3);
	v0 ^= v1 ^ v2 ^ v3;
	return v0 | 1ULL << 15; /* zero is a free place; nothing else uses this bit */
}

#define EVERY_BYTE(x) ((x) * 0x0101010101010101ULL)

/* Returns the highest bit of each byte of `tags` that is the tag of a hash. */
static __always_inline __u64 matches(__u64 tags, __u64 hash)
{
	__u64 tag = hash >> 56;
	__u64 differs = tags ^ EVERY_BYTE(tag ? tag : 1);

	return ~(((differs & EVERY_BYTE(0x7f)) + EVERY_BYTE(0x7f)) | differs | EVERY_BYTE(0x7f));
}

/* Returns the number of the lowest byte whose highest bit is set, of bytes like those
 * that matches() returns. The product moves it into the highest byte. */
static __always_inline __u32 first_of(__u64 bytes)
{
	return (((bytes & -bytes) >> 7) * 0x0001020304050607ULL) >> 56;
}

/* Returns 1 if two hashes are the same, without a branch: the verifier would follow both. */
static __always_inline __u64 is_same(__u64 a, __u64 b)
{
	__u64 differs = a ^ b, minus = -differs;

	asm volatile("" : "+r"(minus)); /* the compiler would see the branch */
	return ~(differs | minus) >> 63;
}

/* Returns a client's place in a table, if it has one. At most two cache lines are read: the
 * tags, and the first one of the client's two that has its tag. If the first does, the client
 * is not in the second (equic/lines.go). */
static __always_inline struct slot *find(void *table, __u32 groups_of, __u64 hash)
{
	__u32 number = (hash >> 16) & (groups_of - 1), line = hash & (GROUP_LINES - 1);
	__u32 other = line ^ ((hash >> 4 & (GROUP_LINES - 1)) | 1);
	struct group *g = bpf_map_lookup_elem(table, &number);
	__u64 there, any = 0, place = 0;
	struct slot *slots, *s;

	if (!g)
		return NULL;
	there = matches(g->tags[line] | (__u64)g->tags[other] << 32, hash);
	if (!there)
		return NULL;
	slots = &g->slots[line * LINE_SLOTS];
	if (there & 0xffffffff)
		(void)*(volatile __u64 *)&slots->hash; /* a CPU that expects this loads it with the tags */
	else
		slots = &g->slots[other * LINE_SLOTS];
	s = &slots[first_of(there) & (LINE_SLOTS - 1)];
	if (s->hash == hash)
		return s;
	/* Another client of this line has the same tag. */
#pragma unroll
	for (int i = 0; i < LINE_SLOTS; i++) {
		__u64 same = is_same(slots[i].hash, hash);

		any |= same;
		place += same * i;
	}
	return any ? &slots[place & (LINE_SLOTS - 1)] : NULL;
}

/* Returns whether a handshake is in progress from a source port, or from
 * another port with the same bit. equic/table.go is the same. */
static __always_inline int in_progress(const struct slot *s, __u16 port)
{
	__u32 ports = s->ports[0] | s->ports[1] << 8 | s->ports[2] << 16;
	__u64 spread = (__u32)(port * 2654435769U);

	return ports >> (spread * PORT_BITS >> 32) & 1;
}

/* The coarse clock costs less, but netfilter programs may not read it. */
static __always_inline __u64 now_ns(const int netfilter)
{
	return netfilter ? bpf_ktime_get_ns() : bpf_ktime_get_coarse_ns();
}

/* Returns whether a packet belongs to a handshake in progress. */
static __always_inline int continues(const struct datagram *d, enum kind kind, const struct slot *s)
{
	return (kind == KIND_TOKEN || kind == KIND_0RTT) && !may_be_merged(d) && in_progress(s, d->source_port);
}

/* Returns the quota of a client. */
static __always_inline __u32 quota_of(const struct datagram *d, const struct application *a)
{
	struct prefix p = { .length = 128, .address = d->source };
	__u32 *quota = has_quotas ? bpf_map_lookup_elem(&quotas, &p) : NULL;

	return quota && *quota ? *quota : a->quota;
}

static __always_inline enum reason judge_quota(const struct datagram *d, struct key *k, struct slot *s, enum kind kind,
					       const struct application *a, const int netfilter)
{
	if (!s)
		return PASS_UNKNOWN_CLIENT;
	if (s->connections < quota_of(d, a))
		return PASS_UNDER_QUOTA;
	if (a->policy == POLICY_NEW && continues(d, kind, s))
		return PASS_HANDSHAKE;
	if (outlives && owned_until_ns < now_ns(netfilter)) /* the process that counts has ended */
		return PASS_UNOWNED;
	if (!s->dropped) {
		s->dropped = 1;
		send_event(k, EVENT_OVER_QUOTA);
	}
	return DROP_OVER_QUOTA;
}

/* Returns whether the client's network has as many connections as it may have. As a global
 * function it is verified once. */
__noinline int is_network_full(const struct datagram *d, __u32 quota)
{
	struct slot *s;
	struct key k;

	if (!d || !quota)
		return 0;
	make_key(d, &k, ipv4_network_mask, ipv6_network_mask);
	s = find(&networks, network_groups, hash_of(&k));
	if (!s || s->connections < quota)
		return 0;
	if (outlives && owned_until_ns < bpf_ktime_get_ns())
		return 0;
	if (!s->dropped)
		s->dropped = 1;
	return 1;
}

/* Returns how far ahead of time tokens were taken from a bucket; zero is a full one. */
static __always_inline __u64 debt_of(__u64 bucket, __u64 now)
{
	__u64 debt = (bucket & ~RATE_LOW) - now;

	return debt <= RATE_MOST ? debt : 0;
}

static __always_inline int is_own(__u64 bucket, __u64 tag)
{
	return (bucket & RATE_TAG) == tag;
}

/* Returns the number of the bucket that a client should use. In nearly all cases it is the one
 * that its hash prefers. A CPU that expects this need not wait for the others. */
static __always_inline __u32 choose(const volatile __u64 *b, __u64 tag, __u64 now, __u32 preferred)
{
	__u64 bucket = b[preferred];

	if (is_own(bucket, tag))
		return preferred;
#pragma unroll
	for (int n = 0; n < RATE_BUCKETS; n++) {
		if (is_own(b[n], tag))
			return n;
	}
	if (!debt_of(bucket, now))
		return preferred;
#pragma unroll
	for (int n = 0; n < RATE_BUCKETS; n++) {
		if (!debt_of(b[n], now))
			return n;
	}
	return preferred;
}

/* Returns a number that the verifier does not know. Without CAP_PERFMON it refuses an offset
 * that is constant on some paths only. */
static __always_inline __u64 unknown(__u64 number, __u64 mask)
{
	number ^= mask;
	asm volatile("" : "+r"(number));
	return number ^ mask;
}

/* Returns 1 if the client may open a connection now, and takes a token. */
static __always_inline int within_rate(__u64 hash, struct key *k, const struct application *a)
{
	__u64 interval = a->interval_ns << RATE_SHIFT, burst = a->burst_ns << RATE_SHIFT;
	__u64 tag = hash & RATE_TAG;
	__u32 i = (hash >> 32) & (rate_sets - 1), none = 0;
	struct rate_set *s = bpf_map_lookup_elem(&rates, &i);
	struct application *all = bpf_map_lookup_elem(&applications, &none);

	if (!s || !all)
		return 0;
#pragma unroll
	for (int n = 0; n < RATE_ATTEMPTS; n++) {
		__u64 now = (bpf_jiffies64() * tick_ns << RATE_SHIFT) & ~RATE_LOW;
		__u32 chosen = choose(s->buckets, tag, now, hash >> 11 & (RATE_BUCKETS - 1));
		volatile __u64 *bucket = &s->buckets[unknown(chosen, hash) & (RATE_BUCKETS - 1)];
		__u64 old = *bucket, debt = debt_of(old, now);
		int own = is_own(old, tag);
		__u64 marks = own || !debt ? tag : old & RATE_LOW, changed; /* its lowest bits */

		if (debt > burst) {
			/* A bucket that is much emptier than the settings allow was used before they changed,
			 * or by a client of another port. It becomes just empty, or its clients would wait
			 * for tokens of the other rate. One that is a little emptier may have been used at
			 * the next tick, by a CPU that saw it first. */
			__u64 most = own ? burst + interval : all->burst_ns << RATE_SHIFT;

			changed = (now + (debt < most + RATE_SLACK ? debt : most)) | marks | (own ? RATE_MARK : 0);
			if (changed != old && __sync_val_compare_and_swap(bucket, old, changed) == old && own &&
			    !(old & RATE_MARK))
				send_event(k, EVENT_OVER_RATE);
			return 0;
		}
		changed = (now + debt + interval) | marks;
		if (__sync_val_compare_and_swap(bucket, old, changed) != old)
			continue;
		if (own && old & RATE_MARK)
			send_event(k, EVENT_UNDER_RATE);
		return 1;
	}
	return 0;
}

/* The verdict by what is known of the client. */
static __always_inline enum reason judge_client(const struct datagram *d, const struct application *a, enum kind kind,
						const int netfilter)
{
	struct slot *client;
	enum reason why;
	struct key k;
	__u64 hash;
	int opens;

	make_key(d, &k, ipv4_mask, ipv6_mask);
	hash = hash_of(&k);
	client = find(&clients, groups, hash);
	/* Merged packets of a client that has connections are usually theirs. */
	opens = client ? kind > KIND_MERGED && !continues(d, kind, client) : kind >= KIND_MERGED;
	why = judge_quota(d, &k, client, kind, a, netfilter);
	if (why == DROP_OVER_QUOTA)
		return why;
	if (limits_networks && opens && is_network_full(d, a->network_quota))
		return DROP_NETWORK;
	if (kind < KIND_TOKEN || !a->interval_ns)
		return why;
	return within_rate(hash, &k, a) ? why : DROP_RATE;
}

/* Global functions are verified once, not once for each way to read a packet. */
__noinline int judge_known(const struct datagram *d, const struct application *a, __u32 kind)
{
	return d && a ? judge_client(d, a, kind, 0) : PASS_MALFORMED;
}

__noinline int judge_known_netfilter(const struct datagram *d, const struct application *a, __u32 kind)
{
	return d && a ? judge_client(d, a, kind, 1) : PASS_MALFORMED;
}

static __always_inline enum reason judge(const struct view *v, const struct datagram *d, const struct application *a)
{
	enum kind kind;

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
	kind = kind_of(v, d);
	if (a->policy == POLICY_NEW && kind == KIND_ESTABLISHED)
		return PASS_ESTABLISHED;
	if (a->policy == POLICY_NEW && kind == KIND_UNREADABLE)
		return PASS_NOT_QUIC;
	if ((kind == KIND_INITIAL || kind == KIND_TOKEN) && d->length < QUIC_MIN_INITIAL)
		return DROP_SHORT_INITIAL;
	switch (v->hook) {
	case HOOK_XDP:
		return outlined ? judge_known(d, a, kind) : judge_client(d, a, kind, 0);
	case HOOK_NETFILTER:
		return judge_known_netfilter(d, a, kind);
	default:
		return judge_known(d, a, kind);
	}
}

/* Sends a dropped packet to user space, unless there are too many. */
static __noinline int send_sample(const struct datagram *d, __u32 why)
{
	struct event e = {};

	e.at_ns = bpf_ktime_get_ns();
	if (!take_token(&samples_full_ns, e.at_ns, sample_interval_ns, sample_burst_ns))
		return 0;
	e.client.prefix = d->source;
	e.client.port = d->port;
	e.kind = EVENT_SAMPLE;
	e.source_port = d->source_port;
	e.length = d->length;
	e.reason = why;
	if (bpf_ringbuf_output(&events, &e, sizeof(e), 0))
		count(&events_lost, LOST_FULL);
	return 0;
}

/* Judges a packet, unless `why` is a reason already (not REASONS), and counts it.
 * Returns whether to drop it. */
static __always_inline int is_dropped(const struct view *v, enum reason why, const struct datagram *d)
{
	struct application *a;
	__u32 index = 0;

	if (why == REASONS) {
		index = application_of[d->port];
		a = index ? bpf_map_lookup_elem(&applications, &index) : NULL;
		why = a ? judge(v, d, a) : PASS_OTHER_PORT;
	}
	if (is_drop(why) && sample_interval_ns)
		send_sample(d, why);
	if (is_drop(why) && monitoring) {
		count(&packets, (MAX_APPLICATIONS + index) * REASONS + why);
		return 0;
	}
	count(&packets, index * REASONS + why);
	return is_drop(why);
}

#endif
