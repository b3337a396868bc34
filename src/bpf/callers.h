/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Processes that call, and the bytes that their calls returned.
 *
 * A socket's first process is in its state; each other one has an entry in `shares`. */
#ifndef EBPFTOP_CALLERS_H
#define EBPFTOP_CALLERS_H

#include "conn_records.h"

struct share {
	struct caller caller;
	__u64 reported; /* sum of its counts at the last report */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct share_key);
	__type(value, struct share);
} shares SEC(".maps");

/* Processes of one socket in `shares`: else a socket that short-lived processes inherit would fill it. */
#define SHARERS_OF_SOCKET 128

/* Calls of processes that found no room in `shares`. */
__u64 sharers_left_out = 0;

static __always_inline void copy_comm(__u8 to[16], __u64 leader)
{
	__u64 *comm = (__u64 *)to;

	comm[0] = WORD(task_struct, leader, comm);
	comm[1] = kernel_word(leader + bpf_core_field_offset(struct task_struct, comm) + 8);
}

/* The real one, in the initial user namespace. */
static __always_inline __u32 uid_of(__u64 task)
{
	return HALF(cred, WORD(task_struct, task, real_cred), uid.val);
}

static __always_inline void fill_caller(struct caller *caller, __u64 task, __u32 from)
{
	__u64 leader = WORD(task_struct, task, group_leader);

	caller->uid = uid_of(leader);
	copy_comm(caller->comm, leader);
	caller->start_boottime_ns = WORD(task_struct, leader, start_boottime);
	caller->tgid = HALF(task_struct, leader, tgid);
	caller->exec_id = (__u16)WORD(task_struct, task, self_exec_id);
	caller->is_last = 1;
	/* Last: fill_counts on another CPU, which reads it first, finds the rest or no process. */
	asm volatile("" ::: "memory");
	caller->from = from;
}

/* A process's name changes with exec and prctl, its user with exec and setuid. */
static __noinline void refresh(struct caller *caller, __u64 task, __u64 *reported)
{
	__u64 leader = WORD(task_struct, task, group_leader);
	const __u64 *old = (const __u64 *)caller->comm;
	__u64 first = WORD(task_struct, leader, comm);
	__u64 second = kernel_word(leader + bpf_core_field_offset(struct task_struct, comm) + 8);
	__u32 uid = uid_of(leader);

	if (!reported)
		return;
	caller->exec_id = (__u16)WORD(task_struct, task, self_exec_id);
	if (old[0] == first && old[1] == second && caller->uid == uid)
		return;
	copy_comm(caller->comm, leader);
	caller->uid = uid;
	*reported = 0;
}

/* As refresh, of a socket's first process. Its connection began with the name before. */
static __noinline void refresh_first(struct sock_state *state, __u64 task)
{
	__u64 begun_ns;

	if (!state)
		return;
	begun_ns = take_begun(state);
	if (begun_ns)
		write_begin(state, begun_ns);
	refresh(&state->first, task, &state->reported);
}

/* A socket that the kernel made for itself has no file. */
static __always_inline bool is_kernel_socket(__u64 sk)
{
	__u64 socket = WORD(sock, sk, sk_socket);

	return socket && !WORD(socket, socket, file);
}

static __always_inline bool is_kernel_thread(__u64 task)
{
	return HALF(task_struct, task, flags) & PF_KTHREAD;
}

/* The running process becomes the socket's first one, unless the kernel uses it. */
static __always_inline void set_first(struct sock_state *state, __u64 sk, __u64 task, __u32 from)
{
	state->kernel = is_kernel_socket(sk) || is_kernel_thread(task);
	if (!state->kernel)
		fill_caller(&state->first, task, from);
}

static __always_inline void add_counts(struct conn_counts *counts, bool tx, __u32 bytes,
				       bool stream)
{
	__sync_fetch_and_add(tx ? &counts->tx_bytes : &counts->rx_bytes, bytes);
	if (!stream)
		__sync_fetch_and_add(tx ? &counts->tx_packets : &counts->rx_packets, 1);
}

/* The counts of a process that is not the first one of its socket; NULL where there is no room. */
static __always_inline struct conn_counts *counts_of_sharer(struct sock_state *state, __u64 task,
							    __u32 tgid, __u64 start_boottime_ns,
							    __u32 from)
{
	struct share_key key = {
		.cookie = state->cookie,
		.start_boottime_ns = start_boottime_ns,
		.tgid = tgid,
	};
	struct share *share = bpf_map_lookup_elem(&shares, &key);

	if (!share) {
		struct share none = {};

		if (state->sharers_tracked >= SHARERS_OF_SOCKET)
			return NULL;
		fill_caller(&none.caller, task, from);
		if (!bpf_map_update_elem(&shares, &key, &none, BPF_NOEXIST))
			state->sharers_tracked++;
		share = bpf_map_lookup_elem(&shares, &key);
		if (!share)
			return NULL;
		state->shared = 1;
	}
	if (share->caller.exec_id != (__u16)WORD(task_struct, task, self_exec_id))
		refresh(&share->caller, task, &share->reported);
	return &share->caller.counts;
}

/* A process becomes the socket's first one; false where another one is. */
static __always_inline bool claim_first(struct sock_state *state, __u64 task, __u32 tgid,
					__u32 from)
{
	if (state->first.from != OWNER_NONE ||
	    __sync_val_compare_and_swap(&state->first.tgid, 0, tgid))
		return false;
	fill_caller(&state->first, task, from);
	return true;
}

/* Whether that process is the socket's first one. The number alone may be one of a process that
 * ended; until claim_first has filled it, there is nothing else. */
static __always_inline bool is_first(const struct sock_state *state, __u32 tgid,
				     __u64 start_boottime_ns)
{
	__u64 first = state->first.start_boottime_ns;

	return state->first.tgid == tgid && (first == start_boottime_ns || !first);
}

/* Counts a call of any process but the first one; false for a call of the kernel's. */
static __always_inline bool count_other(struct sock_state *state, __u64 sk, __u64 task, __u32 tgid,
					__u64 start_boottime_ns, bool tx, __u32 bytes)
{
	__u32 from = tx ? OWNER_SENT : OWNER_RECEIVED;
	struct conn_counts *counts;

	if (!state->kernel && is_kernel_socket(sk))
		state->kernel = 1;
	if (state->kernel || is_kernel_thread(task)) {
		state->kernel_calls = 1;
		add_counts(&state->left_out, tx, bytes, state->stream);
		return false;
	}
	if (claim_first(state, task, tgid, from) && state->passive && state->established)
		begins(state, bpf_ktime_get_ns());
	if (is_first(state, tgid, start_boottime_ns)) {
		add_counts(&state->first.counts, tx, bytes, state->stream);
		return true;
	}
	counts = counts_of_sharer(state, task, tgid, start_boottime_ns, from);
	if (!counts) {
		__sync_fetch_and_add(&sharers_left_out, 1);
		add_counts(&state->left_out, tx, bytes, state->stream);
		return true;
	}
	add_counts(counts, tx, bytes, state->stream);
	__sync_fetch_and_add(&state->sharers_sum, bytes + 1);
	state->last_start_boottime_ns = start_boottime_ns;
	state->last_tgid = tgid;
	state->first.is_last = 0;
	return true;
}

#endif
