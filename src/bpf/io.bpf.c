// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* Bytes and calls read and written, by process and file.
 *
 * One program at the raw sys_exit tracepoint: it runs for every system call, and returns after a few
 * instructions from those that neither read nor write. A program at the tracepoint of each call
 * costs the calls that are counted more than twice as much (kernel/trace/trace_syscalls.c puts together a
 * record of perf's for each). Arguments come from the saved registers, the file from the descriptor's place
 * in the table at return: another thread may have changed it since.
 *
 * An interval's calls are counted in entries of one side, the next one's in those of the other.
 * When no program counts on a side any more, the reader takes its entries, each once: nothing is lost or
 * counted twice. */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include "io.h"
#include "kernel.h"
#include "preempt.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* The side that is counted on: 0, 1 or IO_OFF. Written by the reader while programs run. */
volatile __u32 side = IO_OFF;

/* Count pipes, sockets, terminals and devices too, not regular files alone. */
const volatile bool every_type = false;

/* Time calls, and report those of this duration or longer, ns. 0: neither. */
const volatile __u64 slow_ns = 0;

/* The reader's own process, which is not counted. 0: it is. */
const volatile __u32 own_tgid = 0;

#include "rings.h"
#include "place.h"
#include "file.h"
#include "cgroup.h"
#include "names.h"

/* Both sides. Not preallocated: most machines use few files at once. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(key_size, sizeof(struct io_key));
	__uint(value_size, sizeof(struct io_timed_entry)); /* of io_entry, without --slow */
} used SEC(".maps");

/* An element for each side. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct io_rest);
} rest SEC(".maps");

enum direction {
	READS,
	WRITES,
};

#define NO_FD (-1)
#define EBADF 9

/* A call that has returned. */
struct call {
	__u64 task;
	__s64 ret;
	__u64 took_ns; /* 0: not timed */
	__u32 nr;
	__u32 side;
	__u32 tgid;
};

/* include/uapi/linux/stat.h */
#define TYPE_SHIFT 12
#define TYPE_REGULAR 8

static __always_inline void add(struct io_counts *counts, enum direction direction, __u64 bytes,
				__u64 calls)
{
	if (direction == READS) {
		__sync_fetch_and_add(&counts->read_bytes, bytes);
		__sync_fetch_and_add(&counts->read_calls, calls);
	} else {
		__sync_fetch_and_add(&counts->written_bytes, bytes);
		__sync_fetch_and_add(&counts->write_calls, calls);
	}
}

#include "io_times.h"

#include "io_last.h"

/* Makes the entry of a key; 0 where there is no room. */
static __always_inline struct io_timed_entry *make_entry(const struct io_key *key, __u32 type,
							 enum repeat repeat)
{
	__u64 task = bpf_get_current_task();
	struct io_timed_entry *made;
	struct io_entry fresh = {};

	fresh.uid = (__u32)bpf_get_current_uid_gid();
	fresh.cgroup_id = cgroup_of(task);
	fresh.type = type;
	read_comm(fresh.process, WORD(task_struct, task, group_leader));
	made = slow_ns ? insert_timed(key, &fresh) : insert(key, &fresh);
	/* Resolved only now: a full table must cost no walk. Another CPU may do the same: the place is one. */
	if (made && !made->entry.place) {
		bool unnamed = WORD(file, key->file, f_flags) & O_TMPFILE_BIT;

		made->entry.place =
			place_of_file(key->file, unnamed, &made->entry.resolved, repeat);
	}
	return made;
}

static __noinline struct io_timed_entry *make_by_loop(const struct io_key *key, __u32 type)
{
	return make_entry(key, type, BY_LOOP);
}

static __noinline struct io_timed_entry *make_by_call(const struct io_key *key, __u32 type)
{
	return make_entry(key, type, BY_CALL);
}

static __always_inline __u32 type_of(__u64 file)
{
	__u64 inode = WORD(file, file, f_inode);

	return (HALF(inode, inode, i_mode) & 0xffff) >> TYPE_SHIFT;
}

static __always_inline bool is_wanted(__u32 type)
{
	return type == TYPE_REGULAR || every_type;
}

/* Counts a call of the current process whose descriptor was closed by the time it returned: in no entry,
 * as its file is not known. A slow one is an event without a file, unless the descriptor was bad from the
 * beginning. */
static __noinline int count_unknown(const struct call *call, __u32 writes)
{
	__u32 side = call->side;
	struct io_rest *left = bpf_map_lookup_elem(&rest, &side);
	struct io_key key = { .tgid = call->tgid };

	if (!left)
		return 0;
	if (call->ret >= 0)
		add(&left->unknown, writes ? WRITES : READS, call->ret, 1);
	if (!slow_ns || call->took_ns < slow_ns || call->ret == -EBADF)
		return 0;
	__sync_fetch_and_add(&left->slow, 1);
	key.start_boottime_ns =
		WORD(task_struct, WORD(task_struct, call->task, group_leader), start_boottime);
	report_slow(0, &key, call, IO_TYPE_UNKNOWN, writes);
	return 0;
}

/* Where words are read to the stack, a frame of its own, which is gone before entries are made: the verifier allows
 * 512 bytes along a chain of calls. */
#ifdef WITH_KFUNCS
#define IDENTITY_INLINE __always_inline
#else
#define IDENTITY_INLINE __noinline
#endif

/* Of an open file and the process whose leader this is: the mount, the dentry, its name's hash, which depends on the
 * directory's address, the directory's hash, the inode and its generation, which a file system changes where
 * it uses a number again; and the process's name, which exec changes. Each times a number of its own: no product waits
 * for another. */
static IDENTITY_INLINE __u64 identity_of(__u64 file, __u64 leader)
{
	__u64 comm = bpf_core_field_offset(struct task_struct, comm);
	__u64 path[2], name[2], process[2], inode;

	WORDS(file, file, f_path.mnt, f_path.dentry, path);
	WORDS(dentry, path[1], d_parent, d_name.hash_len, name);
	inode = WORD(file, file, f_inode);
	kernel_words(leader, comm, comm + sizeof(comm), process);
	return path[0] * 0x9e3779b97f4a7c15ULL + path[1] * 0xbf58476d1ce4e5b9ULL +
	       name[1] * 0x94d049bb133111ebULL +
	       WORD(dentry, name[0], d_name.hash_len) * 0xff51afd7ed558ccdULL +
	       WORD(inode, inode, i_ino) * 0xc4ceb9fe1a85ec53ULL +
	       (__u64)HALF(inode, inode, i_generation) * 0x87c37b91114253d5ULL +
	       process[0] * 0x4cf5ad432745937fULL + process[1] * 0x52dce729da3ed7b5ULL;
}

/* Counts a call of the current process on an open file. One that failed is timed alone. `last`: the CPU's
 * record for this direction; 0: it is not used. */
static __always_inline void count(__u64 file, enum direction direction, const struct call *call,
				  struct io_last *last, enum repeat repeat)
{
	bool maybe_last = last && last->key.file == file;
	struct io_timed_entry *entry;
	struct io_key key = {};
	struct io_rest *left;
	__u32 type = 0;
	__u64 leader;

	if (!file) {
		count_unknown(call, direction == WRITES);
		return;
	}
	if (!maybe_last) {
		type = type_of(file);
		if (!is_wanted(type))
			return;
	}
	if (slow_ns && !call->took_ns) {
		left = bpf_map_lookup_elem(&rest, &call->side);
		if (left)
			__sync_fetch_and_add(&left->untimed, 1);
		if (call->ret < 0)
			return;
	}
	key.file = file;
	leader = WORD(task_struct, call->task, group_leader);
	key.identity = identity_of(file, leader);
	key.start_boottime_ns = WORD(task_struct, leader, start_boottime);
	key.tgid = call->tgid;
	key.side = call->side;
	if (maybe_last) {
		if (is_last(last, &key)) {
			last->bytes += call->ret;
			last->calls += 1;
			last->next_file = 0;
			return;
		}
		type = type_of(file);
		if (!is_wanted(type))
			return;
	}
	entry = bpf_map_lookup_elem(&used, &key);
	if (!entry)
		entry = repeat == BY_CALL ? make_by_call(&key, type) : make_by_loop(&key, type);
	left = entry ? 0 : bpf_map_lookup_elem(&rest, &call->side);
	if (slow_ns && call->took_ns)
		time_call(entry, left, &key, type, direction, call, repeat);
	if (call->ret < 0)
		return;
	if (entry) {
		add(&entry->entry.counts, direction, call->ret, 1);
		if (last)
			missed_last(last, &key, direction);
		return;
	}
	if (left)
		add(&left->other, direction, call->ret, 1);
}

/* The same at the return of a system call. With durations each call is counted in its entry. */
static __always_inline void count_returned(__u64 file, enum direction direction,
					   const struct call *call, enum repeat repeat)
{
	struct io_last *last = slow_ns ? 0 : last_of(call->side, direction);

	count(file, direction, call, last, repeat);
}

/* The arguments that are descriptors, by call. */
enum shape {
	NEITHER,
	READS_FIRST,
	WRITES_FIRST,
	SECOND_TO_FIRST,
	FIRST_TO_SECOND,
	FIRST_TO_THIRD,
	SUBMITS, /* requests, none of which need be done */
};

static __always_inline enum shape shape_of(__u32 nr)
{
	switch (nr) {
#if defined(__TARGET_ARCH_x86) /* arch/x86/entry/syscalls/syscall_64.tbl */
	case 0: /* read */
	case 17: /* pread64 */
	case 19: /* readv */
	case 295: /* preadv */
	case 327: /* preadv2 */
		return READS_FIRST;
	case 1: /* write */
	case 18: /* pwrite64 */
	case 20: /* writev */
	case 296: /* pwritev */
	case 328: /* pwritev2 */
		return WRITES_FIRST;
	case 40: /* sendfile */
		return SECOND_TO_FIRST;
	case 276: /* tee */
		return FIRST_TO_SECOND;
	case 275: /* splice */
	case 326: /* copy_file_range */
		return FIRST_TO_THIRD;
	case 209: /* io_submit */
		return SUBMITS;
#elif defined(__TARGET_ARCH_arm64) /* include/uapi/asm-generic/unistd.h */
	case 63: /* read */
	case 65: /* readv */
	case 67: /* pread64 */
	case 69: /* preadv */
	case 286: /* preadv2 */
		return READS_FIRST;
	case 64: /* write */
	case 66: /* writev */
	case 68: /* pwrite64 */
	case 70: /* pwritev */
	case 287: /* pwritev2 */
		return WRITES_FIRST;
	case 71: /* sendfile */
		return SECOND_TO_FIRST;
	case 77: /* tee */
		return FIRST_TO_SECOND;
	case 76: /* splice */
	case 285: /* copy_file_range */
		return FIRST_TO_THIRD;
	case 2: /* io_submit */
		return SUBMITS;
#else
#error "ebpftop knows x86_64 and aarch64 only"
#endif
	}
	return NEITHER;
}

#if defined(__TARGET_ARCH_x86)
#define CALL_NUMBER(regs) HALF(pt_regs, regs, orig_ax)
#define FIRST(regs) ((__s32)HALF(pt_regs, regs, di))
#define SECOND(regs) ((__s32)HALF(pt_regs, regs, si))
#define THIRD(regs) ((__s32)HALF(pt_regs, regs, dx))
#else
#define CALL_NUMBER(regs) HALF(pt_regs, regs, syscallno)
#define FIRST(regs) ((__s32)HALF(pt_regs, regs, orig_x0))
#define SECOND(regs) ((__s32)HALF(pt_regs, regs, regs[1]))
#define THIRD(regs) ((__s32)HALF(pt_regs, regs, regs[2]))
#endif

#define TS_COMPAT 2 /* arch/x86/include/asm/thread_info.h: a 32-bit call is under way */
#define PSR_MODE32_BIT 0x10 /* arch/arm64/include/uapi/asm/ptrace.h */

/* Whether a 32-bit call is under way: its numbers are others. */
static __always_inline bool in_compat_call(__u64 task, __u64 regs)
{
#if defined(__TARGET_ARCH_x86)
	(void)regs;
	return HALF(task_struct, task, thread_info.status) & TS_COMPAT;
#else
	(void)task;
	return WORD(pt_regs, regs, pstate) & PSR_MODE32_BIT;
#endif
}

static __always_inline __u32 current_tgid(void)
{
	return bpf_get_current_pid_tgid() >> 32;
}

static __always_inline bool is_own(__u32 tgid)
{
	return own_tgid && tgid == own_tgid;
}

/* MAX_RW_COUNT of include/linux/fs.h: no call moves more. A supervisor of seccomp can make a call
 * return what it likes, without a transfer. */
#define MOST_BYTES 0x7ffff000

/* The descriptors that a call reads from and writes to. */
static __always_inline void descriptors(enum shape shape, __u64 regs, __s32 *from, __s32 *to)
{
	*from = NO_FD;
	*to = NO_FD;
	switch (shape) {
	case READS_FIRST:
		*from = FIRST(regs);
		break;
	case WRITES_FIRST:
		*to = FIRST(regs);
		break;
	case SECOND_TO_FIRST:
		*from = SECOND(regs);
		*to = FIRST(regs);
		break;
	case FIRST_TO_SECOND:
		*from = FIRST(regs);
		*to = SECOND(regs);
		break;
	default:
		*from = FIRST(regs);
		*to = THIRD(regs);
	}
}

static __always_inline void add_uncounted(__u32 side, __u64 requests)
{
	struct io_rest *left = bpf_map_lookup_elem(&rest, &side);

	if (left)
		__sync_fetch_and_add(&left->uncounted, requests);
}

static __always_inline int returned(__u64 regs, long ret, enum repeat repeat)
{
	struct call call = { .ret = ret, .side = side };
	enum shape shape;
	__s32 from, to;

	call.nr = CALL_NUMBER(regs);
	shape = shape_of(call.nr);
	if (shape == NEITHER || (ret < 0 && !slow_ns) || call.side > 1)
		return 0;
	call.task = bpf_get_current_task();
	if (in_compat_call(call.task, regs))
		return 0;
	call.tgid = current_tgid();
	if (is_own(call.tgid))
		return 0;
	if (shape == SUBMITS) {
		if (ret > 0)
			add_uncounted(call.side, ret);
		return 0;
	}
	if (slow_ns) {
		/* in any case: a time that is found later is taken for a call under way */
		call.took_ns = end_of_call(repeat);
		if (ret < 0 &&
		    !call.took_ns) /* perhaps a filter of seccomp refused it: it never began */
			return 0;
	}
	if (ret > MOST_BYTES)
		return 0;
	descriptors(shape, regs, &from, &to);
	if (from != NO_FD)
		count_returned(file_of_task(call.task, from), READS, &call, repeat);
	if (to != NO_FD)
		count_returned(file_of_task(call.task, to), WRITES, &call, repeat);
	return 0;
}

SEC("raw_tp/sys_exit")
int io_exit(struct bpf_raw_tracepoint_args *ctx)
{
	return ALONE(returned(ctx->args[0], (long)ctx->args[1], BY_LOOP));
}

SEC("?raw_tp/sys_exit")
int io_exit_516(struct bpf_raw_tracepoint_args *ctx)
{
	return ALONE(returned(ctx->args[0], (long)ctx->args[1], BY_CALL));
}

static __always_inline bool is_counted_type(__s32 fd)
{
	__u64 file = fd == NO_FD ? 0 : file_of(fd);

	return file && type_of(file) == TYPE_REGULAR;
}

/* Keeps the time at which a call begins that will be counted. */
static __always_inline int entered(__u64 regs, __u32 nr, enum repeat repeat)
{
	enum shape shape = shape_of(nr);
	__s32 from, to;

	if (shape == NEITHER || shape == SUBMITS || side > 1 ||
	    in_compat_call(bpf_get_current_task(), regs) || is_own(current_tgid()))
		return 0;
	descriptors(shape, regs, &from, &to);
	if (every_type || is_counted_type(from) || is_counted_type(to))
		begin_call(repeat);
	return 0;
}

SEC("?raw_tp/sys_enter")
int io_enter(struct bpf_raw_tracepoint_args *ctx)
{
	return entered(ctx->args[0], ctx->args[1], BY_LOOP);
}

SEC("?raw_tp/sys_enter")
int io_enter_516(struct bpf_raw_tracepoint_args *ctx)
{
	return entered(ctx->args[0], ctx->args[1], BY_CALL);
}

#include "io_under_way.h"

#include "io_ring.h"

/* Rust has the types that are in the object's BTF: those that a variable names. */
const struct io_key *unused_key __attribute__((unused));
const struct io_timed_entry *unused_entry __attribute__((unused));
const struct io_under_way_head *unused_under_way __attribute__((unused));
const struct slow_record *unused_slow __attribute__((unused));
const struct io_last_used *unused_last __attribute__((unused));
const struct io_counts *unused_counts __attribute__((unused));
const enum record_kind *unused_record_kind __attribute__((unused));
const enum resolved_kind *unused_resolved_kind __attribute__((unused));
const enum name_place *unused_place __attribute__((unused));
