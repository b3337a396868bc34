// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* Connections, their processes, and the bytes that they carry.
 *
 * Bytes are counted where a process calls: the tracepoints at the end of sendmsg and recvmsg (kernel
 * 6.3, 6e6eda44b939) run in its context with what the call returns, for every protocol. Below that
 * kernel bytes are TCP's own counters, read when the reader walks and at a connection's end. A
 * connection is followed from the start of its handshake until TCP and its processes have closed it,
 * and its end is reported with its last counts, however short it was.
 *
 * The programs on the root cgroup hang beside those of others (BPF_F_ALLOW_MULTI) and let everything
 * pass. The compare-and-swap and cookies in tracing programs are kernel 5.12 (5ffa25502b5a,
 * c5dbb89fc2ac). */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "walk.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Set by the reader: `holders` makes a state for connections that have none. */
bool seeding = false;
/* Set by the reader: the number of this run of `holders`, from 1. */
__u32 holders_run = 0;

#define NS_PER_US 1000

static __always_inline bool is_connection(__u8 state)
{
	return state != TCP_LISTEN && state != TCP_SYN_RECV && state != TCP_CLOSE;
}

/* A subflow's bytes are counted at its MPTCP socket. */
static __always_inline bool is_subflow(__u64 sk)
{
	return bpf_core_field_exists(struct tcp_sock, is_mptcp) &&
	       (__u8)WORD(tcp_sock, sk, is_mptcp);
}

/* No process has it any more. A process that closes a socket with unread bytes has TCP at CLOSE before
 * SOCK_DEAD. */
static __always_inline bool is_released(const struct sock_state *state, __u64 addr)
{
	return state->released || WORD(sock, addr, __sk_common.skc_flags) & (1 << SOCK_DEAD);
}

/* A connection is at CLOSE. */
static __always_inline void tcp_closes(struct sock_state *state, __u64 addr, int from)
{
	__u32 error = HALF(sock, addr, sk_err);
	bool by_itself = state->tcp && closes_by_itself(addr, from, error);
	__u64 now = change_ns(addr, by_itself, state->since_ns);

	state->error = error;
	if (!state->established) {
		read_ids(&state->ids, addr);
		/* The kernel may have skipped the program at ESTABLISHED. */
		state->established = state->tcp && from != TCP_SYN_SENT && from != TCP_SYN_RECV;
	}
	if (!state->established) {
		keep_totals(addr, state, TCP_SYN_SENT, now);
		end_state(state, state->cookie, 0, now);
		return;
	}
	/* Else processes may read on until they close it: see sock_released. */
	if (!counts_calls || (state->tcp && is_released(state, addr)))
		end_state(state, state->cookie, 0, now);
	else
		keep_totals(addr, state, from, now);
}

/* `typed`: `sk` is a pointer that helpers take, see tcp_state_raw. */
static __always_inline int tcp_changes(struct sock *sk, int from, int to, const bool typed)
{
	__u64 addr = (__u64)sk, cookie = WORD(sock, addr, __sk_common.skc_cookie.counter);
	struct sock_state *state = NULL;
	bool is_new = false;
	__u16 protocol;
	__u64 now;

	if (to != TCP_ESTABLISHED && to != TCP_SYN_SENT && to != TCP_CLOSE)
		return 0;
	protocol = (__u16)WORD(sock, addr, sk_protocol);
	if (protocol != IPPROTO_TCP && (protocol != IPPROTO_MPTCP || !counts_calls))
		return 0;
	if (cookie || !typed)
		state = own_state(sk, cookie);
	if (to == TCP_CLOSE) {
		if (state && !state->old_state)
			tcp_closes(state, addr, from);
		return 0;
	}
	/* The socket connects again, or is another one at this address. */
	if (state &&
	    (state->old_state || to == TCP_SYN_SENT || (state->tcp && state->established))) {
		end_state(state, state->cookie, state->old_state ? 0 : CONN_UNSEEN, 0);
		state = NULL;
	}
	if (!state) {
		if (to == TCP_ESTABLISHED && from == TCP_SYN_SENT)
			return 0; /* counted as left out when its connect() began */
		if (protocol == IPPROTO_TCP && counts_calls && is_subflow(addr))
			return 0;
		if (typed)
			cookie = bpf_get_socket_cookie(sk);
		else if (!cookie)
			cookie = made_up_cookie();
		state = new_state(sk, cookie);
		if (!state || state->cookie)
			return 0;
		is_new = true;
		state->tcp = protocol == IPPROTO_TCP;
		state->stream = 1;
		state->passive = to == TCP_ESTABLISHED;
		if (!state->passive)
			state->base.tx_bytes = 1; /* the SYN */
		if (state->tcp)
			set_quality_base(state, addr);
	}
	/* The packet that ends a handshake has a time of its own. */
	now = change_ns(addr, state->tcp && to == TCP_ESTABLISHED, state->since_ns);
	if (from == TCP_SYN_SENT && state->since_ns)
		state->connect_us = (now - state->since_ns) / NS_PER_US;
	state->since_ns = now;
	if (to == TCP_SYN_SENT) {
		/* inside connect() */
		set_first(state, addr, bpf_get_current_task(), OWNER_MADE);
	} else {
		read_ids(&state->ids, addr);
		state->established = 1;
	}
	if (is_new)
		publish(state, cookie);
	if (state->established && !state->passive)
		begins(state, state->since_ns);
	return 0;
}

SEC("tp_btf/inet_sock_set_state")
int tcp_state(__u64 *ctx)
{
	return tcp_changes((struct sock *)ctx[0], ctx[1], ctx[2], true);
}

/* The form for kernels that refuse programs that are typed by BTF. Here the socket is a number, and no
 * helper makes a cookie of it. */
SEC("?raw_tp/inet_sock_set_state")
int tcp_state_raw(__u64 *ctx)
{
	return tcp_changes((struct sock *)ctx[0], ctx[1], ctx[2], false);
}

/* Both TCP and the processes have closed it. Loaded where sock_released does not run for every socket, or
 * `walk` is refused. */
SEC("?tp_btf/tcp_destroy_sock")
int tcp_gone(__u64 *ctx)
{
	struct sock *sk = (struct sock *)ctx[0];
	struct sock_state *state = state_of(sk);

	if (state && is_cookie_of(state, WORD(sock, (__u64)sk, __sk_common.skc_cookie.counter)))
		end_state(state, state->cookie, 0, 0);
	return 0;
}

/* A process closes a socket's last file: sockets other than TCP's end with it, and TCP that is at CLOSE.
 * What the kernel made for itself, and what was never accepted, ends without this: the walk finds it. */
SEC("cgroup/sock_release")
int sock_released(struct bpf_sock *sk)
{
	struct sock_state *state = state_of(sk);
	__u64 cookie;

	if (!state ||
	    !is_cookie_of(state, WORD(sock, number_of(state), __sk_common.skc_cookie.counter)))
		return 1;
	cookie = state->cookie;
	if (state->tcp) {
		/* What is not established ends at CLOSE anyway, perhaps right now. */
		if (state->established)
			state->released = 1;
		/* Where TCP comes to CLOSE on another CPU right now, the walk finds the end. */
		if (state->old_state)
			end_state(state, cookie, 0, 0);
		return 1;
	}
	/* MPTCP that is accepted without a question for its peer has no addresses yet */
	if (!state->stream || !state->ids.remote.port)
		read_ids(&state->ids, number_of(state));
	end_state(state, cookie, 0, 0);
	return 1;
}

/* A socket without a state calls: it is a datagram socket's first call, or a connection that is older
 * than the programs and that no walk over the open files found. */
static __noinline struct sock_state *state_at_call(struct sock *sk, int bytes, bool tx)
{
	bool tcp = sk->sk_type == SOCK_STREAM && sk->sk_protocol == IPPROTO_TCP;
	__u64 cookie = bpf_get_socket_cookie(sk), addr = (__u64)sk;
	struct sock_state *state = own_state(sk, cookie);

	if (state)
		return state;
	if (tcp && !is_connection(sk->__sk_common.skc_state))
		return NULL;
	state = new_state(sk, cookie);
	if (!state || state->cookie)
		return state;
	state->stream = sk->sk_type == SOCK_STREAM;
	state->kernel = is_kernel_socket(addr);
	read_ids(&state->ids, addr);
	if (state->stream)
		state->established = sk->__sk_common.skc_state != TCP_SYN_SENT;
	else
		state->since_ns = bpf_ktime_get_ns();
	if (tcp) {
		state->tcp = 1;
		set_base(state, addr);
		/* this call's bytes are among them */
		*(tx ? &state->base.tx_bytes : &state->base.rx_bytes) -= bytes;
	}
	publish(state, cookie);
	return state;
}

/* Raw and ping sockets have a remote address without a port. */
static __always_inline bool is_connected(struct sock *sk)
{
	__u64 at = (__u64)sk;

	if (sk->__sk_common.skc_dport)
		return true;
	if (sk->__sk_common.skc_family == AF_INET)
		return HALF(sock, at, __sk_common.skc_daddr);
	at += bpf_core_field_offset(struct sock, __sk_common.skc_v6_daddr);
	return kernel_word(at) || kernel_word(at + 8);
}

static __always_inline int count_call(struct sock *sk, int bytes, const bool tx)
{
	__u16 family = sk->__sk_common.skc_family;
	bool stream = sk->sk_type == SOCK_STREAM;
	struct task_struct *task, *leader;
	struct conn_end remote = {};
	struct sock_state *state;
	enum naming named = NAMED_NONE;
	__u64 start;
	__u32 tgid;

	if (family != AF_INET && family != AF_INET6)
		return 0;
	task = bpf_get_current_task_btf();
	if (!stream)
		named = take_named(sk, task->pid, &remote);
	if (bytes < 0 || (stream && bytes == 0))
		return 0;
	state = state_of(sk);
	if (!state || !state->cookie ||
	    state->cookie != (__u64)sk->__sk_common.skc_cookie.counter) {
		state = state_at_call(sk, bytes, tx);
		if (!state)
			return 0;
	}
	leader = task->group_leader;
	tgid = task->tgid;
	start = leader->start_boottime;
	if (state->first.tgid == tgid && state->first.start_boottime_ns == start) {
		if (state->first.exec_id != (__u16)task->self_exec_id)
			refresh_first(state, (__u64)task);
		if (!state->first.is_last)
			state->first.is_last = 1;
		add_counts(&state->first.counts, tx, bytes, stream);
	} else if (!count_other(state, number_of(state), (__u64)task, tgid, start, tx, bytes)) {
		return 0;
	}
	if (stream)
		return 0;
	if (is_connected(sk)) {
		struct conn_end own;

		read_remote(&own, number_of(state));
		if (own.port)
			meet_peer(state, &own);
		if (named == NAMED_NONE) {
			remote = own;
			named = NAMED_ADDRESS;
		}
	}
	if (named != NAMED_ADDRESS) {
		__sync_fetch_and_add(&peers_unknown, 1);
		return 0;
	}
	count_peer(state, &remote, tgid, start, tx, bytes);
	return 0;
}

SEC("tp_btf/sock_send_length")
int sent(__u64 *ctx)
{
	return count_call((struct sock *)ctx[0], ctx[1], true);
}

/* A call that only peeks, or that reads the queue of errors, receives nothing. */
SEC("tp_btf/sock_recv_length")
int received(__u64 *ctx)
{
	if (ctx[2] & (MSG_PEEK | MSG_ERRQUEUE))
		return 0;
	return count_call((struct sock *)ctx[0], ctx[1], false);
}

SEC("cgroup/sendmsg4")
int sends_to_v4(struct bpf_sock_addr *ctx)
{
	name_peer(ctx, false);
	return 1;
}

SEC("cgroup/sendmsg6")
int sends_to_v6(struct bpf_sock_addr *ctx)
{
	name_peer(ctx, true);
	return 1;
}

SEC("cgroup/recvmsg4")
int receives_from_v4(struct bpf_sock_addr *ctx)
{
	name_peer(ctx, false);
	return 1;
}

SEC("cgroup/recvmsg6")
int receives_from_v6(struct bpf_sock_addr *ctx)
{
	name_peer(ctx, true);
	return 1;
}

/* accept() asks for the peer's address if its caller does, before any process can use the socket.
 * Else the process is known by its first call, or when it is found to hold the socket. */
static __always_inline void accepts(struct bpf_sock_addr *ctx)
{
	struct sock_state *state = state_of(ctx->sk);
	__u64 sk;

	if (!state || !state->passive || state->kernel || state->first.from != OWNER_NONE)
		return;
	sk = number_of(state);
	if (!is_cookie_of(state, WORD(sock, sk, __sk_common.skc_cookie.counter)))
		return;
	set_first(state, sk, bpf_get_current_task(), OWNER_ACCEPTED);
	if (!state->tcp) /* MPTCP has its addresses from here on */
		read_ids(&state->ids, sk);
	if (!state->kernel)
		begins(state, bpf_ktime_get_ns());
}

SEC("cgroup/getpeername4")
int accepts_v4(struct bpf_sock_addr *ctx)
{
	accepts(ctx);
	return 1;
}

SEC("cgroup/getpeername6")
int accepts_v6(struct bpf_sock_addr *ctx)
{
	accepts(ctx);
	return 1;
}

/* Visits the open files of all processes: the sockets that each one holds. */
SEC("iter/task_file")
int holders(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct holder_record holder = {};
	struct share_key key = {};
	struct sock_state *state;
	struct socket *socket;
	struct share *share;
	__u64 leader, cookie;
	struct sock *sk;
	__u16 family;
	bool tcp;

	if (!task || !file)
		return 0;
	socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	sk = socket->sk;
	if (!sk)
		return 0;
	family = sk->__sk_common.skc_family;
	if (family != AF_INET && family != AF_INET6)
		return 0;
	cookie = sk->__sk_common.skc_cookie.counter;
	state = state_of(sk);
	if (state && !is_cookie_of(state, cookie))
		return 0; /* stale: the walk ends it */
	if (!state) {
		tcp = sk->sk_type == SOCK_STREAM && sk->sk_protocol == IPPROTO_TCP;
		if (!seeding || !tcp || !is_connection(sk->__sk_common.skc_state))
			return 0;
		cookie = bpf_get_socket_cookie(sk);
		state = new_state(sk, cookie);
		if (!state || state->cookie)
			return 0;
		state->tcp = state->stream = 1;
		state->established = sk->__sk_common.skc_state != TCP_SYN_SENT;
		set_base(state, number_of(state));
		read_ids(&state->ids, number_of(state));
		publish(state, cookie);
	}
	if (state->kernel)
		return 0;
	leader = WORD(task_struct, (__u64)task, group_leader);
	key.tgid = task->tgid;
	if (claim_first(state, (__u64)task, key.tgid, OWNER_FOUND)) {
		state->held = holders_run;
		state->reported = 0;
		if (state->passive && state->established)
			write_begin(state, bpf_ktime_get_ns());
		return 0;
	}
	key.start_boottime_ns = WORD(task_struct, leader, start_boottime);
	if (is_first(state, key.tgid, key.start_boottime_ns)) {
		state->held = holders_run;
		refresh_first(state, (__u64)task);
		return 0;
	}
	state->shared = 1;
	if (!state->held) {
		state->held = holders_run;
	} else if (state->held + 1 < holders_run && !sum_of(&state->first.counts) &&
		   !state->sharers_tracked) {
		/* The first process has not had it for a whole run, and no call of it is known. */
		fill_caller(&state->first, (__u64)task, OWNER_FOUND);
		state->held = holders_run;
		state->reported = 0;
		return 0;
	}
	key.cookie = state->cookie;
	share = bpf_map_lookup_elem(&shares, &key);
	if (share)
		refresh(&share->caller, (__u64)task, &share->reported);
	holder.cookie = state->cookie;
	fill_caller(&holder.process, (__u64)task, OWNER_FOUND);
	bpf_seq_write(ctx->meta->seq, &holder, sizeof(holder));
	return 0;
}

/* Kernel 5.14 (79a7f8bdb159). */
SEC("syscall")
int walk(__unused void *ctx)
{
	return run_walk();
}

/* The form for kernels that refuse SEC("syscall"); attached to nothing. */
SEC("?raw_tp")
int walk_raw(__unused void *ctx)
{
	return run_walk();
}

/* A type or constant has to be in the object's BTF for Rust to have it. */
const struct conn_record *unused_record __attribute__((unused));
const struct share_record *unused_share __attribute__((unused));
const struct peer_record *unused_peer __attribute__((unused));
const struct holder_record *unused_holder __attribute__((unused));
const enum conn_event *unused_event __attribute__((unused));
const enum conn_flag *unused_flag __attribute__((unused));
const enum owner_from *unused_from __attribute__((unused));
const enum walk_over *unused_walk __attribute__((unused));
const enum conn_unknown *unused_unknown __attribute__((unused));
