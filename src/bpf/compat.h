/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Opens by 32-bit calls: syscall tracepoints leave those out (kernel/trace/trace_syscalls.c,
 * arch_trace_is_compat_syscall).
 *
 * A probe on the return of the functions that only such calls enter (kprobe.multi, kernel 5.18, where
 * it is built in) sees each of them, by 64-bit programs too, and costs no other call anything. Calls
 * that seccomp refuses do not get there.
 * Without it the raw sys_exit tracepoint sees them, at a price for every system call of the machine.
 * So it is attached only while a 32-bit process lives: the exec program and the iterator find those.
 * 32-bit calls of 64-bit programs (int $0x80) are not seen then. */
#ifndef EBPFTOP_COMPAT_H
#define EBPFTOP_COMPAT_H

/* 32-bit address spaces end here (TASK_SIZE of x86's IA32 and arm64's AArch32 tasks). */
#define COMPAT_TASK_SIZE (1ULL << 32)

static __always_inline bool is_compat(struct task_struct *task)
{
	__u64 size = BPF_CORE_READ(task, mm, task_size);

	return size && size <= COMPAT_TASK_SIZE;
}

SEC("raw_tp/sched_process_exec")
int compat_exec(void *ctx)
{
	struct exit_record rec = { .record = RECORD_COMPAT };

	(void)ctx;
	if (!is_compat((struct task_struct *)bpf_get_current_task()))
		return 0;
	rec.tgid = bpf_get_current_pid_tgid() >> 32;
	rec.ts_ns = bpf_ktime_get_ns();
	write_record(&rec, EXIT_BYTES);
	return 0;
}

/* A byte for each 32-bit task there is. */
SEC("iter/task")
int compat_tasks(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	__u8 one = 1;

	if (!task)
		return 0;
	barrier_var(task); /* no arithmetic on it before the check */
	if (is_compat(task))
		bpf_seq_write(ctx->meta->seq, &one, sizeof(one));
	return 0;
}

static __always_inline __u8 compat_call_of(__u32 nr)
{
	switch (nr) {
	case 5:
		return CALL_OPEN;
	case 8:
		return CALL_CREAT;
#if defined(__TARGET_ARCH_x86) /* arch/x86/entry/syscalls/syscall_32.tbl */
	case 295:
		return CALL_OPENAT;
	case 342:
		return CALL_OPEN_BY_HANDLE_AT;
#elif defined(__TARGET_ARCH_arm64) /* arch/arm/tools/syscall.tbl */
	case 322:
		return CALL_OPENAT;
	case 371:
		return CALL_OPEN_BY_HANDLE_AT;
#endif
	case 437:
		return CALL_OPENAT2;
	}
	return CALL_NONE;
}

#define TS_COMPAT 2 /* arch/x86/include/asm/thread_info.h: a 32-bit call is under way */
#define PSR_MODE32_BIT 0x10 /* arch/arm64/include/uapi/asm/ptrace.h */

/* A call of the current task returned `ret`; `regs` are its saved registers. */
static __always_inline int emit_compat(__u64 regs, long ret, enum repeat repeat)
{
	__u64 args[CALL_ARGS] = {};
	struct request req = {};
	__u32 nr;

#if defined(__TARGET_ARCH_x86)
	if (!(HALF(task_struct, bpf_get_current_task(), thread_info.status) & TS_COMPAT))
		return 0;
	nr = WORD(pt_regs, regs, orig_ax);
	args[0] = WORD(pt_regs, regs, bx);
	args[1] = WORD(pt_regs, regs, cx);
	args[2] = WORD(pt_regs, regs, dx);
	args[3] = WORD(pt_regs, regs, si);
#elif defined(__TARGET_ARCH_arm64)
	if (!(WORD(pt_regs, regs, pstate) & PSR_MODE32_BIT))
		return 0;
	nr = HALF(pt_regs, regs, syscallno);
	args[0] = WORD(pt_regs, regs, orig_x0);
	args[1] = WORD(pt_regs, regs, regs[1]);
	args[2] = WORD(pt_regs, regs, regs[2]);
	args[3] = WORD(pt_regs, regs, regs[3]);
#endif
	req.syscall = compat_call_of(nr);
	if (req.syscall == CALL_NONE)
		return 0;
	for (nr = 0; nr < 4; nr++)
		args[nr] = (__u32)args[nr];
	decode(&req, args);
	return emit(&req, ret, 0, repeat);
}

/* Attached to the functions of all 32-bit calls that open. Preemption is off there
 * (kernel/trace/bpf_trace.c, kprobe_multi_link_prog_run). */
SEC("?kretprobe.multi")
int compat_return(struct pt_regs *ctx)
{
	__u64 regs = (__u64)bpf_task_pt_regs(bpf_get_current_task_btf());

#if defined(__TARGET_ARCH_x86)
	return emit_compat(regs, (long)BPF_CORE_READ(ctx, ax), BY_LOOP);
#elif defined(__TARGET_ARCH_arm64)
	return emit_compat(regs, (long)BPF_CORE_READ(ctx, regs[0]), BY_LOOP);
#endif
}

SEC("raw_tp/sys_exit")
int compat_exit(struct bpf_raw_tracepoint_args *ctx)
{
	return ALONE(emit_compat(ctx->args[0], (long)ctx->args[1], BY_LOOP));
}

SEC("?raw_tp/sys_exit")
int compat_exit_516(struct bpf_raw_tracepoint_args *ctx)
{
	return ALONE(emit_compat(ctx->args[0], (long)ctx->args[1], BY_CALL));
}

#endif
