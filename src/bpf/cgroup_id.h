/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* How a cgroup is named by a number: by its id, and its hierarchy in the upper bits, since each
 * hierarchy numbers its cgroups by itself. v2 is hierarchy 0, so its ids stay as they are. */
#ifndef EBPFTOP_CGROUP_ID_H
#define EBPFTOP_CGROUP_ID_H

#define CGROUP_HIERARCHY_SHIFT 48
#define CGROUP_MOST_HIERARCHY 0xffff

/* The root of a hierarchy (fs/kernfs/dir.c: ids are numbered from 1, the root's is the first). */
#define CGROUP_ROOT_ID 1

#endif
