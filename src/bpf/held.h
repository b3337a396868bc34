/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The records that held.bpf.c writes and src/probes/held reads. */
#ifndef EBPFTOP_HELD_H
#define EBPFTOP_HELD_H

#include "cgroup_id.h"

/* PATH_MAX of the kernel, the NUL included. */
#define HELD_PATH_BYTES 4096

/* The way in which a process has a file. */
enum held_as {
	HELD_DESCRIPTOR = 1,
	HELD_CWD = 2,
	HELD_ROOT = 3,
	HELD_EXECUTABLE = 4,
	HELD_MAPPED = 5,
};

/* A process has the file; path_len bytes of path follow, without a NUL. */
struct held_head {
	__u64 start_boottime_ns; /* of the group leader */
	__u64 cgroup_id;
	__u64 offset; /* of a descriptor */
	__u32 tgid;
	__u32 uid;
	__u32 fd; /* of a descriptor */
	__u32 flags; /* that it was opened with, of a descriptor; not O_CLOEXEC, which is the descriptor's */
	__u32 path_len;
	__u8 as; /* enum held_as */
	__u8 deleted; /* no name leads to it any more */
	__u8 process[16];
	__u8 pad[2];
};

#define HELD_HEAD_BYTES 64
_Static_assert(sizeof(struct held_head) == HELD_HEAD_BYTES, "the head has no hidden padding");

#endif
