/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The arguments of an open, from the saved registers or from its entry. */
#ifndef EBPFTOP_REQUEST_H
#define EBPFTOP_REQUEST_H

/* Use no helper that kernel 5.10 lacks, whatever this one has: for benches and tests. */
const volatile bool as_on_510 = false;

/* Arguments of a call that are read: no call has more that count. */
#define CALL_ARGS 5

struct request {
	__u64 path; /* user pointer, 0 where there is none */
	__u64 flags;
	__u64 how; /* user pointer to struct open_how, openat2 alone */
	__u64 resolve; /* openat2's RESOLVE_ bits */
	__s32 dirfd;
	__u32 mode;
	__u8 syscall;
	bool known; /* false: all but the call is not */
};

/* Arguments kept from entry to exit. A thread keeps its place until it ends: filling one that is
 * there costs less than making and removing one. */
struct pending {
	__u64 ts_ns; /* 0: of no call that is under way */
	__u64 args[CALL_ARGS];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32); /* tid */
	__type(value, struct pending);
} pending SEC(".maps");

static const __u32 zero = 0;

/* The call behind a system call's number. */
static __always_inline __u8 call_of(__u32 nr)
{
	switch (nr) {
#if defined(__TARGET_ARCH_x86) /* arch/x86/entry/syscalls/syscall_64.tbl */
	case 2:
		return CALL_OPEN;
	case 85:
		return CALL_CREAT;
	case 257:
		return CALL_OPENAT;
	case 304:
		return CALL_OPEN_BY_HANDLE_AT;
#elif defined(__TARGET_ARCH_arm64) /* include/uapi/asm-generic/unistd.h */
	case 56:
		return CALL_OPENAT;
	case 265:
		return CALL_OPEN_BY_HANDLE_AT;
#else
#error "ebpftop knows x86_64 and aarch64 only"
#endif
	case 437:
		return CALL_OPENAT2;
	}
	return CALL_NONE;
}

/* Which argument is what. An int is the lower half of its register: the upper half is not the
 * program's word. */
static __always_inline void decode(struct request *req, const __u64 args[CALL_ARGS])
{
	req->known = true;
	req->dirfd = -100; /* AT_FDCWD */
	switch (req->syscall) {
	case CALL_OPEN:
		req->path = args[0];
		req->flags = (__u32)args[1];
		req->mode = args[2];
		break;
	case CALL_CREAT:
		req->path = args[0];
		req->flags = 01 | 0100 | 01000; /* O_WRONLY | O_CREAT | O_TRUNC: what it implies */
		req->mode = args[1];
		break;
	case CALL_OPENAT:
		req->dirfd = args[0];
		req->path = args[1];
		req->flags = (__u32)args[2];
		req->mode = args[3];
		break;
	case CALL_OPENAT2:
		req->dirfd = args[0];
		req->path = args[1];
		req->how = args[2];
		break;
	case CALL_OPEN_BY_HANDLE_AT:
		req->flags = (__u32)args[2];
		break;
	}
}

/* The saved registers still hold the arguments at exit, but for arm64's x0. */
static __always_inline bool args_from_registers(__u64 args[CALL_ARGS])
{
	struct pt_regs *regs;

	if (as_on_510 || !bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_task_pt_regs))
		return false;
	regs = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
#if defined(__TARGET_ARCH_x86)
	args[0] = regs->di;
	args[1] = regs->si;
	args[2] = regs->dx;
	args[3] = regs->r10;
	args[4] = regs->r8;
#elif defined(__TARGET_ARCH_arm64)
	args[0] = regs->orig_x0;
	args[1] = regs->regs[1];
	args[2] = regs->regs[2];
	args[3] = regs->regs[3];
	args[4] = regs->regs[4];
#endif
	return true;
}

/* A full table shows at exit: no latency, and below 5.15 no path.
 *
 * The arguments are read by the helper: a load beyond those that a call has (open has three) would
 * make the kernel refuse to attach there (perf_event_set_bpf_prog). The place for six is there
 * for every call (kernel/trace/trace_syscalls.c, perf_call_bpf_enter); decode() takes those that
 * the call has. */
static __always_inline void keep_pending(struct trace_event_raw_sys_enter *ctx)
{
	__u32 tid = (__u32)bpf_get_current_pid_tgid();
	struct pending *kept = bpf_map_lookup_elem(&pending, &tid);
	struct pending p = {};

	if (!kept)
		kept = &p;
	if (bpf_probe_read_kernel(kept->args, sizeof(kept->args), ctx->args))
		return;
	kept->ts_ns = bpf_ktime_get_ns();
	if (kept == &p)
		bpf_map_update_elem(&pending, &tid, &p, BPF_ANY);
}

static __always_inline bool take_pending(__u64 args[CALL_ARGS], __u64 *entry_ns)
{
	__u32 tid = (__u32)bpf_get_current_pid_tgid();
	struct pending *p = bpf_map_lookup_elem(&pending, &tid);

	if (!p || !p->ts_ns)
		return false;
	*entry_ns = p->ts_ns;
	p->ts_ns = 0;
	__builtin_memcpy(args, p->args, sizeof(p->args));
	return true;
}

/* The arguments of the call that returns now, and when it was entered where that is known (else 0). The
 * entry may be of an earlier call whose exit was missed: registers come first. */
static __always_inline bool args_at_exit(__u64 args[CALL_ARGS], __u64 *entry_ns)
{
	bool kept = at_entry && take_pending(args, entry_ns);

	return args_from_registers(args) || kept;
}

/* The current thread ends. */
static __always_inline void drop_pending(void)
{
	__u32 tid = (__u32)bpf_get_current_pid_tgid();

	bpf_map_delete_elem(&pending, &tid);
}

/* Flags and mode; openat2 has them in memory of the program. */
static __always_inline void fill_how(struct open_head *head, struct request *req)
{
	struct open_how how = {};

	head->flags = req->flags;
	head->mode = req->mode;
	if (req->syscall == CALL_OPENAT2) {
		/* all three have been there from the first version on (OPEN_HOW_SIZE_VER0 is 24) */
		if (!req->how || bpf_probe_read_user(&how, sizeof(how), (const void *)req->how))
			return;
		head->flags = how.flags;
		head->mode = how.mode;
		req->resolve = how.resolve;
	}
	head->bits |= OPEN_HAS_FLAGS;
}

#endif
