// SPDX-License-Identifier: MIT OR GPL-2.0
//
// Sends prepared frames (send), lets them through a bridge port (let_through), and
// counts those that arrive at another (count_marked).
//
// The kernel's test run in its mode of live frames (BPF_F_TEST_XDP_LIVE_FRAMES)
// runs `send` for each frame and sends what it redirects. A veth interface
// accepts such a frame only if its peer has a native XDP program; it drops
// others silently. If the peer is a bridge port, it gets `let_through`.
#include <linux/bpf.h>
#include <linux/if_ether.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* flood/wire has the same. */
#define MOST_FRAME_BYTES 1262 /* Ethernet, IPv6, UDP, and a datagram of 1200 bytes */
#define MARK 0xac /* type of service (IPv4) or traffic class (IPv6) */

#define TCX_NEXT -1 /* missing in older headers */

struct frame {
	__u8 bytes[MOST_FRAME_BYTES];
};

/* The frames to send, in turn. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* user space sets it */
	__type(key, __u32);
	__type(value, struct frame);
} frames SEC(".maps");

/* Settings, constant for the verifier. Set by user space before loading. */
const volatile __u32 out_index = 0; /* the interface to send through */
const volatile __u32 frame_count = 1;
const volatile __u32 frame_bytes = MOST_FRAME_BYTES; /* of each frame */

volatile __u32 next_frame;
volatile __u64 sent_frames; /* one thread sends */
volatile __u64 marked_frames;

SEC("xdp")
int send(struct xdp_md *ctx)
{
	__u32 i = next_frame;
	struct frame *frame = bpf_map_lookup_elem(&frames, &i);

	if (!frame || bpf_xdp_store_bytes(ctx, 0, frame, frame_bytes))
		return XDP_ABORTED;
	next_frame = i + 1 < frame_count ? i + 1 : 0;
	sent_frames++;
	return bpf_redirect(out_index, 0);
}

SEC("xdp")
int let_through(struct xdp_md *ctx)
{
	(void)ctx;
	return XDP_PASS;
}

static __always_inline int is_marked(struct __sk_buff *skb)
{
	__u8 start[2]; /* version, length of the header, type of service; or version, traffic class */

	if (bpf_skb_load_bytes(skb, ETH_HLEN, start, sizeof(start)))
		return 0;
	if (skb->protocol == bpf_htons(ETH_P_IP))
		return start[1] == MARK;
	if (skb->protocol == bpf_htons(ETH_P_IPV6))
		return (__u8)(start[0] << 4 | start[1] >> 4) == MARK;
	return 0;
}

SEC("tcx/egress")
int count_marked(struct __sk_buff *skb)
{
	if (is_marked(skb))
		__sync_fetch_and_add(&marked_frames, 1);
	return TCX_NEXT;
}

char _license[] SEC("license") = "Dual MIT/GPL";
