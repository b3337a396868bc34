/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The names of threads and processes. */
#ifndef EBPFTOP_NAMES_H
#define EBPFTOP_NAMES_H

static __always_inline void read_comm(__u8 comm[COMM_BYTES], __u64 task)
{
	__u64 at = bpf_core_field_offset(struct task_struct, comm), words[2];

	kernel_words(task, at, at + sizeof(at), words);
	__builtin_memcpy(comm, words, sizeof(words));
}

/* The names of the current thread and of its process. */
static __always_inline void read_names(struct names *names)
{
	__u64 task = bpf_get_current_task();
	__u64 leader = WORD(task_struct, task, group_leader);

	read_comm(names->comm, task);
	if (leader == task)
		__builtin_memcpy(names->process, names->comm, sizeof(names->process));
	else
		read_comm(names->process, leader);
}

#endif
