/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The records that cgroups.bpf.c writes and src/probes/cgroups reads. */
#ifndef EBPFTOP_CGROUPS_H
#define EBPFTOP_CGROUPS_H

#include "cgroup_id.h"

/* TRACE_CGROUP_PATH_LEN of kernel/cgroup/cgroup-internal.h: the kernel cuts longer paths. */
#define CGROUP_PATH_BYTES 1024

/* A cgroup was made, or renamed; path_len bytes of path follow, without a NUL. */
struct cgroup_head {
	__u64 id; /* in its hierarchy, CGROUP_HIERARCHY_SHIFT */
	__u64 lost; /* records that had no room until now */
	__u32 path_len;
	__u32 pad;
};

#define CGROUP_HEAD_BYTES 24
_Static_assert(sizeof(struct cgroup_head) == CGROUP_HEAD_BYTES, "the head has no hidden padding");

struct cgroup_record {
	struct cgroup_head head;
	__u8 path[CGROUP_PATH_BYTES];
};

#endif
