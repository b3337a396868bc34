/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What the programs that watch sockets tell: shared by owners.bpf.c and, through BTF, by Rust. */
#ifndef EBPFTOP_OWNERS_H
#define EBPFTOP_OWNERS_H

enum conn_event {
	CONN_SAMPLE, /* read while it lives, not an event */
	CONN_CONNECT, /* TCP: established from here; others: a datagram with a new peer */
	CONN_ACCEPT, /* who took it is known: as a rule, in accept() */
	CONN_CLOSE, /* the last word, with all counts */
};

/* There were more owners than slots; the socket is the kernel's own; established from outside. */
#define CONN_LEFT_OUT 1
#define CONN_KERNELS 2
#define CONN_PASSIVE 4

/* How an owner is known. */
enum owner_from {
	OWNER_NONE, /* not */
	OWNER_MADE, /* called socket() or connect() */
	OWNER_ACCEPTED, /* called accept() */
	OWNER_SENT, /* sent through it */
	OWNER_FOUND, /* held it when the reader looked */
};

/* Processes of one socket whose bytes are told apart; those of more go to the last one. A power
 * of two. */
#define OWNER_SLOTS 4

/* Bytes are what TCP or UDP carry: none of their headers, and what TCP sends again counts once. */
struct conn_counts {
	__u64 rx_bytes, tx_bytes;
	__u64 rx_packets, tx_packets;
};

struct owner_slot {
	__u32 tgid, uid;
	__u64 start_boottime_ns;
	__u8 comm[16];
	__u32 from; /* enum owner_from */
	__u32 pad;
	struct conn_counts counts;
};

struct conn_end {
	__u8 ip[16]; /* v4 as v4-mapped */
	__u16 port; /* host order */
	__u16 pad[3];
};

struct conn_head {
	__u64 ts_ns;
	__u64 since_ns; /* when it was made or established; 0: before the probe */
	__u64 begun_ns; /* of a CONN_CLOSE: its CONN_CONNECT or CONN_ACCEPT is told with it; or 0 */
	__u64 cookie;
	struct conn_end local, remote;
	__u32 netns; /* the namespace's inode number */
	__u16 protocol; /* IPPROTO_ */
	__u16 family; /* AF_ */
	__u8 event; /* enum conn_event */
	__u8 state; /* TCP_, the one before CLOSE in a CONN_CLOSE */
	__u8 current; /* the slot that what is not in a slot yet belongs to */
	__u8 flags; /* CONN_ */
	__u32 error; /* errno of a CONN_CLOSE */
	__u32 slots; /* how many follow */
	__u32 wrapping; /* not_yet's packets are 32 bits wide */
	struct conn_counts not_yet; /* of a TCP socket: belongs to the slot `current` */
};

/* A flow of a UDP socket that is not connected: the socket and one peer. */
struct flow_key {
	__u64 cookie;
	struct conn_end remote;
};

struct flow_record {
	struct flow_key key;
	struct conn_counts counts;
};

/* What one run of `walk` walks over. */
enum walk_over {
	WALK_BEGUN, /* connections that have begun and are not reported */
	WALK_SOCKETS, /* what they have carried */
	WALK_FLOWS, /* what was exchanged with each peer */
};

#define CONN_HEAD_BYTES 136
#define OWNER_SLOT_BYTES 72
_Static_assert(sizeof(struct conn_head) == CONN_HEAD_BYTES, "padding");
_Static_assert(sizeof(struct owner_slot) == OWNER_SLOT_BYTES, "padding");

#endif
