// SPDX-License-Identifier: MIT OR GPL-2.0
//
// The data plane of the eQUIC gateway. User space counts the connections of
// each client in the map `clients`, which it maps into its memory. These
// programs read the count if a packet's policy asks for it, and drop the
// packets of a client that is at its quota:
//
//   POLICY_CLIENT  every packet of the client: Algorithm 1 of the paper
//   POLICY_NEW     those that open a connection; established connections live on
//
// There is one program for each hook of the receive path, and one verdict: only
// one of them is loaded. Only UDP packets to a protected port are judged. They
// fail closed: they drop packets that no honest QUIC client sends, and packets
// that only the stack behind them can read (fragments, IPv4 options, too many
// headers). Packets that the stack cannot read either are passed, and the stack
// drops them. The clock is read only for events, and by a program that may
// outlive its process. In monitor mode everything is judged and
// counted, and nothing dropped.
#include "verdict.h"

/* In the driver, or in its generic form in front of the stack. A packet may have several
 * buffers, so jumbo frames stay native. */
SEC("xdp.frags")
int equic(struct xdp_md *ctx)
{
	const struct view v = { .hook = HOOK_XDP, .ctx = ctx };
	struct datagram d = {};
	enum reason why;

	if (in_parts || (void *)(long)ctx->data + LONGEST_HEADERS > (void *)(long)ctx->data_end)
		why = read_parts(ctx, &d);
	else
		why = read_frame(&v, &d);
	return is_dropped(&v, why, &d) ? XDP_DROP : XDP_PASS;
}

/* enum tcx_action_base, which older headers do not have. */
#define TCX_NEXT (-1)
#define TCX_DROP 2

/* At the ingress of an interface, behind its generic receive offload (Linux 6.6). */
SEC("tcx/ingress")
int equic_tc(struct __sk_buff *ctx)
{
	const struct view v = { .hook = HOOK_TC, .ctx = ctx };
	struct datagram d = {};

	return is_dropped(&v, read_untagged(&v, ctx->protocol, &d), &d) ? TCX_DROP : TCX_NEXT;
}

#define NF_DROP 0
#define NF_ACCEPT 1

/* In the network layer, for the packets of all interfaces (Linux 6.5). */
SEC("netfilter")
int equic_netfilter(struct bpf_nf_ctx *ctx)
{
	struct bpf_dynptr bytes;
	const struct view v = { .hook = HOOK_NETFILTER, .ctx = ctx, .bytes = &bytes };
	struct datagram d = {};

	if (bpf_dynptr_from_skb((struct __sk_buff *)ctx->skb, 0, &bytes))
		return monitoring ? NF_ACCEPT : NF_DROP;
	return is_dropped(&v, read_ip(&v, &d), &d) ? NF_DROP : NF_ACCEPT;
}

/* In front of a socket's queue. */
SEC("socket")
int equic_socket(struct __sk_buff *ctx)
{
	const struct view v = { .hook = HOOK_SOCKET, .ctx = ctx };
	struct datagram d = {};

	return is_dropped(&v, read_received(&v, &d), &d) ? 0 : -1;
}

char _license[] SEC("license") = "Dual MIT/GPL";
