/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The records that opens.bpf.c writes and src/probes/opens reads. Rust takes these types and the
 * values of the enums from the object's BTF: byte arrays are __u8, padding is explicit, sizes are
 * asserted. */
#ifndef EBPFTOP_OPENS_H
#define EBPFTOP_OPENS_H

/* PATH_MAX of the kernel: a longer path is refused before it is looked up. */
#define PATH_BYTES 4096
#define COMM_BYTES 16

#include "cgroup_id.h"

/* The kind of a record of the ring: its first word. */
enum record_kind {
	RECORD_OPEN = 1, /* struct open_record */
	RECORD_NAME = 2, /* struct name_record */
	RECORD_EXIT = 3, /* struct exit_record */
	RECORD_COMPAT = 4, /* struct exit_record: a 32-bit program was started */
	/* struct open_record: a process started a program. The path is its arguments, a NUL after
	 * each, cut at PATH_BYTES - 1; flags: the bytes of all of them; the key: of the executable;
	 * latency_ns: the age of the process */
	RECORD_EXEC = 5,
	/* struct open_head: a process has ended. mode: its status as wait() has it; latency_ns: its age */
	RECORD_ENDED = 6,
	RECORD_CHANGE = 7, /* struct change_record */
};

/* Values of open_head.syscall. */
enum open_syscall {
	CALL_OPEN,
	CALL_OPENAT,
	CALL_OPENAT2,
	CALL_CREAT,
	CALL_OPEN_BY_HANDLE_AT,
	CALL_IO_URING,
	CALL_NONE, /* not a call that opens */
};

/* Values of open_head.syscall of a change, beside those of open_syscall. */
enum change_call {
	CHANGE_UNLINK = 16,
	CHANGE_UNLINKAT,
	CHANGE_RMDIR,
	CHANGE_RENAME,
	CHANGE_RENAMEAT,
	CHANGE_RENAMEAT2,
	CHANGE_LINK,
	CHANGE_LINKAT,
	CHANGE_SYMLINK,
	CHANGE_SYMLINKAT,
	CHANGE_MKDIR,
	CHANGE_MKDIRAT,
	CHANGE_MKNOD,
	CHANGE_MKNODAT,
	CHANGE_TRUNCATE,
	CHANGE_FTRUNCATE,
	CHANGE_CHMOD,
	CHANGE_FCHMOD,
	CHANGE_FCHMODAT,
	CHANGE_FCHMODAT2,
	CHANGE_CHOWN,
	CHANGE_LCHOWN,
	CHANGE_FCHOWN,
	CHANGE_FCHOWNAT,
};

/* Values of change_head.op. */
enum change_op {
	OP_NONE,
	OP_CREATE, /* by an open */
	OP_UNLINK,
	OP_RMDIR,
	OP_RENAME,
	OP_LINK,
	OP_SYMLINK,
	OP_MKDIR,
	OP_MKNOD,
	OP_TRUNCATE,
	OP_CHMOD,
	OP_CHOWN,
};

/* Values of open_head.resolved: the meaning of the name behind open_head.key. */
enum resolved_kind {
	RESOLVED_NONE, /* not known: key is 0 */
	RESOLVED_OPENED,
	RESOLVED_DELETED,
	RESOLVED_TMPFILE, /* the directory it was made in */
	RESOLVED_ANON,
	RESOLVED_TRIED, /* the directory that the path as passed starts from */
	RESOLVED_MADE, /* of a change: the directory of the file, whose name is the second text */
};

/* Bits of open_head.bits: what the record has. */
enum open_bits {
	OPEN_HAS_PATH = 1,
	OPEN_HAS_FLAGS = 2,
	OPEN_HAS_LATENCY = 4,
	OPEN_HAS_SLOT = 8,
	OPEN_HAS_TO = 16, /* of a change: the second name that was passed */
};

/* A thread's name and that of its process, the group leader's. */
struct names {
	__u8 comm[COMM_BYTES];
	__u8 process[COMM_BYTES];
};

/* The head of an open; path_len bytes of path follow, without a NUL. */
struct open_head {
	__u32 record; /* RECORD_OPEN */
	__u32 mode;
	__u64 ts_ns; /* CLOCK_MONOTONIC at return */
	__u64 start_boottime_ns; /* of the group leader */
	__u64 latency_ns;
	__u64 flags;
	__u64 cgroup_id; /* in its hierarchy, CGROUP_HIERARCHY_SHIFT */
	__s64 ret;
	__u64 key; /* of the name_record that says where the file is; 0: not known */
	__u32 tgid;
	__u32 tid;
	__u32 ppid;
	__u32 uid;
	__u16 path_len;
	__u8 syscall;
	__u8 bits;
	__u8 resolved;
	__u8 pad[3];
	__u32 slot; /* of a direct io_uring open: it has no descriptor */
	__u32 pad2;
	struct names names;
};

#define OPEN_HEAD_BYTES 128
_Static_assert(sizeof(struct open_head) == OPEN_HEAD_BYTES, "the head has no hidden padding");

struct open_record {
	struct open_head head;
	/* a NUL and padding besides: the longest path has PATH_BYTES - 1 */
	__u8 path[PATH_BYTES + 8];
};

/* The head of a change; path_len bytes of path and to_len of the second text follow. head.flags are
 * those of the call: of an open, AT_ or RENAME_. */
struct change_head {
	struct open_head head; /* RECORD_CHANGE */
	__u64 to_key; /* as head.key, of the second name */
	__u64 value; /* mode; length; or user id and, in the upper half, group id */
	__u16 to_len;
	__u8 to_resolved;
	__u8 op; /* enum change_op */
	__u32 pad;
};

#define CHANGE_HEAD_BYTES 152
_Static_assert(sizeof(struct change_head) == CHANGE_HEAD_BYTES, "the head has no hidden padding");

struct change_record {
	struct change_head change;
	/* two texts of PATH_BYTES - 1 at most, one after the other; the second is read with its NUL */
	__u8 texts[2 * PATH_BYTES];
};

/* Values of name_head.place: how the kernel writes the file's name (d_path, fs/d_path.c). All but
 * the first are of files outside of the tree. */
enum name_place {
	PLACE_TREE, /* a path: the names from the file up to the root, each with its NUL */
	PLACE_NAMED, /* "/NAME" (simple_dname: memfd, hugetlbfs) */
	PLACE_NUMBERED, /* "NAME:[INODE]" (pipes, sockets, namespaces) */
	PLACE_ANON_INODE, /* "anon_inode:NAME" (eventfd, pidfd) */
};

/* The name of a file; names_len bytes follow, none for the root of the tree. Written before the
 * first open that refers to its key. */
struct name_head {
	__u32 record; /* RECORD_NAME */
	__u32 epoch;
	__u64 key;
	__u64 ino; /* of the file */
	__u32 names_len;
	__u32 place; /* enum name_place */
};

#define NAME_HEAD_BYTES 32
_Static_assert(sizeof(struct name_head) == NAME_HEAD_BYTES, "the head has no hidden padding");

struct name_record {
	struct name_head head;
	/* The last name may begin at any of the first PATH_BYTES and be as long: NAME_MAX is 255
	 * for most file systems, 1,023 for FUSE, more than 700 for vfat in UTF-8. */
	__u8 names[2 * PATH_BYTES];
};

/* A process (its last thread) has ended. */
struct exit_record {
	__u32 record; /* RECORD_EXIT */
	__u32 tgid;
	__u64 ts_ns;
	__u64 start_boottime_ns;
};

#define EXIT_BYTES 24
_Static_assert(sizeof(struct exit_record) == EXIT_BYTES, "the record has no hidden padding");

/* Per CPU, cumulative over the window; differences wrap. CPUs share no cache line, also where one is fetched
 * with its neighbour. */
struct open_counts {
	__u64 seen; /* returns from an open */
	__u64 own; /* of those: by the reader's own process, so no record */
	__u64 skipped; /* of the seen: not wanted, so no record */
	__u64 lost; /* of the seen: no room for the record */
	__u64 lost_unowned; /* of the lost: no room for an entry of its process either */
	__u64 unfinished; /* io_uring requests whose completion has not been seen */
	__u64 unnamed; /* of the seen: by io_uring, the request is not known, so no path */
	__u64 processes_lost; /* records of starts and ends without room */
	__u64 changes_seen; /* returns from a call that changes a file, not by the reader's process */
	__u64 changes_lost; /* of those: no room for the record, or the arguments are not known */
	__u64 pad[6];
};

/* Identifies a process: ids are reused, an id with its start time is not. */
struct process_key {
	__u32 tgid;
	__u32 pad;
	__u64 start_boottime_ns;
};

/* Opens of a process for whose records the ring had no room, cumulative over the window. */
struct lost_opens {
	__u64 opens;
	__u64 failed; /* of those */
	__u32 uid;
	__u32 pad;
	__u8 process[COMM_BYTES];
};

/* A call that has not returned after this is reported. */
#define UNDER_WAY_NS 1000000000ULL

/* An open that has not returned; path_len bytes of path follow, without a NUL. */
struct under_way_head {
	__u64 entry_ns; /* CLOCK_MONOTONIC */
	__u64 start_boottime_ns; /* of the group leader */
	struct names names;
	__u32 tgid;
	__u32 tid;
	__u32 uid;
	__u32 path_len;
	__u8 syscall; /* enum open_syscall */
	__u8 pad[7];
};

#define UNDER_WAY_HEAD_BYTES 72
_Static_assert(sizeof(struct under_way_head) == UNDER_WAY_HEAD_BYTES,
	       "the head has no hidden padding");

#endif
