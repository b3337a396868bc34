// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* Counts the frames of one interface and direction, by address and in all.
 *
 * All counts exist twice, on side 0 and side 1, and a program counts on the side that
 * `control.active` names, read once a frame. The reader turns the sides, waits until
 * every program that still counts on the other has ended, and then reads a side that stands
 * still: the totals, the hash and the cache records of one side always agree.
 *
 * On one side and CPU, every frame is added to `total`, and a frame with an address also to
 * `last` or to the hash. Counts that find no room in a full hash stay in the totals alone: the
 * reader finds it as the difference. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "net.h"
#include "detail.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Sizes are set before loading. */
#define SIDE(name)                                                                                 \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_PERCPU_HASH);                                            \
		__uint(max_entries, 1);                                                            \
		__type(key, struct source_key);                                                    \
		__type(value, struct traffic);                                                     \
	} name SEC(".maps")
SIDE(side_0);
SIDE(side_1);

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32); /* side */
	__type(value, struct side_record);
} records SEC(".maps");

/* The last decision of XDP on this CPU, for the skb program that sees the same frame next:
 * in the generic mode both run in one pass of __netif_receive_skb_core. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32); /* HAND_OVER_XDP where it counted the frame */
} decision SEC(".maps");

/* Adds a cache record to its source's entry. Written out for each map, so that the verifier
 * can inline the lookup. Two CPUs may make the entry at once: the later one finds it. */
#define FLUSH(map, record)                                                                         \
	do {                                                                                       \
		struct traffic *t = bpf_map_lookup_elem(&map, &(record)->last_key);                \
		if (!t && bpf_map_update_elem(&map, &(record)->last_key, &(record)->last,          \
					      BPF_NOEXIST) == 0)                                   \
			break;                                                                     \
		if (!t)                                                                            \
			t = bpf_map_lookup_elem(&map, &(record)->last_key);                        \
		if (t) {                                                                           \
			t->packets += (record)->last.packets;                                      \
			t->bytes += (record)->last.bytes;                                          \
		}                                                                                  \
	} while (0)

static __always_inline void add(struct side_record *record, __u32 side,
				const struct source_key *key, __u32 packets, __u32 bytes)
{
	if (same_key(&record->last_key, key)) {
		record->last.packets += packets;
		record->last.bytes += bytes;
		return;
	}
	if (record->last_key.family) {
		if (side)
			FLUSH(side_1, record);
		else
			FLUSH(side_0, record);
	}
	record->last_key = *key;
	record->last.packets = packets;
	record->last.bytes = bytes;
}

/* Counts a frame on one side; true where the detail of its address is counted. A source that keeps
 * sending stays in the record and touches no hash. */
static __always_inline bool count(const struct source_key *key, __u32 packets, __u32 bytes,
				  __u32 *on_side)
{
	__u32 active = control.active, side = active & 1;
	struct side_record *record = bpf_map_lookup_elem(&records, &side);

	if (!record) /* never: two sides, two elements */
		return false;
	record->total.packets += packets;
	record->total.bytes += bytes;
	if (!key->family)
		return false;
	add(record, side, key, packets, bytes);
	*on_side = side;
	return active & DETAIL_COUNTED && is_of_detail(key);
}
/* Whether XDP is to count this frame; notes the decision for the skb program during a hand-over. */
static __always_inline bool xdp_counts(void)
{
	__u32 zero = 0, phase = control.hand_over, *did;

	if (!phase)
		return true;
	did = bpf_map_lookup_elem(&decision, &zero);
	if (did)
		*did = phase == HAND_OVER_XDP ? HAND_OVER_XDP : HAND_OVER_SKB;
	return phase == HAND_OVER_XDP;
}

static __always_inline bool skb_counts(void)
{
	__u32 zero = 0, phase = control.hand_over, *did;

	if (phase == HAND_OVER_NONE || phase == HAND_OVER_SKB_ALONE)
		return true;
	did = bpf_map_lookup_elem(&decision, &zero);
	return did && *did == HAND_OVER_SKB;
}

/* The structure behind xdp_md (include/net/xdp.h), and the way to it without a
 * call: a kfunc that the verifier turns into a move (kernel 6.2). */
struct xdp_buff {
	__u32 flags;
} __attribute__((preserve_access_index));

#define XDP_FLAGS_HAS_FRAGS 1

extern void *bpf_cast_to_kern_ctx(void *ctx) __attribute__((section(".ksyms"), weak));

/* bpf_xdp_get_buff_len costs 5 ns, so it is called only for a frame in several buffers. */
static __always_inline __u32 frame_bytes(struct xdp_md *ctx)
{
#ifndef WITHOUT_KFUNCS /* for kernels whose BTF comes from a file (build.rs) */
	if (bpf_cast_to_kern_ctx) {
		const struct xdp_buff *buff = bpf_cast_to_kern_ctx(ctx);

		if (!(buff->flags & XDP_FLAGS_HAS_FRAGS))
			return ctx->data_end - ctx->data;
	}
#endif
	return bpf_xdp_get_buff_len(ctx);
}

static __always_inline bool find_in_xdp(struct xdp_md *ctx, enum frame_hook hook,
					struct source_key *key)
{
	struct frame f = { .ctx = ctx, .hook = hook };
	struct l4 l4;

	return find_address(&f, link_kind == LINK_ETHERNET ? LINK_ETHERNET : LINK_NO_HEADER, 0,
			    DIRECTION_RX, key, &l4);
}

/* Headers that go on in another buffer. A global function: the verifier walks it once, not once
 * for each outcome of the parse of the first buffer. */
__noinline int find_in_frags(struct xdp_md *ctx, struct source_key *key)
{
	return key && find_in_xdp(ctx, FRAME_XDP_FRAGS, key);
}

/* A frame is what the driver or the core hands to XDP: with the link-layer header, without
 * the FCS, without a VLAN tag that the device has taken out, and merged by GRO or TSO where
 * the generic mode sees it after them. XDP cannot detect the latter two. */
static __always_inline int xdp(struct xdp_md *ctx, enum frame_hook hook)
{
	struct source_key key = {};
	__u32 bytes, side;
	bool found;

	if (!xdp_counts())
		return XDP_PASS;
	bytes = hook == FRAME_XDP_FRAGS ? frame_bytes(ctx) : ctx->data_end - ctx->data;
	found = find_in_xdp(ctx, FRAME_XDP, &key);
	if (!found && hook == FRAME_XDP_FRAGS && bytes > ctx->data_end - ctx->data)
		found = find_in_frags(ctx, &key);
	if (!found)
		key.family = 0;
	if (count(&key, 1, bytes, &side)) {
		if (hook == FRAME_XDP_FRAGS)
			count_detail_xdp_frags(ctx, side, bytes);
		else
			count_detail_xdp_plain(ctx, side, bytes);
	}
	return XDP_PASS;
}

/* Kernel 5.18 and later: also where the MTU needs more than one buffer. */
SEC("xdp.frags")
int xdp_frags(struct xdp_md *ctx)
{
	return xdp(ctx, FRAME_XDP_FRAGS);
}

SEC("xdp")
int xdp_plain(struct xdp_md *ctx)
{
	return xdp(ctx, FRAME_XDP);
}

/* Length of the headers that each segment of a merged buffer carries again. Where it is not
 * plain TCP or UDP over IP (tunnels, IPv6 extension headers) only up to the IP header. */
static __always_inline __u32 segment_header(const struct frame *f, bool found, const struct l4 *l4)
{
	__u8 copy, *offset;

	if (!found)
		return 0;
	if (l4->fragment)
		return l4->off;
	if (l4->proto == IPPROTO_UDP)
		return l4->off + 8;
	if (l4->proto != IPPROTO_TCP)
		return l4->off;
	offset = frame_header(f, l4->off + 12, &copy, 1);
	return offset ? l4->off + (*offset >> 4) * 4 : l4->off;
}

/* Counts an skb: as many packets as it has segments, and the bytes that those have on the
 * wire, VLAN tag included, short of the padding that a device adds to frames under 60 bytes.
 *
 * `wire_len` is right where the kernel has put it: at egress it has the segments' headers in
 * already (qdisc_pkt_len_init), at ingress it is the length from the network header on, which
 * is the whole frame of a link without a header (a GRE tunnel's skb still has the outer
 * headers in front, as its MAC header). */
static __always_inline void count_skb(struct __sk_buff *ctx, enum link_kind kind, bool tcx)
{
	struct frame f = { .ctx = ctx, .hook = kind == LINK_ETHERNET ? FRAME_SKB : FRAME_SKB_NET };
	/* Each field once: the compiler would keep the address of one that is read again, and
	 * the verifier takes a context at its own offsets alone. */
	const volatile struct __sk_buff *skb = ctx;
	__u32 bytes = skb->len, segments = skb->gso_segs, gso_size = skb->gso_size;
	__u32 lost = 0, header = 0, side;
	struct source_key key = {};
	struct l4 l4 = {};
	bool found;

	if (tcx && direction == DIRECTION_RX) {
		/* At ingress `len` has skb->mac_len in, `wire_len` has not. The two are the same
		 * where generic XDP made a new skb of it, which loses mac_len (skb_copy_header):
		 * then the data begin after the Ethernet header. */
		if (kind != LINK_ETHERNET)
			f.mac_len = bytes - skb->wire_len;
		else if (bytes == skb->wire_len)
			lost = sizeof(struct ethernet_header);
	}
	bytes += lost;
	found = find_address(&f, lost ? LINK_OTHER : kind, bpf_ntohs(skb->protocol), direction,
			     &key, &l4);
	if (!found)
		key.family = 0;
	if (gso_size) {
		header = lost + segment_header(&f, found, &l4);
		/* a sender from outside (virtio, a packet socket) may leave the number out */
		if (!segments && bytes > header)
			segments = (bytes - header + gso_size - 1) / gso_size;
		if (segments > 1)
			bytes += (segments - 1) * header;
	}
	if (!segments)
		segments = 1;
	if (tcx && (direction == DIRECTION_TX || (kind == LINK_NO_HEADER && !gso_size)))
		bytes = skb->wire_len;
	if (skb->vlan_present) {
		bytes += segments * VLAN_BYTES;
		header += VLAN_BYTES;
	}
	if (count(&key, segments, bytes, &side)) {
		struct detail_frame of_detail = {
			.side = side,
			.skip = lost ? lost : f.mac_len,
			.packets = segments,
			.bytes = bytes,
			.full = header + gso_size,
		};

		count_detail_skb(ctx, &of_detail);
	}
}

static __always_inline void count_any_skb(struct __sk_buff *ctx, bool tcx)
{
	/* a multicast of our own that the stack hands back never was on the wire */
	if (ctx->pkt_type == PACKET_LOOPBACK || !skb_counts())
		return;
	if (link_kind == LINK_ETHERNET)
		count_skb(ctx, LINK_ETHERNET, tcx);
	else if (link_kind == LINK_NO_HEADER)
		count_skb(ctx, LINK_NO_HEADER, tcx);
	else
		count_skb(ctx, LINK_OTHER, tcx);
}

SEC("tcx/ingress")
int tcx_ingress(struct __sk_buff *ctx)
{
	count_any_skb(ctx, true);
	return TCX_NEXT;
}

SEC("tcx/egress")
int tcx_egress(struct __sk_buff *ctx)
{
	count_any_skb(ctx, true);
	return TCX_NEXT;
}

/* A packet socket's filter sees both directions, and here keeps nothing of either. */
SEC("socket")
int socket_filter(struct __sk_buff *ctx)
{
	if ((ctx->pkt_type == PACKET_OUTGOING) == (direction == DIRECTION_TX))
		count_any_skb(ctx, false);
	return 0;
}
