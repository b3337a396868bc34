/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Starts of programs and ends of processes, as records of their own where the reader asks for them. */
#ifndef EBPFTOP_PROCESS_H
#define EBPFTOP_PROCESS_H

/* Whether starts and ends are reported, and not only which process has ended. */
const volatile bool report_processes = false;

/* An argument list is cut here. */
#define ARGS_BYTES (PATH_BYTES - 1)

#define SIGNAL_GROUP_EXIT 0x4 /* include/linux/sched/signal.h */

/* One user a CPU: see preempt.h. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct open_record);
} exec_scratch SEC(".maps");

/* Time, user and names of the current process; false where it is not wanted. */
static __always_inline bool begin_process(struct open_head *head)
{
	head->ts_ns = bpf_ktime_get_ns();
	if (!report_processes || !in_window(head->ts_ns))
		return false;
	head->uid = (__u32)bpf_get_current_uid_gid();
	read_names(&head->names);
	/* An error: a choice of failed opens is about opens. */
	return wanted(-1, head->uid, &head->names);
}

static __always_inline void count_lost_process(void)
{
	struct open_counts *count = own_counts();

	if (count)
		count->processes_lost++;
}

/* The time since the process was made. */
static __always_inline __u64 age_of(const struct open_head *head)
{
	return bpf_ktime_get_boot_ns() - head->start_boottime_ns;
}

static __always_inline int emit_exec(enum repeat repeat)
{
	struct open_record *rec = bpf_map_lookup_elem(&exec_scratch, &zero);
	__u64 words[2], mm, bytes;

	if (!rec || !begin_process(&rec->head))
		return 0;
	fill_head(&rec->head, CALL_NONE);
	rec->head.record = RECORD_EXEC;
	rec->head.ret = 0;
	rec->head.mode = 0;
	rec->head.latency_ns = age_of(&rec->head);
	mm = WORD(task_struct, bpf_get_current_task(), mm);
	WORDS(mm_struct, mm, arg_start, arg_end, words);
	bytes = words[1] - words[0];
	if (bytes > ARGS_BYTES)
		bytes = ARGS_BYTES;
	rec->head.path_len = 0;
	if (!bpf_probe_read_user(rec->path, bytes, (const void *)words[0])) {
		rec->head.path_len = bytes;
		rec->head.bits |= OPEN_HAS_PATH;
	}
	rec->head.flags = 0;
	place_opened(&rec->head, WORD(mm_struct, mm, exe_file), repeat);
	rec->head.flags = words[1] - words[0];
	if (write_record(rec, OPEN_HEAD_BYTES + (rec->head.path_len & (PATH_BYTES - 1))))
		count_lost_process();
	return 0;
}

SEC("raw_tp/sched_process_exec")
int process_exec(void *ctx)
{
	(void)ctx;
	return ALONE(emit_exec(BY_LOOP));
}

SEC("?raw_tp/sched_process_exec")
int process_exec_516(void *ctx)
{
	(void)ctx;
	return ALONE(emit_exec(BY_CALL));
}

/* The status that wait() reports (kernel/exit.c, wait_task_zombie). */
static __always_inline __u32 status_of(__u64 signal, __u64 leader)
{
	if (HALF(signal_struct, signal, flags) & SIGNAL_GROUP_EXIT)
		return HALF(signal_struct, signal, group_exit_code);
	return HALF(task_struct, leader, exit_code);
}

/* The last thread of a process ends: signal->live is counted down before (kernel/exit.c). */
static __always_inline int emit_exit(void)
{
	__u64 task = bpf_get_current_task(), signal, leader;
	struct exit_record rec = { .record = RECORD_EXIT };
	struct open_head head = {};

	if (at_entry)
		drop_pending();
	signal = WORD(task_struct, task, signal);
	if (HALF(signal_struct, signal, live.counter))
		return 0;
	leader = WORD(task_struct, task, group_leader);
	if (begin_process(&head)) {
		fill_head(&head, CALL_NONE);
		head.record = RECORD_ENDED;
		head.latency_ns = age_of(&head);
		head.mode = status_of(signal, leader);
		if (!write_record(&head, OPEN_HEAD_BYTES))
			return 0;
		count_lost_process();
	}
	rec.tgid = bpf_get_current_pid_tgid() >> 32;
	rec.ts_ns = bpf_ktime_get_ns();
	rec.start_boottime_ns = WORD(task_struct, leader, start_boottime);
	/* A record without room is not counted: the reader finds out by asking for the pid. */
	write_record(&rec, EXIT_BYTES);
	return 0;
}

SEC("raw_tp/sched_process_exit")
int process_exit(void *ctx)
{
	(void)ctx;
	return ALONE(emit_exit());
}

#endif
