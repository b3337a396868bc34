/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Finds the IP address of a frame, whatever stands in front of the IP header.
 *
 * One parser for every hook; how a header is reached differs (frame_header). All of it is
 * inlined, and `hook`, `kind` and `direction` are constants at the call, so each program
 * keeps only its own branches. */
#ifndef EBPFTOP_NET_H
#define EBPFTOP_NET_H

#include <bpf/bpf_endian.h>
#include "talkers.h"

/* include/uapi/linux/bpf.h: program contexts have fixed offsets and are not relocated. */
struct xdp_md {
	__u32 data;
	__u32 data_end;
	__u32 data_meta;
	__u32 ingress_ifindex;
	__u32 rx_queue_index;
	__u32 egress_ifindex;
};

struct __sk_buff {
	__u32 len;
	__u32 pkt_type;
	__u32 mark;
	__u32 queue_mapping;
	__u32 protocol;
	__u32 vlan_present;
	__u32 vlan_tci;
	__u32 vlan_proto;
	__u32 priority;
	__u32 ingress_ifindex;
	__u32 ifindex;
	__u32 tc_index;
	__u32 cb[5];
	__u32 hash;
	__u32 tc_classid;
	__u32 data;
	__u32 data_end;
	__u32 napi_id;
	__u32 family;
	__u32 remote_ip4;
	__u32 local_ip4;
	__u32 remote_ip6[4];
	__u32 local_ip6[4];
	__u32 remote_port;
	__u32 local_port;
	__u32 data_meta;
	__u64 flow_keys;
	__u64 tstamp;
	__u32 wire_len;
	__u32 gso_segs;
	struct bpf_sock *sk;
	__u32 gso_size;
};

#define XDP_PASS 2
#define TCX_NEXT -1
#define BPF_HDR_START_NET 1

/* include/uapi/linux/if_packet.h */
#define PACKET_OUTGOING 4
#define PACKET_LOOPBACK 5

/* include/uapi/linux/if_ether.h */
#define ETH_P_IP 0x0800
#define ETH_P_8021Q 0x8100
#define ETH_P_IPV6 0x86dd
#define ETH_P_MPLS_UC 0x8847
#define ETH_P_MPLS_MC 0x8848
#define ETH_P_PPP_SES 0x8864
#define ETH_P_8021AD 0x88a8
#define ETH_P_QINQ1 0x9100
#define PPP_IP 0x0021
#define PPP_IPV6 0x0057

#define IPPROTO_HOPOPTS 0
#define IPPROTO_ICMP 1
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_DCCP 33
#define IPPROTO_ROUTING 43
#define IPPROTO_FRAGMENT 44
#define IPPROTO_AH 51
#define IPPROTO_ICMPV6 58
#define IPPROTO_DSTOPTS 60
#define IPPROTO_SCTP 132
#define IPPROTO_MH 135
#define IPPROTO_UDPLITE 136
#define IPPROTO_HIP 139
#define IPPROTO_SHIM6 140

#define VLAN_BYTES 4
/* Beyond these depths a frame counts in the totals alone. */
#define VLAN_DEPTH 3
#define MPLS_DEPTH 6
/* Ports behind more IPv6 extension headers than that are not found. */
#define EXTENSION_DEPTH 8

struct ethernet_header {
	__u8 dest[6];
	__u8 source[6];
	__be16 proto;
};

struct vlan_header {
	__be16 tci;
	__be16 proto;
};

struct pppoe_header {
	__u8 version_type;
	__u8 code; /* 0 in a session */
	__be16 session;
	__be16 bytes;
	__be16 proto;
};

struct ip4_header {
	__u8 version_ihl;
	__u8 tos;
	__be16 bytes;
	__be16 id;
	__be16 fragment;
	__u8 ttl;
	__u8 proto;
	__be16 checksum;
	__be32 source;
	__be32 dest;
};

struct ip6_header {
	__u8 version_class;
	__u8 flow[3];
	__be16 bytes;
	__u8 next;
	__u8 hops;
	__be32 source[4];
	__be32 dest[4];
};

/* How a frame's bytes are reached. */
enum frame_hook {
	FRAME_XDP, /* directly */
	FRAME_XDP_FRAGS, /* bpf_xdp_load_bytes, whichever buffer they are in */
	FRAME_SKB, /* bpf_skb_load_bytes from where the skb's data begin */
	FRAME_SKB_NET, /* from the network header on, whatever is in front of it */
};

/* The header that follows an IP header. */
struct l4 {
	__u32 off;
	__u8 proto; /* IPv6: the first next header, perhaps an extension */
	bool fragment; /* not the first one: there is no header of `proto` */
};

struct frame {
	void *ctx;
	__u32 mac_len; /* FRAME_SKB_NET: bytes in front of the network header */
	__u8 hook;
};

/* The `bytes` bytes at `off`, in place or copied to `copy`; NULL where the frame ends before. */
static __always_inline void *frame_header(const struct frame *f, __u32 off, void *copy,
					  const __u32 bytes)
{
	void *data, *end;

	if (f->hook == FRAME_SKB)
		return bpf_skb_load_bytes(f->ctx, off, copy, bytes) ? 0 : copy;
	if (f->hook == FRAME_SKB_NET) {
		/* knows the header's place, but reads the linear part alone */
		if (!bpf_skb_load_bytes_relative(f->ctx, off, copy, bytes, BPF_HDR_START_NET))
			return copy;
		return bpf_skb_load_bytes(f->ctx, f->mac_len + off, copy, bytes) ? 0 : copy;
	}
	if (f->hook == FRAME_XDP_FRAGS)
		return bpf_xdp_load_bytes(f->ctx, off, copy, bytes) ? 0 : copy;
	data = (void *)(long)((struct xdp_md *)f->ctx)->data;
	end = (void *)(long)((struct xdp_md *)f->ctx)->data_end;
	if (data + off + bytes <= end)
		return data + off;
	return 0;
}

/* Reads the IPv4 header at `off`. False, and nothing of use in `key`, unless all of it is there. */
static __always_inline bool read_ip4(const struct frame *f, __u32 off, enum direction direction,
				     struct source_key *key, struct l4 *l4)
{
	struct ip4_header copy, *ip = frame_header(f, off, &copy, sizeof(*ip));
	__u32 ihl;
	__u8 last;

	if (!ip || ip->version_ihl >> 4 != 4)
		return false;
	ihl = (ip->version_ihl & 0xf) * 4;
	if (ihl < sizeof(*ip))
		return false;
	key->addr[0] = direction == DIRECTION_RX ? ip->source : ip->dest;
	key->family = FAMILY_V4;
	l4->proto = ip->proto;
	l4->fragment = ip->fragment & bpf_htons(0x1fff);
	l4->off = off + ihl;
	/* options: is their last byte there too? */
	return ihl == sizeof(*ip) || frame_header(f, off + ihl - 1, &last, 1);
}

/* Extension headers come after the addresses and change nothing about them. */
static __always_inline bool read_ip6(const struct frame *f, __u32 off, enum direction direction,
				     struct source_key *key, struct l4 *l4)
{
	struct ip6_header copy, *ip = frame_header(f, off, &copy, sizeof(*ip));
	const __be32 *addr;

	if (!ip || ip->version_class >> 4 != 6)
		return false;
	addr = direction == DIRECTION_RX ? ip->source : ip->dest;
	/* Else the compiler makes the words' addresses with `or`, which the verifier refuses. */
	barrier_var(addr);
	key->addr[0] = addr[0];
	key->addr[1] = addr[1];
	key->addr[2] = addr[2];
	key->addr[3] = addr[3];
	key->family = FAMILY_V6;
	l4->proto = ip->next;
	l4->fragment = false;
	l4->off = off + sizeof(*ip);
	return true;
}

/* Steps over the labels. The packet behind them has no type field: by RFC 4928 its first nibble
 * distinguishes IPv4 and IPv6 from everything else that is well formed. */
static __always_inline __u16 skip_mpls(const struct frame *f, __u32 *off)
{
	__be32 copy, *label;
	__u8 first_copy, *first;

#pragma unroll
	for (int i = 0; i < MPLS_DEPTH; i++) {
		label = frame_header(f, *off, &copy, sizeof(*label));
		if (!label)
			return 0;
		*off += sizeof(*label);
		if (*label & bpf_htonl(0x100)) { /* bottom of the stack */
			first = frame_header(f, *off, &first_copy, 1);
			if (!first)
				return 0;
			return *first >> 4 == 4 ? ETH_P_IP : *first >> 4 == 6 ? ETH_P_IPV6 : 0;
		}
	}
	return 0;
}

static __always_inline __u16 skip_pppoe(const struct frame *f, __u32 *off)
{
	struct pppoe_header copy, *ppp = frame_header(f, *off, &copy, sizeof(*ppp));

	if (!ppp || ppp->version_type != 0x11 || ppp->code)
		return 0;
	*off += sizeof(*ppp);
	return ppp->proto == bpf_htons(PPP_IP)	 ? ETH_P_IP :
	       ppp->proto == bpf_htons(PPP_IPV6) ? ETH_P_IPV6 :
						   0;
}

static __always_inline bool is_vlan(__u16 proto)
{
	return proto == ETH_P_8021Q || proto == ETH_P_8021AD || proto == ETH_P_QINQ1;
}

/* Finds the network header: sets *off and returns its EtherType, 0 where there is none. */
static __always_inline __u16 skip_link_headers(const struct frame *f, __u32 *off)
{
	struct ethernet_header eth_copy, *eth = frame_header(f, 0, &eth_copy, sizeof(*eth));
	struct vlan_header vlan_copy, *vlan;
	__u16 proto;

	if (!eth)
		return 0;
	*off = sizeof(*eth);
	proto = bpf_ntohs(eth->proto);
#pragma unroll
	for (int i = 0; i < VLAN_DEPTH; i++) {
		if (!is_vlan(proto))
			break;
		vlan = frame_header(f, *off, &vlan_copy, sizeof(*vlan));
		if (!vlan)
			return 0;
		*off += sizeof(*vlan);
		proto = bpf_ntohs(vlan->proto);
	}
	if (proto == ETH_P_PPP_SES)
		return skip_pppoe(f, off);
	return proto;
}

/* The address that `direction` counts by: false where the frame has none that is whole.
 * `proto` is the EtherType where the frame does not say it (LINK_NO_HEADER, LINK_OTHER),
 * 0 to go by the version. `*l4` is set with the address. */
static __always_inline bool find_address(const struct frame *f, enum link_kind kind, __u16 proto,
					 enum direction direction, struct source_key *key,
					 struct l4 *l4)
{
	__u32 off = 0;
	__u8 copy, *first;

	if (kind == LINK_ETHERNET) {
		proto = skip_link_headers(f, &off);
	} else if (!proto) {
		first = frame_header(f, 0, &copy, 1);
		if (!first)
			return false;
		proto = *first >> 4 == 4 ? ETH_P_IP : ETH_P_IPV6;
	}
	if (proto == ETH_P_MPLS_UC || proto == ETH_P_MPLS_MC)
		proto = skip_mpls(f, &off);
	if (proto == ETH_P_IP)
		return read_ip4(f, off, direction, key, l4);
	if (proto == ETH_P_IPV6)
		return read_ip6(f, off, direction, key, l4);
	return false;
}

#endif
