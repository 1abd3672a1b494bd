// SPDX-License-Identifier: MIT OR GPL-2.0
//
// The data plane of the eQUIC gateway: Algorithm 1 of the paper, limited to
// IPv4 and to UDP packets for one port. User space counts the connections of
// each client in the map `clients`; this program reads the count for each
// packet and drops the packets of a client that is at its quota (policy
// "client"). It never writes that map.
//
// Differences from the published program: IP options are honoured, fragments
// and other ports are left alone, every exit is counted by its reason, and no
// clock is read.
//
// Packets with a VLAN tag and IPv6 are passed and counted as PASS_NOT_IPV4.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define IP_FRAGMENT_OFFSET 0x1fff
#define IP_WORDS_WITHOUT_OPTIONS 5

/* Why the program ended, in the order of the checks. equic/stats.go holds the
 * same list. */
enum reason {
	PASS_MALFORMED,
	PASS_NOT_IPV4,
	PASS_NOT_UDP,
	PASS_FRAGMENT, /* not the first: it has no UDP header */
	PASS_OTHER_PORT,
	PASS_UNKNOWN_CLIENT,
	PASS_UNDER_QUOTA,
	DROP_OVER_QUOTA,
	REASONS,
};

/* An IPv6 address in network order, or an IPv4 address mapped into one. */
struct address {
	__u8 bytes[16];
} __attribute__((aligned(8)));

/* Settings, constant for the verifier. Set by user space before loading. */
const volatile __u16 server_port = 0; /* host order */
const volatile __u32 quota = 0;

/* Open connections of each client. User space writes a count below the quota
 * within a second, or never if the connection is gone by then: an absent client is
 * below its quota. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536); /* user space may set another size */
	__type(key, struct address);
	__type(value, __u32);
} clients SEC(".maps");

/* Packets by enum reason. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, REASONS);
	__type(key, __u32);
	__type(value, __u64);
} packets SEC(".maps");

/* Reads the UDP header behind the IP header; returns 0 where it is whole. With
 * options its offset varies, and a variable offset into a packet needs
 * CAP_PERFMON: the helper does not. */
static __always_inline int read_udp(struct xdp_md *ctx, struct iphdr *ip, struct udphdr *udp)
{
	void *data_end = (void *)(long)ctx->data_end;
	struct udphdr *next = (void *)(ip + 1);

	if (ip->ihl != IP_WORDS_WITHOUT_OPTIONS)
		return bpf_xdp_load_bytes(ctx, ETH_HLEN + ip->ihl * 4, udp, sizeof(*udp));
	if ((void *)(next + 1) > data_end)
		return -1;
	*udp = *next;
	return 0;
}

static __always_inline enum reason judge_client(__be32 source)
{
	struct address client = {};
	__u32 *connections;

	client.bytes[10] = 0xff;
	client.bytes[11] = 0xff;
	__builtin_memcpy(&client.bytes[12], &source, sizeof(source));

	connections = bpf_map_lookup_elem(&clients, &client);
	if (!connections)
		return PASS_UNKNOWN_CLIENT;
	if (*connections < quota)
		return PASS_UNDER_QUOTA;
	return DROP_OVER_QUOTA;
}

static __always_inline enum reason judge(struct xdp_md *ctx)
{
	void *data_end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = (void *)(long)ctx->data;
	struct iphdr *ip = (void *)(eth + 1);
	struct udphdr udp;

	if ((void *)(eth + 1) > data_end)
		return PASS_MALFORMED;
	if (eth->h_proto != bpf_htons(ETH_P_IP))
		return PASS_NOT_IPV4;
	if ((void *)(ip + 1) > data_end)
		return PASS_MALFORMED;
	if (ip->version != 4 || ip->ihl < IP_WORDS_WITHOUT_OPTIONS)
		return PASS_MALFORMED;
	if (ip->protocol != IPPROTO_UDP)
		return PASS_NOT_UDP;
	if (ip->frag_off & bpf_htons(IP_FRAGMENT_OFFSET))
		return PASS_FRAGMENT;
	if (read_udp(ctx, ip, &udp))
		return PASS_MALFORMED;
	if (udp.dest != bpf_htons(server_port))
		return PASS_OTHER_PORT;
	return judge_client(ip->saddr);
}

SEC("xdp")
int equic(struct xdp_md *ctx)
{
	enum reason why = judge(ctx);
	__u32 key = why;
	__u64 *count = bpf_map_lookup_elem(&packets, &key);

	if (count)
		(*count)++;
	return why == DROP_OVER_QUOTA ? XDP_DROP : XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
