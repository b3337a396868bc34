/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The entries that io.bpf.c counts in and src/probes/io reads; as for opens.h, Rust takes these types
 * from the object's BTF. */
#ifndef EBPFTOP_IO_H
#define EBPFTOP_IO_H

#include "opens.h"

/* The value of `side` while nothing is counted. */
#define IO_OFF 2

/* A process's use of an open file in one interval. The address of a struct file is used again; with
 * its dentry it is, within an interval, a file of one name. */
struct io_key {
	__u64 file; /* struct file */
	__u64 dentry; /* struct dentry */
	__u64 start_boottime_ns; /* of the group leader */
	__u32 tgid;
	__u32 side;
};

#define IO_KEY_BYTES 32
_Static_assert(sizeof(struct io_key) == IO_KEY_BYTES, "the key has no hidden padding");

/* Calls that returned 0 or more, and the bytes that they returned. */
struct io_counts {
	__u64 read_bytes;
	__u64 written_bytes;
	__u64 read_calls;
	__u64 write_calls;
};

struct io_entry {
	struct io_counts counts;
	__u64 place; /* of the name_record that says where the file is; 0: not known */
	__u64 cgroup_id; /* in its hierarchy, CGROUP_HIERARCHY_SHIFT */
	__u32 uid;
	__u8 resolved; /* enum resolved_kind */
	__u8 type; /* S_IFMT of the inode's mode, shifted down by 12 */
	__u8 pad[2];
	__u8 process[COMM_BYTES]; /* the group leader's name */
};

#define IO_ENTRY_BYTES 72
_Static_assert(sizeof(struct io_entry) == IO_ENTRY_BYTES, "the entry has no hidden padding");

/* What has no entry, per CPU and side. */
struct io_rest {
	struct io_counts other; /* the table was full */
	struct io_counts unknown; /* the descriptor was closed by the time the call returned */
};

#endif
