// SPDX-License-Identifier: MIT OR GPL-2.0
//
// The baseline for measurements of the gateway (equic/bench). Users of the
// library do not load it. `algorithm1` is Algorithm 1 of the paper as
// published: it takes an Ethernet frame with IPv4 and UDP apart, looks the
// source address up in a hash map of connection counts, and drops the packet if
// the count is above the quota. Like the original, it leaves out: ports, VLAN
// tags, IPv6, IP options, fragments, QUIC, counters. The published program also
// reads the clock for each packet and does nothing with the time.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* A full-period generator of the numbers below a power of two (its factor is
 * 1 modulo 4, its addend odd), and an odd factor that spreads them over all
 * addresses, each to a different one. equic/bench uses the same values. */
#define TURN_FACTOR 1664525
#define TURN_ADDEND 1013904223
#define SPREAD 2654435761

/* Settings, constant for the verifier. Set by user space before loading. */
const volatile __u32 quota_limit = 5; /* the paper's */
const volatile __u8 read_clock = 1; /* zero: without the clock that nothing needs */
const volatile __u32 sources = 1; /* a power of two */
const volatile __u32 first_source = 0;

volatile __u32 turn;

/* Open connections by source address, in network order. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536); /* user space may set another size */
	__type(key, __be32);
	__type(value, __u32);
} quotas SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} measured SEC(".maps");

SEC("xdp.frags")
int algorithm1(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	struct udphdr *udp = (void *)(ip + 1);
	__be32 source;
	__u32 *connections;

	if (read_clock)
		bpf_ktime_get_ns();
	if ((void *)ip > data_end || eth->h_proto != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	if ((void *)udp > data_end || ip->protocol != IPPROTO_UDP)
		return XDP_PASS;
	if ((void *)(udp + 1) > data_end)
		return XDP_PASS;
	source = ip->saddr;
	connections = bpf_map_lookup_elem(&quotas, &source);
	if (connections && *connections > quota_limit)
		return XDP_DROP;
	return XDP_PASS;
}

/* Gives each run of a burst a different IPv4 source, then runs the measured
 * program. Without it, the kernel's test run repeats one packet, whose
 * client is always in the CPU's first-level cache. Reading the clock waits
 * for all earlier loads. Otherwise the CPU would begin with the next packets
 * while this one's client is loaded from memory, which it cannot do behind a
 * driver. */
SEC("xdp.frags")
int rotate(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;
	struct iphdr *ip = data + ETH_HLEN;

	if ((void *)(ip + 1) > data_end)
		return XDP_ABORTED;
	turn = (turn * TURN_FACTOR + TURN_ADDEND) & (sources - 1);
	ip->saddr = (turn + first_source) * SPREAD;
	bpf_ktime_get_ns();
	bpf_tail_call(ctx, &measured, 0);
	return XDP_ABORTED;
}

char _license[] SEC("license") = "Dual MIT/GPL";
