// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* Processes that hold a file now, one record for each hold: descriptors, working directories, roots,
 * executables, mappings. Iterators, read on demand: nothing is attached to what others do. */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include "held.h"
#include "kernel.h"
#include "cgroup.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* FMODE_BACKING of include/linux/fs.h: bit 25 from kernel 6.6 on, bit 24 from 6.14. Each is another
 * flag on the other kernels, so a file that has one is not yet known to be a backing file. */
#define FMODE_MAYBE_BACKING (3 << 24)

/* Set by the reader before a run: its descriptor of the file that is asked for. The file is recognised
 * by its inode in memory, since what stat says of it differs by file system (overlayfs, btrfs). */
__u32 wanted_fd = 0;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, char[HELD_PATH_BYTES]);
} scratch SEC(".maps");

/* The file of the last mapping: neighbours are mostly parts of one file. Cleared by the reader before a
 * run. */
__u64 last_task = 0, last_mapped = 0;

/* The inode that is asked for. An iterator runs in the task that reads it: the current one is the
 * reader's, here and in fill(). */
static __always_inline __u64 wanted_inode(void)
{
	__u64 files, fdt, file;

	files = WORD(task_struct, bpf_get_current_task(), files);
	fdt = WORD(files_struct, files, fdt);
	file = kernel_word(WORD(fdtable, fdt, fd) + (__u64)wanted_fd * sizeof(__u64));
	return WORD(file, file, f_inode);
}

/* Fills in the head; false for another inode, and for the reader, which holds the one asked for. */
static __always_inline bool fill(struct held_head *head, __u64 task, __u64 inode, __u64 dentry)
{
	__u64 leader, words[2];
	__u32 tgid = HALF(task_struct, task, tgid);

	if (!inode || tgid == bpf_get_current_pid_tgid() >> 32 || inode != wanted_inode())
		return false;
	leader = WORD(task_struct, task, group_leader);
	head->tgid = tgid;
	head->start_boottime_ns = WORD(task_struct, leader, start_boottime);
	head->uid = HALF(cred, WORD(task_struct, leader, real_cred), uid.val);
	bpf_probe_read_kernel(head->process, sizeof(head->process),
			      (void *)(leader + bpf_core_field_offset(struct task_struct, comm)));
	head->cgroup_id = cgroup_of_task(task);
	WORDS(dentry, dentry, d_hash.pprev, d_parent, words);
	/* an anonymous file has no name, and is its own parent */
	head->deleted = !words[0] && words[1] != dentry;
	return true;
}

/* Not 0 where there was no room: the kernel then comes with the same element again. */
static __always_inline long write_head(struct seq_file *seq, struct held_head *head)
{
	return bpf_seq_write(seq, head, sizeof(*head));
}

/* The same with a path of so many bytes, the NUL included; none where it could not be read. */
static __always_inline void write_with_path(struct seq_file *seq, struct held_head *head,
					    const char *path, long bytes)
{
	if (bytes > 1 && bytes <= HELD_PATH_BYTES)
		head->path_len = bytes - 1;
	if (!write_head(seq, head) && head->path_len)
		bpf_seq_write(seq, path, head->path_len & (HELD_PATH_BYTES - 1));
}

/* Fills in the head of a descriptor; false where it is not to be reported. */
static __always_inline bool fill_descriptor(struct held_head *head, struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;

	if (!task || !file ||
	    !fill(head, (__u64)task, (__u64)file->f_inode, (__u64)file->f_path.dentry))
		return false;
	head->as = HELD_DESCRIPTOR;
	head->fd = ctx->fd;
	head->flags = file->f_flags;
	head->offset = file->f_pos;
	return true;
}

SEC("iter/task_file")
int held_descriptors(struct bpf_iter__task_file *ctx)
{
	struct file *file = ctx->file;
	struct held_head head = {};
	__u32 zero = 0;
	char *path;

	if (!file || !fill_descriptor(&head, ctx))
		return 0;
	path = bpf_map_lookup_elem(&scratch, &zero);
	if (path) /* always: it has one element a CPU */
		write_with_path(ctx->meta->seq, &head, path,
				bpf_d_path(&file->f_path, path, HELD_PATH_BYTES));
	return 0;
}

/* The same without paths: kernel 5.10 refuses bpf_d_path to iterators. */
SEC("?iter/task_file")
int held_fds(struct bpf_iter__task_file *ctx)
{
	struct held_head head = {};

	if (fill_descriptor(&head, ctx))
		write_head(ctx->meta->seq, &head);
	return 0;
}

/* A file that a task has by a path: without its name, which the reader has. */
static __always_inline void write_place(struct seq_file *seq, __u64 task, __u64 dentry, __u8 as)
{
	struct held_head head = {};

	if (!dentry || !fill(&head, task, WORD(dentry, dentry, d_inode), dentry))
		return;
	head.as = as;
	write_head(seq, &head);
}

SEC("iter/task")
int held_places(struct bpf_iter__task *ctx)
{
	struct task_struct *at = ctx->task;
	__u64 task = (__u64)at, leader, fs, file;

	if (!at)
		return 0;
	/* Threads share both, but for those that did without (CLONE_FS). */
	leader = WORD(task_struct, task, group_leader);
	fs = WORD(task_struct, task, fs);
	if (task != leader && fs == WORD(task_struct, leader, fs))
		return 0;
	if (fs) {
		write_place(ctx->meta->seq, task, WORD(fs_struct, fs, pwd.dentry), HELD_CWD);
		write_place(ctx->meta->seq, task, WORD(fs_struct, fs, root.dentry), HELD_ROOT);
	}
	file = WORD(mm_struct, WORD(task_struct, task, mm), exe_file);
	if (task == leader && file)
		write_place(ctx->meta->seq, task, WORD(file, file, f_path.dentry), HELD_EXECUTABLE);
	return 0;
}

SEC("iter/task_vma")
int held_mappings(struct bpf_iter__task_vma *ctx)
{
	struct vm_area_struct *vma = ctx->vma;
	struct task_struct *task = ctx->task;
	struct held_head head = {};
	__u64 file, dentry;

	if (!task || !vma)
		return 0;
	file = (__u64)vma->vm_file;
	if (!file || (file == last_mapped && (__u64)task == last_task))
		return 0;
	last_task = (__u64)task;
	last_mapped = file;
	dentry = WORD(file, file, f_path.dentry);
	if (!fill(&head, (__u64)task, WORD(dentry, dentry, d_inode), dentry)) {
		/* A mapped file of overlayfs is that of the layer; the path that was opened stands behind
		 * it (fs/file_table.c, struct backing_file). */
		if (!bpf_core_field_exists(struct backing_file, user_path) ||
		    !(HALF(file, file, f_mode) & FMODE_MAYBE_BACKING))
			return 0;
		dentry = WORD(backing_file, file, user_path.dentry);
		if (!fill(&head, (__u64)task, WORD(dentry, dentry, d_inode), dentry))
			return 0;
	}
	head.as = HELD_MAPPED;
	if (write_head(ctx->meta->seq, &head))
		last_mapped = 0;
	return 0;
}

/* Puts the types into the object's BTF, from which Rust takes them. */
const struct held_head *unused_head __attribute__((unused));
const enum held_as *unused_as __attribute__((unused));
