/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The records that talkers.bpf.c writes and src/probes/talkers reads. Rust takes these types
 * from the object's BTF: padding is explicit, sizes are asserted on both sides. */
#ifndef EBPFTOP_TALKERS_H
#define EBPFTOP_TALKERS_H

/* An address with its family, so that ::ffff:192.0.2.1 and 192.0.2.1 are two talkers.
 * The words are in network byte order; IPv4 fills the first, the others are 0. */
struct source_key {
	__u32 addr[4];
	__u32 family; /* FAMILY_*, 0 in an empty cache record */
};

#define FAMILY_V4 4
#define FAMILY_V6 6

#define SOURCE_KEY_BYTES 20
_Static_assert(sizeof(struct source_key) == SOURCE_KEY_BYTES, "a map key has no hidden padding");

struct traffic {
	__u64 packets;
	__u64 bytes; /* Ethernet header in, FCS out */
};

/* The counts of one CPU on one side. */
struct side_record {
	struct traffic total; /* every frame */
	struct traffic last; /* of last_key, not yet in the side's hash */
	struct source_key last_key;
	__u32 pad;
};

#define SIDE_RECORD_BYTES 56
_Static_assert(sizeof(struct side_record) == SIDE_RECORD_BYTES, "no hidden padding");

/* Settings that the reader changes while the programs run. The values of a member differ in one byte
 * alone, so that a program sees a write by bpf(2) whole or not at all. */
struct talkers_control {
	__u32 active; /* the side that frames are counted on, 0 or 1, with DETAIL_COUNTED */
	__u32 hand_over; /* enum hand_over */
	struct source_key detail_key; /* changes only while DETAIL_COUNTED is not set */
};

/* Set in `active` while frames of `detail_key` are counted in detail. */
#define DETAIL_COUNTED 2

/* The key by which frames of the detail's address are counted. */
struct detail_key {
	__u16 there; /* port at the address; ICMP: type */
	__u16 here; /* port at the other end; ICMP: code */
	__u8 proto; /* of IP, behind extension headers */
	__u8 kind; /* enum detail_kind */
	__u16 pad;
};

#define DETAIL_KEY_BYTES 8
_Static_assert(sizeof(struct detail_key) == DETAIL_KEY_BYTES, "a map key has no hidden padding");

enum detail_kind {
	DETAIL_OTHER, /* a protocol without ports */
	DETAIL_PORTS,
	DETAIL_ICMP,
	DETAIL_FRAGMENT, /* not the first one: the ports were in that */
	DETAIL_SHORT, /* ends before its ports */
};

/* Sizes of packets as counted: under 64 bytes, up to 127, 255, 511, 1023, 1514, 9014, more. */
#define DETAIL_SIZES 8

/* The counts of the detail's address on one CPU and side. */
struct detail_record {
	struct traffic all;
	struct traffic left; /* of those, frames that found no room in the side's map */
	__u64 sizes[DETAIL_SIZES]; /* packets */
};

#define DETAIL_RECORD_BYTES 96
_Static_assert(sizeof(struct detail_record) == DETAIL_RECORD_BYTES, "no hidden padding");

/* The one of two attached rx programs that counts while one takes over from the other. */
enum hand_over {
	HAND_OVER_NONE, /* one is attached, and counts */
	HAND_OVER_XDP, /* XDP counts; the skb program leaves what XDP counted */
	HAND_OVER_SKB, /* the skb program counts what XDP left */
	HAND_OVER_SKB_ALONE, /* the skb program counts all; XDP may not be there */
};

/* The header that an interface's frames begin with (src/probes/talkers/choose.rs, by ARPHRD type). */
enum link_kind {
	LINK_ETHERNET,
	LINK_NO_HEADER, /* the IP header: tun, WireGuard, PPP, tunnels */
	LINK_OTHER, /* a header of another form: only what an skb knows of it counts */
};

enum direction {
	DIRECTION_RX,
	DIRECTION_TX,
};

#endif
