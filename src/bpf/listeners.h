/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The record that listeners.bpf.c writes and src/probes/listeners reads. */
#ifndef EBPFTOP_LISTENERS_H
#define EBPFTOP_LISTENERS_H

/* UNIX_PATH_MAX of include/uapi/linux/un.h, and the NUL that unix_mkname_bsd of net/unix/af_unix.c puts behind it. */
#define LISTENER_NAME_BYTES 109

/* A process has a listening socket open; name_len bytes of the name follow, of a Unix socket alone;
 * 0 of one: the name cannot be read. */
struct listener_record {
	__u64 start_boottime_ns; /* of the group leader */
	__u32 tgid;
	__u32 uid;
	__u32 inode; /* of the socket's file */
	__u32 waiting; /* connections that wait to be accepted */
	__u32 limit; /* how many may wait */
	__u32 drops; /* see sk_drops of include/net/sock.h; not of Unix sockets */
	__u32 netns; /* inode number of the socket's network namespace */
	__u16 name_len;
	__u8 unix_type; /* of a Unix socket: SOCK_STREAM or SOCK_SEQPACKET; else 0 */
	__u8 has_queue; /* waiting, limit and drops are known */
	__u8 process[16];
};

#define LISTENER_RECORD_BYTES 56
_Static_assert(sizeof(struct listener_record) == LISTENER_RECORD_BYTES,
	       "the record has no hidden padding");

#endif
