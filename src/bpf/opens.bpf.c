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

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Whether the entry programs are attached. */
const volatile bool at_entry = false;

/* What an open was asked to do. */
struct request {
	__u64 path; /* user pointer, 0 where there is none */
	__u64 flags;
	__u64 how; /* user pointer to struct open_how, openat2 alone */
	__u64 how_bytes;
	__u32 mode;
	__u8 syscall;
};

/* Arguments kept from entry to exit. */
struct pending {
	__u64 ts_ns;
	__u64 args[4];
};

/* include/uapi/linux/openat2.h */
struct open_how {
	__u64 flags;
	__u64 mode;
	__u64 resolve;
};

/* Sizes are set before loading. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 24);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32); /* tid */
	__type(value, struct pending);
} pending SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct open_counts);
} counts SEC(".maps");

/* A record is put together here: too large for the stack. Syscall tracepoint programs run
 * with preemption off (kernel/trace/trace_syscalls.c), so a CPU has one user at a time. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct open_record);
} scratch SEC(".maps");

static const __u32 zero = 0;

static __always_inline struct task_struct *current_task(void)
{
	/* Direct loads from 5.11 on; the compiler's plain pointer is read with the helper. */
	return (struct task_struct *)bpf_get_current_task();
}

/* Who opened: ids, names and the start time of the group leader. */
static __always_inline void fill_who(struct open_record *rec)
{
	struct task_struct *task = current_task();
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);
	__u64 pid_tgid = bpf_get_current_pid_tgid();

	rec->head.tgid = pid_tgid >> 32;
	rec->head.tid = (__u32)pid_tgid;
	rec->head.uid = (__u32)bpf_get_current_uid_gid();
	rec->head.ppid = BPF_CORE_READ(task, real_parent, tgid);
	rec->head.start_boottime_ns = BPF_CORE_READ(leader, start_boottime);
	rec->head.cgroup_id = bpf_get_current_cgroup_id();
	if (bpf_get_current_comm(rec->head.comm, sizeof(rec->head.comm)))
		__builtin_memset(rec->head.comm, 0, sizeof(rec->head.comm));
	if (bpf_core_read(rec->head.process, sizeof(rec->head.process), &leader->comm))
		__builtin_memset(rec->head.process, 0, sizeof(rec->head.process));
}

/* The path as passed. A path of 4096 bytes and more is no path to the kernel either
 * (ENAMETOOLONG), and a part of it would be a lie: no path then. */
static __always_inline __u32 fill_path(struct open_record *rec, const struct request *req)
{
	long n;

	rec->head.path_len = 0;
	if (!req->path)
		return 0;
	n = bpf_probe_read_user_str(rec->path, sizeof(rec->path), (const void *)req->path);
	if (n < 1 || n >= PATH_BYTES)
		return 0;
	rec->head.path_len = n - 1;
	rec->head.bits |= OPEN_HAS_PATH;
	return n - 1;
}

static __always_inline void fill_how(struct open_record *rec, const struct request *req)
{
	struct open_how how = {};

	rec->head.flags = req->flags;
	rec->head.mode = req->mode;
	if (req->syscall == CALL_OPENAT2) {
		/* flags and mode have been there from the first version on (OPEN_HOW_SIZE_VER0 is 24) */
		if (!req->how || bpf_probe_read_user(&how, sizeof(how), (const void *)req->how))
			return;
		rec->head.flags = how.flags;
		rec->head.mode = how.mode;
	}
	rec->head.bits |= OPEN_HAS_FLAGS;
}

static __always_inline int emit(const struct request *req, long ret, __u64 entry_ns)
{
	struct open_counts *count = bpf_map_lookup_elem(&counts, &zero);
	struct open_record *rec = bpf_map_lookup_elem(&scratch, &zero);
	__u32 path_len;

	if (!count || !rec) /* never: both have one element a CPU */
		return 0;
	count->seen++;

	rec->head.ts_ns = bpf_ktime_get_ns();
	rec->head.ret = ret;
	rec->head.syscall = req->syscall;
	rec->head.bits = entry_ns ? OPEN_HAS_LATENCY : 0;
	rec->head.latency_ns = entry_ns ? rec->head.ts_ns - entry_ns : 0;
	fill_who(rec);
	fill_how(rec, req);
	path_len = fill_path(rec, req) & (PATH_BYTES - 1);

	if (bpf_ringbuf_output(&ring, rec, OPEN_HEAD_BYTES + path_len, BPF_RB_NO_WAKEUP))
		count->lost++;
	return 0;
}

/* Which argument is what, for each call. */
static __always_inline void decode(struct request *req, __u8 syscall, const __u64 args[4])
{
	req->syscall = syscall;
	switch (syscall) {
	case CALL_OPEN:
		req->path = args[0];
		req->flags = args[1];
		req->mode = args[2];
		break;
	case CALL_CREAT:
		req->path = args[0];
		req->flags = 01 | 0100 | 01000; /* O_WRONLY | O_CREAT | O_TRUNC: what it implies */
		req->mode = args[1];
		break;
	case CALL_OPENAT:
		req->path = args[1];
		req->flags = args[2];
		req->mode = args[3];
		break;
	case CALL_OPENAT2:
		req->path = args[1];
		req->how = args[2];
		req->how_bytes = args[3];
		break;
	case CALL_OPEN_BY_HANDLE_AT:
		req->flags = args[2];
		break;
	}
	/* int arguments: the upper half of the register is not the program's word */
	if (syscall != CALL_OPENAT2)
		req->flags &= 0xffffffff;
}

/* The saved registers still hold the arguments at exit, but for arm64's x0. */
static __always_inline bool args_from_registers(__u64 args[4])
{
	struct pt_regs *regs;

	if (!bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_task_pt_regs))
		return false;
	regs = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
#if defined(__TARGET_ARCH_x86)
	args[0] = regs->di;
	args[1] = regs->si;
	args[2] = regs->dx;
	args[3] = regs->r10;
#elif defined(__TARGET_ARCH_arm64)
	args[0] = regs->orig_x0;
	args[1] = regs->regs[1];
	args[2] = regs->regs[2];
	args[3] = regs->regs[3];
#else
#error "ebpftop knows the registers of x86_64 and aarch64 only"
#endif
	return true;
}

static __always_inline int at_exit(__u8 syscall, long ret)
{
	struct request req = {};
	__u64 args[4] = {};
	__u64 entry_ns = 0;

	if (at_entry) {
		__u32 tid = (__u32)bpf_get_current_pid_tgid();
		struct pending *p = bpf_map_lookup_elem(&pending, &tid);

		if (p) {
			entry_ns = p->ts_ns;
			__builtin_memcpy(args, p->args, sizeof(args));
			bpf_map_delete_elem(&pending, &tid);
			decode(&req, syscall, args);
			return emit(&req, ret, entry_ns);
		}
	}
	if (args_from_registers(args))
		decode(&req, syscall, args);
	else
		req.syscall = syscall;
	return emit(&req, ret, 0);
}

#define AT_EXIT(name, call)                                                                        \
	SEC("tracepoint/syscalls/sys_exit_" #name)                                                 \
	int exit_##name(struct trace_event_raw_sys_exit *ctx)                                      \
	{                                                                                          \
		return at_exit(call, ctx->ret);                                                    \
	}

AT_EXIT(open, CALL_OPEN)
AT_EXIT(openat, CALL_OPENAT)
AT_EXIT(openat2, CALL_OPENAT2)
AT_EXIT(creat, CALL_CREAT)
AT_EXIT(open_by_handle_at, CALL_OPEN_BY_HANDLE_AT)

#define AT_ENTRY(name)                                                                             \
	SEC("tracepoint/syscalls/sys_enter_" #name)                                                \
	int enter_##name(struct trace_event_raw_sys_enter *ctx)                                    \
	{                                                                                          \
		__u32 tid = (__u32)bpf_get_current_pid_tgid();                                     \
		struct pending p = {                                                               \
			.args = { ctx->args[0], ctx->args[1], ctx->args[2], ctx->args[3] },        \
			.ts_ns = bpf_ktime_get_ns(),                                               \
		};                                                                                 \
                                                                                                   \
		/* A full table shows at exit: no latency, and below 5.15 no path. */              \
		bpf_map_update_elem(&pending, &tid, &p, BPF_ANY);                                  \
		return 0;                                                                          \
	}

AT_ENTRY(open)
AT_ENTRY(openat)
AT_ENTRY(openat2)
AT_ENTRY(creat)
AT_ENTRY(open_by_handle_at)
