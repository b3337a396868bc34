/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The records that hostnames.bpf.c writes and src/probes/connections/hostnames reads. */
#ifndef EBPFTOP_HOSTNAMES_H
#define EBPFTOP_HOSTNAMES_H

/* Payload in a record. Of a ClientHello in several packets, all of them together. */
#define HOSTNAME_COPY_BYTES 4096
/* Payload in smaller records: answers of DNS and many a ClientHello (517 bytes by padding), and those
 * with a post-quantum key. */
#define HOSTNAME_SMALL_BYTES 640
#define HOSTNAME_MEDIUM_BYTES 2048

enum hostname_kind {
	HOSTNAME_QUERY = 1, /* DNS, leaving: has the process that asks */
	HOSTNAME_ANSWER = 2, /* DNS, arriving at a socket that asked */
	HOSTNAME_HELLO = 3, /* TLS ClientHello, leaving */
};

/* A packet; `copied` bytes of payload follow. */
struct hostname_head {
	__u64 ts_ns;
	__u64 cookie;
	__u64 start_boottime_ns; /* of the process; a ClientHello and an answer have none */
	__u32 tgid; /* 0: unknown */
	__u32 seq; /* TCP: sequence number of the first byte of payload */
	__u32 bytes; /* payload of the packet */
	__u32 copied;
	__u16 port; /* of the other end, host order */
	__u8 kind; /* enum hostname_kind */
	__u8 tcp;
	__u8 pad[4];
};

#define HOSTNAME_HEAD_BYTES 48
_Static_assert(sizeof(struct hostname_head) == HOSTNAME_HEAD_BYTES, "no hidden padding");

#endif
