/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The entries that io.bpf.c counts in and src/probes/io reads; as for opens.h, Rust takes these types
 * from the object's BTF. */
#ifndef EBPFTOP_IO_H
#define EBPFTOP_IO_H

#include "opens.h"

/* The value of `side` while nothing is counted. */
#define IO_OFF 2

/* A process's use of an open file in one interval. The kernel reuses the addresses of struct file and of
 * dentries at once, for other files: so the key has the file's name and inode too (identity_of()). */
struct io_key {
	__u64 file; /* struct file */
	__u64 identity; /* of the file's name and inode and of the process's name */
	__u64 start_boottime_ns; /* of the group leader */
	__u32 tgid;
	__u32 side;
};

#define IO_KEY_BYTES 32
_Static_assert(sizeof(struct io_key) == IO_KEY_BYTES, "the key has no hidden padding");

/* In place of a file's type: the descriptor was closed during the call. No inode has these bits. */
#define IO_TYPE_UNKNOWN 017

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

/* Durations of calls, failed ones too, with --slow: buckets of half an octave. The first has all
 * below 1,024 ns, the last all from 2^36 ns (69 s) on. */
#define IO_BUCKETS 54
#define IO_FIRST_OCTAVE 10

struct io_times {
	__u64 max_ns;
	__u32 slow; /* of the limit's duration or longer */
	__u32 pad;
	__u32 counts[IO_BUCKETS];
};

/* An entry with --slow. Without, the table's values are its first part alone. */
struct io_timed_entry {
	struct io_entry entry;
	struct io_times times;
};

#define IO_TIMED_ENTRY_BYTES 304
_Static_assert(sizeof(struct io_timed_entry) == IO_TIMED_ENTRY_BYTES,
	       "the entry has no hidden padding");

/* The number of a request of io_uring among those of system calls. */
#define IO_URING_CALL 0xffffffff

/* A call of the limit's duration or longer; one that reads a file and writes another is two. */
struct slow_record {
	__u64 ts_ns; /* CLOCK_MONOTONIC at return */
	__u64 duration_ns;
	__s64 ret;
	__u64 start_boottime_ns; /* of the group leader */
	__u64 place; /* of the name_record that says where the file is; 0: not known */
	__u64 cgroup_id; /* in its hierarchy, CGROUP_HIERARCHY_SHIFT */
	__u32 tgid;
	__u32 tid;
	__u32 uid;
	__u32 call; /* the number of the system call */
	__u8 resolved; /* enum resolved_kind */
	__u8 type; /* as io_entry.type, or IO_TYPE_UNKNOWN */
	__u8 writes; /* 0: it reads the file; 1: it writes it */
	__u8 pad[5];
	struct names names;
};

#define SLOW_RECORD_BYTES 104
_Static_assert(sizeof(struct slow_record) == SLOW_RECORD_BYTES, "the record has no hidden padding");

/* A call that has not returned; name_bytes bytes of a name_record follow. One that reads a file and writes
 * another is two. */
struct io_under_way_head {
	__u64 entry_ns; /* CLOCK_MONOTONIC */
	__u64 start_boottime_ns; /* of the group leader */
	__u64 cgroup_id; /* in its hierarchy, CGROUP_HIERARCHY_SHIFT */
	struct names names;
	__u32 tgid;
	__u32 tid;
	__u32 uid;
	__u32 call; /* the number of the system call */
	__u32 name_bytes; /* 0: where the file is is not known */
	__u8 resolved; /* enum resolved_kind */
	__u8 type; /* as slow_record.type */
	__u8 writes; /* as slow_record.writes */
	__u8 pad;
};

#define IO_UNDER_WAY_HEAD_BYTES 80
_Static_assert(sizeof(struct io_under_way_head) == IO_UNDER_WAY_HEAD_BYTES,
	       "the head has no hidden padding");

/* A use that a CPU counts without its entry. Its calls are in no entry yet; the entry exists. */
struct io_last {
	struct io_key key; /* no file: none */
	__u64 bytes;
	__u64 calls;
	__u64 next_file; /* of the last call that was counted in an entry */
};

/* Per CPU and side: one for reads and one for writes, as a program that copies has a file of each. */
struct io_last_used {
	struct io_last by[2];
};

#define IO_LAST_USED_BYTES 112
_Static_assert(sizeof(struct io_last_used) == IO_LAST_USED_BYTES,
	       "the record has no hidden padding");

/* Counts without an entry, per CPU and side. */
struct io_rest {
	struct io_counts other; /* the table was full */
	struct io_counts unknown; /* the descriptor was closed by the time the call returned */
	__u64 slow; /* calls of the limit's duration or longer among both, failed ones too */
	__u64 untimed; /* with --slow: calls whose beginning is not known, counted or failed */
	__u64 uncounted; /* requests of io_submit and io_uring whose bytes or files are not known */
};

#endif
