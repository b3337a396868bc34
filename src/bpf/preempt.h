/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Keeps what a CPU has one of, such as the scratch records, for one run of a program at a time.
 *
 * Kernels from 7.2 on run the programs of system calls and raw tracepoints preemptibly (trace_call_bpf_faultable,
 * kernel/trace/bpf_trace.c; __DECLARE_TRACE, include/linux/tracepoint.h): another task may run another program on
 * the same CPU in between. Older ones run them with preemption off, and newer ones those of other tracepoints.
 *
 * Without kfuncs, as with types from a file, nothing keeps another program out. */
#ifndef EBPFTOP_PREEMPT_H
#define EBPFTOP_PREEMPT_H

#ifndef WITHOUT_KFUNCS
struct trace_event_call {
};
/* The kernel has this function where the programs of system calls are preempted. It is not called. */
extern unsigned int trace_call_bpf_faultable(struct trace_event_call *call,
					     void *ctx) __ksym __weak;
extern void bpf_preempt_disable(void) __ksym __weak; /* kernel 6.10 */
extern void bpf_preempt_enable(void) __ksym __weak;
#define IS_PREEMPTED                                                                               \
	(bpf_ksym_exists(trace_call_bpf_faultable) && bpf_ksym_exists(bpf_preempt_disable))
#endif

static __always_inline void preempt_off(void)
{
#ifndef WITHOUT_KFUNCS
	if (IS_PREEMPTED)
		bpf_preempt_disable();
#endif
}

/* Before the program returns. */
static __always_inline void preempt_on(void)
{
#ifndef WITHOUT_KFUNCS
	if (IS_PREEMPTED)
		bpf_preempt_enable();
#endif
}

/* A program's body with the CPU to itself. */
#define ALONE(body)                                                                                \
	({                                                                                         \
		preempt_off();                                                                     \
		body;                                                                              \
		preempt_on();                                                                      \
		0;                                                                                 \
	})

#endif
