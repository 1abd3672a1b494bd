/* SPDX-License-Identifier: MIT OR GPL-2.0
 *
 * Reads the parts of a packet that its verdict needs, at any hook.
 *
 * The program in the driver reads headers of the usual lengths in place, at offsets
 * that the compiler knows. All else is read by a helper: a variable offset into a
 * packet needs CAP_PERFMON, the helper does not, and behind the driver the bytes of
 * a packet need not be in one place.
 */
#ifndef EQUIC_PACKET_H
#define EQUIC_PACKET_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "maps.h"

#define VLAN_TAG 4 /* bytes */
#define IPV4_FRAGMENT_OFFSET 0x1fff
#define IPV4_MORE_FRAGMENTS 0x2000
#define IPV6_FRAGMENT_OFFSET 0xfff8
#define IPV6_MORE_FRAGMENTS 0x0001
#define IPV4_WORDS_WITHOUT_OPTIONS 5
#define LONGEST_HEADERS (ETH_HLEN + 2 * VLAN_TAG + 40) /* bytes, with those of IPv6 */
#define MAX_EXTENSIONS 8 /* IPv6 extension headers that are read */

/* HOOK_XDP_PARTS is HOOK_XDP for a packet whose headers may not be in its first buffer. */
enum hook { HOOK_XDP, HOOK_XDP_PARTS, HOOK_TC, HOOK_NETFILTER, HOOK_SOCKET };

/* A packet at a hook. Offsets are from its Ethernet header, at
 * HOOK_NETFILTER from its IP header, at HOOK_SOCKET from its UDP header. */
struct view {
	enum hook hook; /* known to the compiler */
	void *ctx;
	const struct bpf_dynptr *bytes; /* at HOOK_NETFILTER */
};

/* The context of a netfilter program; older headers do not have it. */
struct nf_hook_state;
struct sk_buff;
struct bpf_nf_ctx {
	const struct nf_hook_state *state;
	struct sk_buff *skb;
};

extern int bpf_dynptr_from_skb(struct __sk_buff *skb, __u64 flags, struct bpf_dynptr *bytes) __ksym;
extern __u32 bpf_dynptr_size(const struct bpf_dynptr *bytes) __ksym;

/* Copies bytes; returns 0 if all are there. */
static __always_inline long load(const struct view *v, __u32 offset, void *to, const __u32 n)
{
	switch (v->hook) {
	case HOOK_XDP:
	case HOOK_XDP_PARTS:
		return bpf_xdp_load_bytes(v->ctx, offset, to, n);
	case HOOK_NETFILTER:
		return bpf_dynptr_read(to, n, v->bytes, offset, 0);
	default:
		return bpf_skb_load_bytes(v->ctx, offset, to, n);
	}
}

/* Where the packet ends. */
static __always_inline __u32 end_of(const struct view *v)
{
	switch (v->hook) {
	case HOOK_XDP:
	case HOOK_XDP_PARTS:
		return bpf_xdp_get_buff_len(v->ctx);
	case HOOK_NETFILTER:
		return bpf_dynptr_size(v->bytes);
	default:
		return ((struct __sk_buff *)v->ctx)->len;
	}
}

/* The parts of a UDP datagram that are read: its header (RFC 768) and the
 * first six bytes of a long header, which every version has (RFC 8999, 5.1). */
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

/* The packet in the driver, at a constant offset, as a pointer that is
 * opaque to the compiler. Otherwise the compiler would merge the code of
 * several offsets into a variable one. */
static __always_inline void *at(const struct view *v, const __u32 offset)
{
	void *p = (void *)(long)((struct xdp_md *)v->ctx)->data + offset;

	asm volatile("" : "+r"(p));
	return p;
}

static __always_inline void *data_end(const struct view *v)
{
	return (void *)(long)((struct xdp_md *)v->ctx)->data_end;
}

/* Parses the datagram at an offset; returns REASONS if it was read. Over
 * IPv6, a length of zero is that of a jumbogram, which ends with its packet
 * (RFC 2675, 4): Linux accepts it at any size. */
static __always_inline enum reason take(const struct view *v, __u32 offset, struct datagram *d,
					const struct start *start, __u8 readable)
{
	__u32 length = bpf_ntohs(start->length);

	if (length < UDP_HEADER) {
		if (length || !d->jumbo)
			return PASS_MALFORMED;
		length = end_of(v) - offset;
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
static __always_inline enum reason read_slowly(const struct view *v, __u32 offset, struct datagram *d)
{
	struct start start = {};

	if (!load(v, offset, &start, sizeof(start)))
		return take(v, offset, d, &start, LONG_HEADER_START);
	if (!load(v, offset, &start, UDP_HEADER + 1))
		return take(v, offset, d, &start, 1);
	if (!load(v, offset, &start, UDP_HEADER))
		return take(v, offset, d, &start, 0);
	return PASS_MALFORMED;
}

/* Reads the datagram that starts at an offset, in place if it is complete. */
static __always_inline enum reason read_datagram(const struct view *v, const __u32 offset, struct datagram *d)
{
	struct start *start;

	if (v->hook != HOOK_XDP)
		return read_slowly(v, offset, d);
	start = at(v, offset);
	if ((void *)(start + 1) > data_end(v))
		return read_slowly(v, offset, d);
	return take(v, offset, d, start, LONG_HEADER_START);
}

static __always_inline enum reason incomplete(void)
{
	return unusual_passed & UNUSUAL_FRAGMENTS ? PASS_INCOMPLETE : DROP_INCOMPLETE;
}

static __always_inline enum reason too_deep(void)
{
	return unusual_passed & UNUSUAL_DEEP ? PASS_TOO_DEEP : DROP_TOO_DEEP;
}

/* Reads the datagram of a first fragment. Its headers must be within the IP
 * packet: a frame may be longer, and the stack does not reassemble what
 * follows the packet. */
static __always_inline enum reason read_fragment(const struct view *v, __u32 offset, __u32 end, struct datagram *d)
{
	enum reason why = PASS_MALFORMED;

	d->fragment = 1;
	if (offset + UDP_HEADER <= end)
		why = read_slowly(v, offset, d);
	return why == PASS_MALFORMED ? incomplete() : why;
}

static __always_inline void take_ipv4_source(__be32 source, struct datagram *d)
{
	d->source.words[0] = 0;
	d->source.words[1] = 0;
	d->source.words[2] = bpf_htonl(0xffff);
	d->source.words[3] = source;
}

static __always_inline enum reason take_ipv4(const struct view *v, const struct iphdr *ip, const __u32 offset,
					     struct datagram *d)
{
	if (ip->version != 4 || ip->ihl < IPV4_WORDS_WITHOUT_OPTIONS)
		return PASS_MALFORMED;
	if (ip->protocol != IPPROTO_UDP)
		return PASS_NOT_UDP;
	if (ip->frag_off & bpf_htons(IPV4_FRAGMENT_OFFSET))
		return PASS_FRAGMENT;
	take_ipv4_source(ip->saddr, d);
	d->options = ip->ihl > IPV4_WORDS_WITHOUT_OPTIONS;
	if (ip->frag_off & bpf_htons(IPV4_MORE_FRAGMENTS))
		return read_fragment(v, offset + ip->ihl * 4, offset + bpf_ntohs(ip->tot_len), d);
	if (d->options)
		return read_slowly(v, offset + ip->ihl * 4, d);
	return read_datagram(v, offset + sizeof(*ip), d);
}

static __always_inline enum reason read_ipv4(const struct view *v, const __u32 offset, struct datagram *d)
{
	struct iphdr copy;
	struct iphdr *ip;

	if (v->hook != HOOK_XDP)
		return load(v, offset, &copy, sizeof(copy)) ? PASS_MALFORMED : take_ipv4(v, &copy, offset, d);
	ip = at(v, offset);
	return (void *)(ip + 1) > data_end(v) ? PASS_MALFORMED : take_ipv4(v, ip, offset, d);
}

/* An IPv6 extension header begins with the first two fields, a fragment header with all three. */
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
 * FOUND or the reason why there is none. The IP packet ends at `end`. */
static __always_inline int walk(const struct view *v, __u32 offset, __u32 next, __u32 end)
{
	__u32 found = FOUND;
	struct extension e;

	for (int i = 0; i < MAX_EXTENSIONS && is_extension(next); i++) {
		if (load(v, offset, &e, sizeof(e)))
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
		/* Not the last byte of the header, but the first one behind it: a
		 * header that ends with the fragment may go on in the next. */
		if ((found & FOUND_FRAGMENT) && offset > end)
			return incomplete();
		next = e.next;
	}
	if (next == IPPROTO_UDP)
		return found | (offset & 0xffff);
	return is_extension(next) ? too_deep() : PASS_NOT_UDP;
}

/* Global functions are verified once instead of at every call; these have too many
 * paths to be verified inline. A context's type is that of its hook. */
__noinline int walk_xdp(struct xdp_md *ctx, __u32 offset, __u32 next, __u32 end)
{
	const struct view v = { .hook = HOOK_XDP, .ctx = ctx };

	return walk(&v, offset, next, end);
}

__noinline int walk_tc(struct __sk_buff *ctx, __u32 offset, __u32 next, __u32 end)
{
	const struct view v = { .hook = HOOK_TC, .ctx = ctx };

	return walk(&v, offset, next, end);
}

__noinline int walk_netfilter(struct bpf_nf_ctx *ctx, __u32 offset, __u32 next, __u32 end)
{
	struct bpf_dynptr bytes;
	const struct view v = { .hook = HOOK_NETFILTER, .ctx = ctx, .bytes = &bytes };

	if (bpf_dynptr_from_skb((struct __sk_buff *)ctx->skb, 0, &bytes))
		return PASS_MALFORMED;
	return walk(&v, offset, next, end);
}

static __always_inline int find_datagram(const struct view *v, __u32 offset, __u32 next, __u32 end)
{
	switch (v->hook) {
	case HOOK_XDP:
	case HOOK_XDP_PARTS:
		return walk_xdp(v->ctx, offset, next, end);
	case HOOK_NETFILTER:
		return walk_netfilter(v->ctx, offset, next, end);
	default:
		return walk_tc(v->ctx, offset, next, end);
	}
}

static __always_inline enum reason read_extended(const struct view *v, __u32 offset, __u8 next, __u32 end,
						 struct datagram *d)
{
	__u64 found = (__u32)find_datagram(v, offset, next, end);

	/* Opaque to the compiler, which then compares the very register that it returns.
	 * Otherwise the verifier follows a path on which REASONS is returned without a
	 * datagram, and refuses it if CAP_PERFMON is missing. */
	asm volatile("" : "+r"(found));
	if (!(found & FOUND))
		return found < REASONS ? found : PASS_MALFORMED;
	offset = found & 0xffff;
	return found & FOUND_FRAGMENT ? read_fragment(v, offset, end, d) : read_slowly(v, offset, d);
}

#define NAT64_PREFIX 0x0064ff9b /* of 64:ff9b::/96 (RFC 6052, 2.1) */

static __always_inline void take_ipv6_source(const struct in6_addr *source, struct datagram *d)
{
	__builtin_memcpy(&d->source, source, sizeof(d->source));
	/* A client behind NAT64 is identified by its IPv4 address. */
	if (d->source.words[0] == bpf_htonl(NAT64_PREFIX) && !d->source.words[1] && !d->source.words[2]) {
		d->source.words[0] = 0;
		d->source.words[2] = bpf_htonl(0xffff);
	}
	d->jumbo = 1;
}

static __always_inline enum reason take_ipv6(const struct view *v, const struct ipv6hdr *ip, const __u32 offset,
					     struct datagram *d)
{
	const __u32 next = offset + sizeof(*ip);

	if (ip->version != 6)
		return PASS_MALFORMED;
	take_ipv6_source(&ip->saddr, d);
	if (ip->nexthdr == IPPROTO_UDP)
		return read_datagram(v, next, d);
	return read_extended(v, next, ip->nexthdr, next + bpf_ntohs(ip->payload_len), d);
}

static __always_inline enum reason read_ipv6(const struct view *v, const __u32 offset, struct datagram *d)
{
	struct ipv6hdr copy;
	struct ipv6hdr *ip;

	if (v->hook != HOOK_XDP)
		return load(v, offset, &copy, sizeof(copy)) ? PASS_MALFORMED : take_ipv6(v, &copy, offset, d);
	ip = at(v, offset);
	return (void *)(ip + 1) > data_end(v) ? PASS_MALFORMED : take_ipv6(v, ip, offset, d);
}

static __always_inline enum reason read_network(const struct view *v, __be16 type, const __u32 offset,
						struct datagram *d)
{
	if (type == bpf_htons(ETH_P_IP))
		return read_ipv4(v, offset, d);
	if (type == bpf_htons(ETH_P_IPV6))
		return read_ipv6(v, offset, d);
	return PASS_NOT_IP;
}

static __always_inline int is_vlan(__be16 type)
{
	return type == bpf_htons(ETH_P_8021Q) || type == bpf_htons(ETH_P_8021AD);
}

/* Reads a frame, up to two VLAN tags deep. */
static __always_inline enum reason read_frame(const struct view *v, struct datagram *d)
{
	void *data = (void *)(long)((struct xdp_md *)v->ctx)->data;
	struct ethhdr *eth = data;
	__be16 type;

	if (data + ETH_HLEN > data_end(v))
		return PASS_MALFORMED;
	if (!is_vlan(eth->h_proto))
		return read_network(v, eth->h_proto, ETH_HLEN, d);
	if (data + ETH_HLEN + VLAN_TAG > data_end(v))
		return PASS_MALFORMED;
	type = *(__be16 *)(data + ETH_HLEN + VLAN_TAG - sizeof(type));
	if (!is_vlan(type))
		return read_network(v, type, ETH_HLEN + VLAN_TAG, d);
	if (data + ETH_HLEN + 2 * VLAN_TAG > data_end(v))
		return PASS_MALFORMED;
	type = *(__be16 *)(data + ETH_HLEN + 2 * VLAN_TAG - sizeof(type));
	if (!is_vlan(type))
		return read_network(v, type, ETH_HLEN + 2 * VLAN_TAG, d);
	return too_deep();
}

/* Reads a frame that may be in several buffers, of which the first may even be empty: it
 * depends on the driver. As a global function it is verified once, for any datagram. */
__noinline int read_parts(struct xdp_md *ctx, struct datagram *d)
{
	const struct view v = { .hook = HOOK_XDP_PARTS, .ctx = ctx };
	struct ethhdr eth;
	__be16 type;

	if (!d || load(&v, 0, &eth, sizeof(eth)))
		return PASS_MALFORMED;
	if (!is_vlan(eth.h_proto))
		return read_network(&v, eth.h_proto, ETH_HLEN, d);
	if (load(&v, ETH_HLEN + VLAN_TAG - sizeof(type), &type, sizeof(type)))
		return PASS_MALFORMED;
	if (!is_vlan(type))
		return read_network(&v, type, ETH_HLEN + VLAN_TAG, d);
	if (load(&v, ETH_HLEN + 2 * VLAN_TAG - sizeof(type), &type, sizeof(type)))
		return PASS_MALFORMED;
	if (!is_vlan(type))
		return read_network(&v, type, ETH_HLEN + 2 * VLAN_TAG, d);
	return too_deep();
}

/* Reads a frame from which the kernel has already removed the first tag. It may have one more. */
static __always_inline enum reason read_untagged(const struct view *v, __be16 type, struct datagram *d)
{
	if (!is_vlan(type))
		return read_network(v, type, ETH_HLEN, d);
	if (load(v, ETH_HLEN + VLAN_TAG - sizeof(type), &type, sizeof(type)))
		return PASS_MALFORMED;
	if (!is_vlan(type))
		return read_network(v, type, ETH_HLEN + VLAN_TAG, d);
	return too_deep();
}

/* Reads an IP packet. */
static __always_inline enum reason read_ip(const struct view *v, struct datagram *d)
{
	__u8 version;

	if (load(v, 0, &version, sizeof(version)))
		return PASS_MALFORMED;
	return version >> 4 == 4 ? read_ipv4(v, 0, d) : read_ipv6(v, 0, d);
}

/* Reads what a socket receives: a whole datagram, without options or fragments. */
static __always_inline enum reason read_received(const struct view *v, struct datagram *d)
{
	struct __sk_buff *skb = v->ctx;
	struct ipv6hdr ipv6;
	struct iphdr ipv4;

	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		if (bpf_skb_load_bytes_relative(skb, 0, &ipv4, sizeof(ipv4), BPF_HDR_START_NET))
			return PASS_MALFORMED;
		take_ipv4_source(ipv4.saddr, d);
	} else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		if (bpf_skb_load_bytes_relative(skb, 0, &ipv6, sizeof(ipv6), BPF_HDR_START_NET))
			return PASS_MALFORMED;
		take_ipv6_source(&ipv6.saddr, d);
	} else {
		return PASS_NOT_IP;
	}
	return read_slowly(v, 0, d);
}

#endif
