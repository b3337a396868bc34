/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Opens that have not returned: threads that are in a call since long, read on demand. */
#ifndef EBPFTOP_UNDER_WAY_H
#define EBPFTOP_UNDER_WAY_H

/* An open that has not returned after this is reported. */
#define UNDER_WAY_NS 1000000000ULL

/* One run at a time, by the reader. Twice as long as a path: two pages may hold one. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, char[2 * PATH_BYTES]);
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

/* Copies the memory that has the path, up to PATH_BYTES of it and no further than its end; the reader
 * finds the NUL. Most paths do not cross a page, and the next one may not be there. */
static __always_inline __u32 copy_path(char *to, __u64 path, struct task_struct *task)
{
	__u32 first = PATH_BYTES - (path & (PATH_BYTES - 1));

	if (!path || bpf_copy_from_user_task(to, first, (const void *)path, task, 0))
		return 0;
	if (first < PATH_BYTES &&
	    !bpf_copy_from_user_task(to + first, PATH_BYTES, (const void *)(path + first), task, 0))
		first += PATH_BYTES;
	return first < PATH_BYTES ? first : PATH_BYTES;
}

/* Sleeps where the path's page has to be read in. bpf_copy_from_user_task is kernel 5.18
 * (376040e47334), iterators that sleep are 5.16. */
SEC("iter.s/task")
int opens_under_way(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct under_way_head head = {};
	__u64 now = bpf_ktime_get_ns();
	struct request req = {};
	struct pending *kept;
	__u64 leader;
	__u32 tid;
	char *path;

	if (!task)
		return 0;
	tid = task->pid;
	kept = bpf_map_lookup_elem(&pending, &tid);
	if (!kept || !kept->ts_ns || now - kept->ts_ns < UNDER_WAY_NS || kept->ts_ns > now)
		return 0;
	head.entry_ns = kept->ts_ns;
	req.syscall = call_of(call_number(task));
	if (req.syscall == CALL_NONE)
		return 0; /* a change of files */
	decode(&req, kept->args);
	leader = WORD(task_struct, (__u64)task, group_leader);
	head.start_boottime_ns = WORD(task_struct, leader, start_boottime);
	head.tgid = task->tgid;
	head.tid = tid;
	head.uid = HALF(cred, WORD(task_struct, (__u64)task, real_cred), uid.val);
	head.syscall = req.syscall;
	bpf_probe_read_kernel(head.names.comm, sizeof(head.names.comm), task->comm);
	bpf_probe_read_kernel(head.names.process, sizeof(head.names.process),
			      (void *)(leader + bpf_core_field_offset(struct task_struct, comm)));
	path = bpf_map_lookup_elem(&under_way_path, &zero);
	if (!path) /* never: it has one element */
		return 0;
	head.path_len = copy_path(path, req.path, task);
	bpf_seq_write(ctx->meta->seq, &head, sizeof(head));
	if (head.path_len)
		bpf_seq_write(ctx->meta->seq, path, head.path_len & (2 * PATH_BYTES - 1));
	return 0;
}

#endif
