/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Records that the connection programs write. Rust reads these types, constants included, from the
 * object's BTF. */
#ifndef EBPFTOP_CONNECTIONS_H
#define EBPFTOP_CONNECTIONS_H

enum conn_event {
	CONN_SAMPLE, /* counts of a living socket */
	CONN_CONNECT, /* TCP: established from here. UDP: the first datagram after connect() */
	CONN_ACCEPT, /* established from outside, and the accepting process is known */
	CONN_CLOSE, /* the socket ended; the counts are final */
};

enum conn_flag {
	CONN_KERNEL = 1, /* a kernel socket, or one that kernel threads use too */
	CONN_PASSIVE = 2, /* established from outside */
	CONN_SHARED = 4, /* several processes hold it, or held it */
	CONN_TCP = 8, /* `tcp` has the kernel's counters */
	CONN_STREAM = 16, /* its only peer is `remote` */
	CONN_SHARERS = 32, /* `shares` has entries of it */
	CONN_UNSEEN = 64, /* the end itself was not observed */
	CONN_FOUND = 128, /* the walk found that nothing holds it any more; it ended with TCP */
};

/* How a process is known to use a socket. */
enum owner_from {
	OWNER_NONE,
	OWNER_MADE, /* it called connect() */
	OWNER_ACCEPTED, /* it called accept() */
	OWNER_SENT, /* it sent */
	OWNER_FOUND, /* it had the socket open when the reader walked the open files */
	OWNER_RECEIVED, /* it received */
};

/* Bytes of payload. Packets are TCP segments; of other protocols, calls. */
struct conn_counts {
	__u64 rx_bytes, tx_bytes;
	__u64 rx_packets, tx_packets;
};

/* A process that uses a socket, and the bytes that its calls returned. */
struct caller {
	__u64 start_boottime_ns;
	__u32 tgid;
	__u8 from; /* enum owner_from */
	__u8 is_last; /* in a socket's first caller: no other process called since */
	__u16 exec_id; /* grows with each exec: the program of `comm` */
	struct conn_counts counts;
	__u8 comm[16];
	__u32 uid;
	__u32 closed_at; /* in a socket's first caller: when TCP came to CLOSE, see found_ns */
};

enum conn_unknown {
	QUALITY_UNKNOWN =
		0xffffffff, /* the kernel does not count it, or the end was not observed */
};

/* Quality of a TCP connection since it began. An RTT, window or rate of 0 is not measured yet. */
struct conn_quality {
	__u64 delivery_rate; /* bytes per second, as the latest acknowledgements came */
	__u32 srtt_us;
	__u32 rttvar_us; /* mean deviation of the RTT */
	__u32 retransmits; /* segments, SYNs included */
	__u32 lost; /* segments that were marked as lost */
	__u32 reordering; /* events of reordered segments */
	__u32 cwnd; /* segments */
};

/* Windows and queues of a TCP connection at the moment, in bytes but for `unacked`. */
struct conn_windows {
	__u32 in_flight; /* sent and not acknowledged; QUALITY_UNKNOWN: TCP has closed */
	__u32 unacked; /* segments of that */
	__u32 unsent; /* written and not sent yet */
	__u32 snd_wnd; /* what the peer takes */
	__u32 rcv_wnd; /* what the peer was offered */
	__u32 pad;
};

struct conn_end {
	__u8 ip[16]; /* IPv4 as v4-mapped */
	__u16 port; /* host order */
	__u16 pad[3];
};

struct conn_ids {
	struct conn_end local, remote;
	__u32 netns; /* inode number of the network namespace */
	__u32 interface; /* index of the interface that the socket is bound to, or 0 */
	__u16 protocol; /* IPPROTO_ */
	__u16 family; /* AF_ */
	__u32 pad;
};

struct conn_record {
	__u64 ts_ns;
	__u64 since_ns; /* established, or first used; 0: before the start */
	__u64 begun_ns; /* of a CONN_CLOSE: time of the connect or accept that it reports too, or 0 */
	__u64 cookie;
	struct conn_ids ids;
	struct caller first;
	/* calls of processes that found no room in `shares`; with CONN_KERNEL, of the kernel too */
	struct conn_counts left_out;
	struct conn_counts tcp; /* since tracking began; packets are 32 bits wide */
	struct conn_quality quality; /* with CONN_TCP */
	struct conn_windows windows; /* with CONN_TCP */
	__u64 last_start_boottime_ns; /* the last caller, where that is not `first` */
	__u32 last_tgid;
	__u32 rx_queued; /* TCP: bytes received in order and not read yet */
	__u32 error; /* errno of a CONN_CLOSE, and of a CONN_SAMPLE at CLOSE */
	__u32 connect_us; /* from the SYN to ESTABLISHED; 0: unknown, or not from here */
	__u16 flags; /* enum conn_flag */
	__u8 event; /* enum conn_event */
	__u8 state; /* TCP_; of a CONN_CLOSE the last one before CLOSE */
	__u32 pad;
};

struct share_key {
	__u64 cookie;
	__u64 start_boottime_ns;
	__u32 tgid;
	__u32 pad;
};

/* Any caller of a socket but its first. */
struct share_record {
	__u64 cookie;
	struct caller caller;
};

/* Traffic of one process with one peer through one datagram socket. */
struct peer_key {
	struct share_key share;
	struct conn_end remote;
};

struct peer_record {
	struct peer_key key;
	struct conn_counts counts;
};

/* A process that has a socket open which another one uses. */
struct holder_record {
	__u64 cookie;
	struct caller process;
};

enum walk_over {
	WALK_BEGUN, /* begun connections that are not reported yet */
	WALK_SOCKETS,
	WALK_SHARES,
	WALK_PEERS,
};

#endif
