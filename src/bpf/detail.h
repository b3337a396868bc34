/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The detail of one address, while its view is open: protocols, ports, sizes of packets.
 *
 * Frames of other addresses cost the test of one bit in a word that the hot path has loaded anyway
 * (talkers.bpf.c, count). The detail is counted on the same side as the frame itself, so that its
 * parts add up to the address's counts. Everything is found again from
 * the frame's beginning, since carrying it along would cost every other frame. */
#ifndef EBPFTOP_DETAIL_H
#define EBPFTOP_DETAIL_H

#include "net.h"

/* Set before loading: the interface's and the direction's own. */
const volatile __u32 direction = DIRECTION_RX;
const volatile __u32 link_kind = LINK_ETHERNET;

/* Read with plain loads: as a map of its own each lookup costs 3 ns. The only thing in .bss. */
volatile struct talkers_control control = {};

/* Sizes in place of types: of a type that only an inner map has, clang 14 emits the name alone. */
struct detail_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(struct detail_key));
	__uint(value_size, sizeof(struct traffic));
};

/* The map of each side exists only while a detail is counted. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, __u32); /* side */
	__array(values, struct detail_map);
} detail_maps SEC(".maps");

/* Puts the type into the object's BTF, from which Rust takes it. */
const struct detail_key unused_detail_key = {};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32); /* side */
	__type(value, struct detail_record);
} detail_records SEC(".maps");

static __always_inline bool same_key(const struct source_key *a, const struct source_key *b)
{
	return a->addr[0] == b->addr[0] && a->family == b->family && a->addr[1] == b->addr[1] &&
	       a->addr[2] == b->addr[2] && a->addr[3] == b->addr[3];
}

static __always_inline bool is_of_detail(const struct source_key *key)
{
	return same_key((const struct source_key *)&control.detail_key, key);
}

/* One frame of the detail's address. */
struct detail_frame {
	__u32 side;
	__u32 skip; /* bytes in front of the network header, of an skb that has lost count of them */
	__u32 packets;
	__u32 bytes;
	__u32 full; /* bytes of each packet but the last, where there are more */
};

static __always_inline bool is_extension(__u8 proto)
{
	return proto == IPPROTO_HOPOPTS || proto == IPPROTO_ROUTING || proto == IPPROTO_FRAGMENT ||
	       proto == IPPROTO_AH || proto == IPPROTO_DSTOPTS || proto == IPPROTO_MH ||
	       proto == IPPROTO_HIP || proto == IPPROTO_SHIM6;
}

/* Steps over IPv6 extension headers (RFC 8200, section 4; AH: RFC 4302). False where the frame
 * ends before the last one does. */
static __always_inline bool skip_extensions(const struct frame *f, struct l4 *l4)
{
	__u8 copy[4], *header;

#pragma unroll
	for (int i = 0; i < EXTENSION_DEPTH; i++) {
		if (l4->fragment || !is_extension(l4->proto))
			return true;
		header = frame_header(f, l4->off, copy, sizeof(copy));
		if (!header)
			return false;
		if (l4->proto == IPPROTO_FRAGMENT) {
			l4->fragment = header[2] || header[3] & 0xf8;
			l4->off += 8;
		} else if (l4->proto == IPPROTO_AH) {
			l4->off += (header[1] + 2) * 4;
		} else {
			l4->off += (header[1] + 1) * 8;
		}
		l4->proto = header[0];
	}
	return true;
}

static __always_inline bool has_ports(__u8 proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_DCCP ||
	       proto == IPPROTO_SCTP || proto == IPPROTO_UDPLITE;
}

/* Fills `detail` from the header behind the IP headers. */
static __always_inline void read_l4(const struct frame *f, struct l4 *l4, bool six,
				    struct detail_key *detail)
{
	__u8 copy[4], *header;
	bool whole = !six || skip_extensions(f, l4);

	detail->proto = l4->proto;
	if (!whole) {
		detail->kind = DETAIL_SHORT;
		return;
	}
	if (l4->fragment) {
		detail->kind = DETAIL_FRAGMENT;
		return;
	}
	if (!has_ports(l4->proto) && l4->proto != (six ? IPPROTO_ICMPV6 : IPPROTO_ICMP))
		return;
	header = frame_header(f, l4->off, copy, sizeof(copy));
	if (!header) {
		detail->kind = DETAIL_SHORT;
	} else if (!has_ports(l4->proto)) {
		detail->kind = DETAIL_ICMP;
		detail->there = header[0];
		detail->here = header[1];
	} else {
		__u16 source = header[0] << 8 | header[1], dest = header[2] << 8 | header[3];

		detail->kind = DETAIL_PORTS;
		detail->there = direction == DIRECTION_RX ? source : dest;
		detail->here = direction == DIRECTION_RX ? dest : source;
	}
}

static __always_inline void add_size(struct detail_record *record, __u32 bytes, __u32 packets)
{
	if (bytes < 64)
		record->sizes[0] += packets;
	else if (bytes < 128)
		record->sizes[1] += packets;
	else if (bytes < 256)
		record->sizes[2] += packets;
	else if (bytes < 512)
		record->sizes[3] += packets;
	else if (bytes < 1024)
		record->sizes[4] += packets;
	else if (bytes <= 1514)
		record->sizes[5] += packets;
	else if (bytes <= 9014)
		record->sizes[6] += packets;
	else
		record->sizes[7] += packets;
}

static __always_inline void add_detail(const struct detail_key *key, const struct detail_frame *l)
{
	__u32 side = l->side, before = l->packets - 1;
	struct detail_record *record = bpf_map_lookup_elem(&detail_records, &side);
	struct traffic *t, one = { l->packets, l->bytes };
	void *map = bpf_map_lookup_elem(&detail_maps, &side);

	if (!record)
		return;
	record->all.packets += l->packets;
	record->all.bytes += l->bytes;
	if (before && (__u64)before * l->full < l->bytes) {
		add_size(record, l->full, before);
		add_size(record, l->bytes - before * l->full, 1);
	} else if (l->packets) {
		add_size(record, l->bytes / l->packets, l->packets);
	}
	if (map) {
		t = bpf_map_lookup_elem(map, key);
		if (!t && bpf_map_update_elem(map, key, &one, BPF_NOEXIST) == 0)
			return;
		if (!t) /* another CPU has made the entry meanwhile, or there is no room */
			t = bpf_map_lookup_elem(map, key);
		if (t) {
			t->packets += l->packets;
			t->bytes += l->bytes;
			return;
		}
	}
	record->left.packets += l->packets;
	record->left.bytes += l->bytes;
}

static __always_inline void count_detail(const struct frame *f, enum link_kind kind, __u16 proto,
					 const struct detail_frame *l)
{
	struct source_key key = {};
	struct detail_key what = {};
	struct l4 l4 = {};

	if (!find_address(f, kind, proto, direction, &key, &l4))
		return;
	read_l4(f, &l4, key.family == FAMILY_V6, &what);
	add_detail(&what, l);
}

static __always_inline void count_detail_xdp(struct xdp_md *ctx, enum frame_hook hook, __u32 side,
					     __u32 bytes)
{
	struct frame f = { .ctx = ctx, .hook = hook };
	struct detail_frame l = { .side = side, .packets = 1, .bytes = bytes };

	count_detail(&f, link_kind == LINK_ETHERNET ? LINK_ETHERNET : LINK_NO_HEADER, 0, &l);
}

/* Not inlined: they are rarely run, and the path that always runs stays short. */
static __noinline int count_detail_xdp_frags(struct xdp_md *ctx, __u32 side, __u32 bytes)
{
	count_detail_xdp(ctx, FRAME_XDP_FRAGS, side, bytes);
	return 0;
}

static __noinline int count_detail_xdp_plain(struct xdp_md *ctx, __u32 side, __u32 bytes)
{
	count_detail_xdp(ctx, FRAME_XDP, side, bytes);
	return 0;
}

static __noinline int count_detail_skb(struct __sk_buff *ctx, const struct detail_frame *l)
{
	struct frame f = { .ctx = ctx };
	__u16 proto = bpf_ntohs(ctx->protocol);

	if (link_kind == LINK_ETHERNET) {
		f.hook = FRAME_SKB;
		if (l->skip)
			count_detail(&f, LINK_OTHER, proto, l);
		else
			count_detail(&f, LINK_ETHERNET, proto, l);
		return 0;
	}
	f.hook = FRAME_SKB_NET;
	f.mac_len = l->skip;
	if (link_kind == LINK_NO_HEADER)
		count_detail(&f, LINK_NO_HEADER, proto, l);
	else
		count_detail(&f, LINK_OTHER, proto, l);
	return 0;
}

#endif
