/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Opens that have not returned: threads that are in a call since long, read on demand. */
#ifndef EBPFTOP_UNDER_WAY_H
#define EBPFTOP_UNDER_WAY_H

/* One run at a time, by the reader. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, char[PATH_BYTES]);
} under_way_path SEC(".maps");

/* The number of the call that a thread is in. */
static __always_inline __u32 call_number(struct task_struct *task)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);

#if defined(__TARGET_ARCH_x86)
	return regs->orig_ax;
#elif defined(__TARGET_ARCH_arm64)
	return regs->syscallno;
#endif
}

/* The path as the kernel has copied it, which it has while it looks the file up and opens it
 * (fs/namei.c, set_nameidata). The thread's own memory may be a page that does not come. */
static __always_inline __u32 path_looked_up(char *to, __u64 task)
{
	__u64 name = WORD(nameidata, WORD(task_struct, task, nameidata), name);
	long n;

	name = WORD(filename, name, name);
	n = name ? bpf_probe_read_kernel_str(to, PATH_BYTES, (const void *)name) : 0;
	return n > 1 && n <= PATH_BYTES ? n - 1 : 0;
}

SEC("iter/task")
int opens_under_way(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct under_way_head head = {};
	__u64 now = bpf_ktime_get_ns();
	struct pending *kept;
	__u64 leader;
	__u32 tid;
	char *path;

	if (!task || (own_tgid && (__u32)task->tgid == own_tgid))
		return 0;
	tid = task->pid;
	kept = bpf_map_lookup_elem(&pending, &tid);
	if (!kept || !kept->ts_ns || now - kept->ts_ns < UNDER_WAY_NS || kept->ts_ns > now)
		return 0;
	head.entry_ns = kept->ts_ns;
	head.syscall = call_of(call_number(task));
	if (head.syscall == CALL_NONE)
		return 0; /* a change of files */
	leader = WORD(task_struct, (__u64)task, group_leader);
	head.start_boottime_ns = WORD(task_struct, leader, start_boottime);
	head.tgid = task->tgid;
	head.tid = tid;
	head.uid = HALF(cred, WORD(task_struct, (__u64)task, real_cred), uid.val);
	bpf_probe_read_kernel(head.names.comm, sizeof(head.names.comm), task->comm);
	bpf_probe_read_kernel(head.names.process, sizeof(head.names.process),
			      (void *)(leader + bpf_core_field_offset(struct task_struct, comm)));
	path = bpf_map_lookup_elem(&under_way_path, &zero);
	if (!path) /* never: it has one element */
		return 0;
	head.path_len = path_looked_up(path, (__u64)task);
	bpf_seq_write(ctx->meta->seq, &head, sizeof(head));
	if (head.path_len)
		bpf_seq_write(ctx->meta->seq, path, head.path_len & (PATH_BYTES - 1));
	return 0;
}

#endif
