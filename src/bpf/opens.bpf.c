// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* One record for each return from an open.
 *
 * The path is read at exit, when the kernel has just copied it in, so a cold page still gives
 * a name. The arguments come from the task's saved registers (bpf_task_pt_regs, kernel 5.15),
 * or, below that and when latency is asked for, from a hash filled at entry. */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include "opens.h"
#include "kernel.h"
#include "preempt.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Whether the entry program is attached, and whether latencies are reported. */
const volatile bool at_entry = false, latency = false;

/* The window, CLOCK_MONOTONIC: an open that returns outside of it is neither counted nor reported.
 * Written by the reader while programs run. */
volatile __u64 from_ns = 0, until_ns = ~0ULL;

#include "rings.h"
#include "place.h"
#include "file.h"
#include "cgroup.h"
#include "request.h"
#include "names.h"
#include "wanted.h"

#define BPF_F_MMAPABLE (1U << 10) /* include/uapi/linux/bpf.h */

/* One entry a CPU. The reader maps it: a map operation of the bpf system call keeps tracepoint programs
 * from running on its CPU (bpf_disable_instrumentation), so a task that preempts the reader in the middle
 * of one would have its opens missed. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct open_counts);
} counts SEC(".maps");

static __always_inline struct open_counts *own_counts(void)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&counts, &cpu);
}

/* A record is put together here: too large for the stack. One user a CPU: see preempt.h. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct open_record);
} scratch SEC(".maps");

/* Written only when the ring is full, so that what a process opened stays exact. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, struct process_key);
	__type(value, struct lost_opens);
} lost SEC(".maps");

/* Ids of the task, and the start time of its group leader. */
static __always_inline void fill_task(struct open_head *head)
{
	__u64 task = bpf_get_current_task();
	__u64 pid_tgid = bpf_get_current_pid_tgid();
	__u64 leader, parent;

	leader = WORD(task_struct, task, group_leader);
	parent = WORD(task_struct, task, real_parent);
	head->tgid = pid_tgid >> 32;
	head->tid = (__u32)pid_tgid;
	head->ppid = HALF(task_struct, parent, tgid);
	head->start_boottime_ns = WORD(task_struct, leader, start_boottime);
	head->cgroup_id = cgroup_of(task);
}

/* The path as passed. A path of 4096 bytes and more is no path to the kernel either
 * (ENAMETOOLONG), and a part of it would be a lie: no path then. */
static __always_inline void fill_path(struct open_record *rec, const struct request *req)
{
	long n;

	rec->head.path_len = 0;
	if (!req->path)
		return;
	n = bpf_probe_read_user_str(rec->path, PATH_BYTES + 1, (const void *)req->path);
	if (n < 0 || n > PATH_BYTES)
		return;
	/* with its NUL, but below kernel 6.13 an empty string gives 0 */
	rec->head.path_len = n ? n - 1 : 0;
	rec->head.bits |= OPEN_HAS_PATH;
}

#define AT_FDCWD -100
#define RESOLVE_IN_ROOT 0x10 /* include/uapi/linux/openat2.h */

/* Resolves the file behind a descriptor. */
static __always_inline void place_opened(struct open_head *head, __u64 file, enum repeat repeat)
{
	bool unnamed = head->flags & O_TMPFILE_BIT;

	head->key = place_of_file(file, unnamed, &head->resolved, repeat);
}

/* The key of the directory that a path starts from, and RESOLVED_TRIED where it is known. */
static __always_inline __u8 place_base(__u64 *key, __s32 dirfd, bool from_root, enum repeat repeat)
{
	__u64 dentry = 0, mnt = 0, fs;
	bool anon;

	if (from_root || dirfd == AT_FDCWD) {
		fs = WORD(task_struct, bpf_get_current_task(), fs);
		if (from_root) {
			dentry = WORD(fs_struct, fs, root.dentry);
			mnt = WORD(fs_struct, fs, root.mnt);
		} else {
			dentry = WORD(fs_struct, fs, pwd.dentry);
			mnt = WORD(fs_struct, fs, pwd.mnt);
		}
	} else {
		path_of_file(file_of(dirfd), &dentry, &mnt);
	}
	*key = place_of(dentry, mnt, &anon, repeat);
	/* nothing lies below a file outside of the tree */
	return *key && !anon ? RESOLVED_TRIED : RESOLVED_NONE;
}

/* The directory that the path of a failed open starts from. */
static __always_inline void place_tried(struct open_record *rec, const struct request *req,
					enum repeat repeat)
{
	bool absolute = rec->head.path_len && rec->path[0] == '/';

	if (rec->head.bits & OPEN_HAS_PATH)
		rec->head.resolved =
			place_base(&rec->head.key, req->dirfd,
				   absolute && !(req->resolve & RESOLVE_IN_ROOT), repeat);
}

/* The ring was full: whose open it was. */
static __always_inline void count_lost(struct open_counts *count, const struct open_head *head)
{
	struct process_key key = { .tgid = head->tgid,
				   .start_boottime_ns = head->start_boottime_ns };
	struct lost_opens *l = bpf_map_lookup_elem(&lost, &key);

	count->lost++;
	if (!l) {
		struct lost_opens fresh = { .uid = head->uid };

		__builtin_memcpy(fresh.process, head->names.process, sizeof(fresh.process));
		bpf_map_update_elem(&lost, &key, &fresh, BPF_NOEXIST);
		l = bpf_map_lookup_elem(&lost, &key);
	}
	if (!l) {
		count->lost_unowned++;
		return;
	}
	__sync_fetch_and_add(&l->opens, 1);
	if (head->ret < 0)
		__sync_fetch_and_add(&l->failed, 1);
}

static __always_inline bool in_window(__u64 ts_ns)
{
	return ts_ns >= from_ns && ts_ns <= until_ns;
}

/* Counts a return; the scratch record, with its time, uid and names, where the open is wanted. */
static __always_inline struct open_record *begin(struct open_counts *count, long ret)
{
	struct open_record *rec = bpf_map_lookup_elem(&scratch, &zero);

	if (!rec) /* never: it has one element a CPU */
		return 0;
	rec->head.ts_ns = bpf_ktime_get_ns();
	if (!in_window(rec->head.ts_ns))
		return 0;
	count->seen++;
	if (own_tgid && (__u32)(bpf_get_current_pid_tgid() >> 32) == own_tgid) {
		count->own++;
		return 0;
	}
	rec->head.uid = (__u32)bpf_get_current_uid_gid();
	read_names(&rec->head.names);
	if (!wanted(ret, rec->head.uid, &rec->head.names)) {
		count->skipped++;
		return 0;
	}
	return rec;
}

/* The head but for what begin() sets, and for request and result. */
static __always_inline void fill_head(struct open_head *head, __u8 syscall)
{
	head->record = RECORD_OPEN;
	head->syscall = syscall;
	head->bits = 0;
	head->latency_ns = 0;
	head->resolved = RESOLVED_NONE;
	head->key = 0;
	head->slot = 0;
	head->pad2 = 0;
	__builtin_memset(head->pad, 0, sizeof(head->pad));
	fill_task(head);
}

static __always_inline void output(struct open_counts *count, struct open_record *rec)
{
	__u64 bytes = OPEN_HEAD_BYTES + (rec->head.path_len & (PATH_BYTES - 1));

	if (write_record(rec, bytes))
		count_lost(count, &rec->head);
}

#include "changes.h"

static __always_inline void emit_open(struct request *req, long ret, __u64 entry_ns,
				      enum repeat repeat)
{
	struct open_counts *count = own_counts();
	struct open_record *rec;

	if (!count) /* never: it has one element a CPU */
		return;
	rec = begin(count, ret);
	if (!rec)
		return;
	fill_head(&rec->head, req->syscall);
	rec->head.ret = ret;
	if (entry_ns) {
		rec->head.bits |= OPEN_HAS_LATENCY;
		rec->head.latency_ns = rec->head.ts_ns - entry_ns;
	}
	fill_how(&rec->head, req);
	fill_path(rec, req);
	if (ret >= 0)
		place_opened(&rec->head, file_of(ret), repeat);
	else
		place_tried(rec, req, repeat);
	output(count, rec);
}

static __always_inline int emit(struct request *req, long ret, __u64 entry_ns, enum repeat repeat)
{
	if (report_opens)
		emit_open(req, ret, entry_ns, repeat);
	if (report_changes)
		emit_made(req, ret, repeat);
	return 0;
}

#include "uring.h"
#include "changes_ring.h"
#include "compat.h"
#include "process.h"

static __always_inline int emit_returned(struct trace_event_raw_sys_exit *ctx, enum repeat repeat)
{
	struct request req = {};
	__u64 args[CALL_ARGS] = {};
	__u64 entry_ns = 0;
	/* an int in a long's place: the upper half is not set (struct syscall_tp_t) */
	__u8 syscall = call_of((__u32)ctx->id);

	if (syscall == CALL_NONE)
		return 0;
	req.syscall = syscall;
	if (args_at_exit(args, &entry_ns))
		decode(&req, args);
	return emit(&req, ctx->ret, latency ? entry_ns : 0, repeat);
}

/* Attached to the sys_exit tracepoint of every call that opens: they hand over the same. */
SEC("tracepoint/syscalls/sys_exit_openat")
int open_exit(struct trace_event_raw_sys_exit *ctx)
{
	return ALONE(emit_returned(ctx, BY_LOOP));
}

SEC("?tracepoint/syscalls/sys_exit_openat")
int open_exit_516(struct trace_event_raw_sys_exit *ctx)
{
	return ALONE(emit_returned(ctx, BY_CALL));
}

SEC("tracepoint/syscalls/sys_enter_openat")
int open_enter(struct trace_event_raw_sys_enter *ctx)
{
	keep_pending(ctx);
	return 0;
}

#include "under_way.h"

/* Rust has the types that are in the object's BTF: those that a variable names. */
const struct exit_record *unused_exit __attribute__((unused));
const struct process_key *unused_key __attribute__((unused));
const enum record_kind *unused_record_kind __attribute__((unused));
const enum open_syscall *unused_syscall __attribute__((unused));
const enum resolved_kind *unused_resolved_kind __attribute__((unused));
const enum change_call *unused_change_call __attribute__((unused));
const enum change_op *unused_change_op __attribute__((unused));
const enum open_bits *unused_bits __attribute__((unused));
const enum name_place *unused_place __attribute__((unused));
const struct under_way_head *unused_under_way __attribute__((unused));
