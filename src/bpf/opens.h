/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The records that opens.bpf.c writes and src/probes/opens reads. Rust takes these types
 * from the object's BTF: byte arrays are __u8, padding is explicit, sizes are asserted. */
#ifndef EBPFTOP_OPENS_H
#define EBPFTOP_OPENS_H

/* PATH_MAX of the kernel: a longer path is refused before it is looked up. */
#define PATH_BYTES 4096
#define COMM_BYTES 16

/* Values of open_record.syscall, in the order of model::open::Syscall::ALL. */
enum open_syscall {
	CALL_OPEN,
	CALL_OPENAT,
	CALL_OPENAT2,
	CALL_CREAT,
	CALL_OPEN_BY_HANDLE_AT,
	CALL_IO_URING,
};

/* Bits of open_record.bits. */
#define OPEN_HAS_PATH 1
#define OPEN_HAS_FLAGS 2
#define OPEN_HAS_LATENCY 4

/* What every record begins with; path_len bytes of path follow, without a NUL. */
struct open_head {
	__u64 ts_ns; /* CLOCK_MONOTONIC at return */
	__u64 start_boottime_ns; /* of the group leader */
	__u64 latency_ns;
	__u64 flags;
	__u64 cgroup_id;
	__s64 ret;
	__u32 tgid;
	__u32 tid;
	__u32 ppid;
	__u32 uid;
	__u32 mode;
	__u16 path_len;
	__u8 syscall;
	__u8 bits;
	__u8 comm[COMM_BYTES];
	__u8 process[COMM_BYTES];
};

#define OPEN_HEAD_BYTES 104
_Static_assert(sizeof(struct open_head) == OPEN_HEAD_BYTES, "the head has no hidden padding");

struct open_record {
	struct open_head head;
	__u8 path[PATH_BYTES];
};

/* Per CPU, cumulative since attach. */
struct open_counts {
	__u64 seen; /* returns from an open */
	__u64 lost; /* returns whose record could not be written */
};

#endif
