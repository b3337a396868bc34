/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Calls on files that have not returned, with --slow: threads that are in one since long, read on demand
 * from the times that the programs keep anyway. */
#ifndef EBPFTOP_IO_UNDER_WAY_H
#define EBPFTOP_IO_UNDER_WAY_H

/* Not the per-CPU record of the other programs: these may run in between. One run at a time, by the
 * reader. `fold_text` has one a CPU: a name that another program overwrites there gives another key, and
 * copy_names, which compares, no name. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct name_record);
} under_way_name SEC(".maps");

/* Copies the names of an open file of a task; their meaning, RESOLVED_NONE where they are not known. */
static __always_inline __u8 name_file(struct name_record *name, __u64 file, __u64 task)
{
	bool unnamed = WORD(file, file, f_flags) & O_TMPFILE_BIT, anon;
	__u64 dentry = 0, mnt = 0;
	__u8 kind = located(file, unnamed, &dentry, &mnt);
	struct walk w = {};

	if (!dentry || !mnt)
		return RESOLVED_NONE;
	walk_from(&w, dentry, mnt, 0);
	walk_up(&w, 0, BY_LOOP);
	anon = !in_mount_ns_of(&w, task);
	if (anon && (w.end == WALK_ON || w.end == WALK_FAILED || !is_internal(&w)))
		return RESOLVED_NONE;
	name->head.record = RECORD_NAME;
	name->head.epoch = 0;
	name->head.key = w.key | 1;
	if (!copy_names(name, &w, dentry, mnt, name->head.key, 0, task, anon, BY_LOOP))
		return RESOLVED_NONE;
	return anon ? RESOLVED_ANON : kind;
}

/* Writes a file of a call, if it is of a type that is counted, or unknown since the descriptor was closed
 * during the call, and the call has not returned meanwhile. */
static __always_inline void write_wait(struct seq_file *seq, struct io_under_way_head *head,
				       __u64 task, __s32 fd, volatile __u64 *at)
{
	struct name_record *name = bpf_map_lookup_elem(&under_way_name, &zero);
	__u64 file = fd == NO_FD ? 0 : file_of_task(task, fd);

	if (!name || fd == NO_FD)
		return;
	head->type = file ? type_of(file) : IO_TYPE_UNKNOWN;
	if (file && head->type != TYPE_REGULAR && !every_type)
		return;
	head->resolved = file ? name_file(name, file, task) : RESOLVED_NONE;
	head->name_bytes = 0;
	if (head->resolved != RESOLVED_NONE)
		head->name_bytes = NAME_HEAD_BYTES + (name->head.names_len & (PATH_BYTES - 1));
	if (*at != head->entry_ns)
		return;
	bpf_seq_write(seq, head, sizeof(*head));
	if (head->name_bytes)
		bpf_seq_write(seq, name,
			      NAME_HEAD_BYTES + (name->head.names_len & (PATH_BYTES - 1)));
}

SEC("?iter/task")
int io_under_way(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct io_under_way_head head = {};
	__u64 now = bpf_ktime_get_ns(), leader, regs;
	volatile __u64 *at;
	enum shape shape;
	__s32 from, to;

	if (!task)
		return 0;
	at = bpf_task_storage_get(&began, task, 0, 0);
	if (!at)
		return 0;
	head.entry_ns = *at;
	if (!head.entry_ns || head.entry_ns > now || now - head.entry_ns < slow_ns ||
	    now - head.entry_ns < UNDER_WAY_NS)
		return 0;
	regs = (__u64)bpf_task_pt_regs(task);
	head.call = CALL_NUMBER(regs);
	shape = shape_of(head.call);
	if (shape == NEITHER)
		return 0;
	leader = WORD(task_struct, (__u64)task, group_leader);
	head.start_boottime_ns = WORD(task_struct, leader, start_boottime);
	head.cgroup_id = cgroup_of_task((__u64)task);
	head.tgid = task->tgid;
	head.tid = task->pid;
	head.uid = HALF(cred, WORD(task_struct, (__u64)task, real_cred), uid.val);
	read_comm(head.names.comm, (__u64)task);
	read_comm(head.names.process, leader);
	descriptors(shape, regs, &from, &to);
	write_wait(ctx->meta->seq, &head, (__u64)task, from, at);
	head.writes = 1;
	write_wait(ctx->meta->seq, &head, (__u64)task, to, at);
	return 0;
}

#endif
