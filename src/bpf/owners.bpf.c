// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* Who is behind a connection, and what it carried.
 *
 * Each socket that carries something has a state (socks.h): a TCP socket from the start of its
 * handshake to CLOSE, another from socket() to its release. What TCP carried is read where the
 * kernel counts it, so that a segment costs no more than a look at who sends it; datagrams are
 * counted here. The end of a connection is told with its last counts, so that none is too short to
 * be seen.
 *
 * The programs on the root cgroup hang beside those of others (BPF_F_ALLOW_MULTI) and let
 * everything pass. The compare-and-swap and cookies in tracing programs are kernel 5.12
 * (5ffa25502b5a, c5dbb89fc2ac). */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "conns.h"
#include "kernel.h"
#include "owners.h"
#include "socket.h"
#include "socks.h"
#include "walk.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Sockets that processes made or found established, whose state found no room. */
__u64 stateless = 0;
/* Set by the reader: the run of `holders` makes a state for those that have none. */
bool seeding = false;
/* Set by the reader: the number of this run of `holders`, from 1. */
__u32 holders_run = 0;

/* Datagrams are counted: all the programs that this takes are loaded. */
const volatile bool counts_datagrams = true;

/* A process that holds a socket which another one is told to be the owner of. */
struct holder {
	__u64 cookie;
	struct owner_slot who;
};

static __always_inline void found_no_room(void)
{
	__sync_fetch_and_add(&stateless, 1);
}

static __always_inline void fill_owner(struct owner_slot *slot, __u64 task, __u32 from)
{
	__u64 leader = WORD(task_struct, task, group_leader);
	__u64 *comm = (__u64 *)slot->comm;

	slot->tgid = HALF(task_struct, leader, tgid);
	slot->uid = HALF(cred, WORD(task_struct, task, real_cred), uid.val);
	slot->start_boottime_ns = WORD(task_struct, leader, start_boottime);
	comm[0] = WORD(task_struct, leader, comm);
	comm[1] = kernel_word(leader + bpf_core_field_offset(struct task_struct, comm) + 8);
	slot->from = from;
}

static __always_inline bool is_kernels(__u64 sk)
{
	__u64 socket = WORD(sock, sk, sk_socket);

	return socket && !WORD(socket, socket, file);
}

static __always_inline void one_owner(struct sock_state *state, __u64 task, __u32 from)
{
	state->current = 0;
	fill_owner(&state->slots[0], task, from);
}

/* The slot of a process; a new one if there is room, else the last. `n` is its number. */
static __always_inline struct owner_slot *slot_of(struct sock_state *state, __u32 tgid, __u64 task,
						  __u32 *n)
{
	struct owner_slot *slot;

#pragma unroll
	for (__u32 i = 0; i < OWNER_SLOTS; i++) {
		slot = &state->slots[i];
		*n = i;
		if (slot->tgid == tgid)
			return slot;
		if (slot->tgid || slot->from)
			continue;
		if (__sync_val_compare_and_swap(&slot->tgid, 0, tgid) == 0)
			fill_owner(slot, task, OWNER_SENT);
		if (slot->tgid == tgid)
			return slot;
	}
	state->left_out = 1;
	return slot;
}

/* TCP has a state when its handshake begins. */
SEC("cgroup/sock_create")
int sock_made(struct bpf_sock *sk)
{
	struct sock_state *state;

	if (is_tcp(sk) || !counts_datagrams)
		return 1;
	state = new_state(sk, bpf_get_socket_cookie(sk), false);
	if (!state) {
		found_no_room();
		return 1;
	}
	one_owner(state, bpf_get_current_task(), OWNER_MADE);
	state->since_ns = bpf_ktime_get_ns();
	return 1;
}

/* `typed`: `sk` is a pointer that helpers take, see tcp_state_raw. */
static __always_inline int tcp_changes(struct sock *sk, int from, int to, const bool typed)
{
	struct sock_state *state = NULL;
	__u64 addr = (__u64)sk, cookie;

	if (to != TCP_ESTABLISHED && to != TCP_SYN_SENT && to != TCP_CLOSE)
		return 0;
	if ((__u16)WORD(sock, addr, sk_protocol) != IPPROTO_TCP)
		return 0;
	cookie = WORD(sock, addr, __sk_common.skc_cookie.counter);
	if ((cookie || !typed) && to != TCP_SYN_SENT)
		state = state_of(sk);
	if (state && !is_cookie_of(state, cookie))
		state = NULL;
	if (to == TCP_CLOSE) {
		if (!state)
			return 0;
		tell_end(state, state->told ? from : TCP_SYN_SENT, HALF(sock, addr, sk_err));
		end_state(state);
		return 0;
	}
	if (!state) {
		if (typed)
			cookie = bpf_get_socket_cookie(sk);
		else if (!cookie)
			cookie = made_up_cookie();
		state = new_state(sk, cookie, true);
		if (!state) {
			/* once for each */
			if (to == TCP_SYN_SENT || from == TCP_SYN_RECV)
				found_no_room();
			return 0;
		}
		state->passive = from == TCP_SYN_RECV;
		if (!state->passive)
			state->credited.tx_bytes = 1; /* the SYN */
	}
	state->since_ns = bpf_ktime_get_ns();
	if (to == TCP_SYN_SENT) {
		/* inside connect() */
		state->kernels = is_kernels(addr);
		if (!state->kernels)
			one_owner(state, bpf_get_current_task(), OWNER_MADE);
		return 0;
	}
	state->told = 1;
	if (!state->passive)
		begins(state, state->since_ns);
	return 0;
}

SEC("tp_btf/inet_sock_set_state")
int tcp_state(__u64 *ctx)
{
	return tcp_changes((struct sock *)ctx[0], ctx[1], ctx[2], true);
}

/* Where the kernel refuses programs that are typed by BTF. Here the socket is a number, and no helper
 * makes a cookie of it. */
SEC("?raw_tp/inet_sock_set_state")
int tcp_state_raw(__u64 *ctx)
{
	return tcp_changes((struct sock *)ctx[0], ctx[1], ctx[2], false);
}

/* UDP ends with its descriptor; TCP goes on until its state says so. */
SEC("cgroup/sock_release")
int sock_released(struct bpf_sock *sk)
{
	struct sock_state *state;

	if (is_tcp(sk))
		return 1;
	state = state_of(sk);
	if (!state || state->cookie != bpf_get_socket_cookie(sk))
		return 1;
	if (state->told || sum_of_slots(state))
		tell_end(state, TCP_CLOSE, 0);
	end_state(state);
	return 1;
}

/* Bytes behind the UDP header of a datagram, or behind the IP header of anything else. `skb`
 * begins with its IP header. */
static __always_inline __u32 payload_of(struct __sk_buff *skb)
{
	__u8 ip[10], next[2];
	__u32 at = 40, protocol;

	if (bpf_skb_load_bytes(skb, 0, ip, sizeof(ip)))
		return 0;
	if (ip[0] >> 4 == 4) {
		at = (ip[0] & 15) * 4;
		protocol = ip[9];
	} else {
		protocol = ip[6];
#pragma unroll
		for (int i = 0; i < 6; i++) {
			/* hop-by-hop, routing, fragment, destination; RFC 8200 */
			if (protocol != 0 && protocol != 43 && protocol != 44 && protocol != 60)
				break;
			if (bpf_skb_load_bytes(skb, at, next, sizeof(next)))
				return 0;
			at += protocol == 44 ? 8 : (next[1] + 1) * 8;
			protocol = next[0];
		}
	}
	if (protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE)
		at += 8;
	return skb->len > at ? skb->len - at : 0;
}

/* The peer of a datagram of a socket that has none of its own. */
static __always_inline void count_flow(struct __sk_buff *skb, bool ingress, __u32 bytes,
				       __u32 packets)
{
	struct flow_key key = { .cookie = bpf_get_socket_cookie(skb) };
	struct flow none = {}, *flow;
	__u8 ip[40];
	__be16 port;
	__u32 at = 40;

	if (bpf_skb_load_bytes(skb, 0, ip, 20))
		return;
	if (ip[0] >> 4 == 4) {
		at = (ip[0] & 15) * 4;
		key.remote.ip[10] = key.remote.ip[11] = 0xff;
		__builtin_memcpy(key.remote.ip + 12, ingress ? ip + 12 : ip + 16, 4);
	} else {
		if (bpf_skb_load_bytes(skb, 0, ip, 40))
			return;
		__builtin_memcpy(key.remote.ip, ingress ? ip + 8 : ip + 24, 16);
	}
	if (!bpf_skb_load_bytes(skb, at + (ingress ? 0 : 2), &port, sizeof(port)))
		key.remote.port = bpf_ntohs(port);
	flow = bpf_map_lookup_elem(&flows, &key);
	if (!flow) {
		bpf_map_update_elem(&flows, &key, &none, BPF_NOEXIST);
		flow = bpf_map_lookup_elem(&flows, &key);
		if (!flow)
			return;
	}
	__sync_fetch_and_add(ingress ? &flow->counts.rx_bytes : &flow->counts.tx_bytes, bytes);
	__sync_fetch_and_add(ingress ? &flow->counts.rx_packets : &flow->counts.tx_packets,
			     packets);
}

/* Remembers the peer of a connected socket; whether it is another than before. A connect() to the
 * one that it had is none. */
static __always_inline bool has_new_peer(struct sock_state *state, __u64 sk)
{
	__u64 *was = (__u64 *)&state->peer, *is;
	struct conn_end peer = {};

	read_remote(&peer, sk);
	is = (__u64 *)&peer;
	if (!peer.port || (was[0] == is[0] && was[1] == is[1] && was[2] == is[2]))
		return false;
	state->peer = peer;
	return true;
}

static __always_inline void count_datagram(struct __sk_buff *skb, struct bpf_sock *sk,
					   struct sock_state *state, bool ingress)
{
	__u32 bytes = payload_of(skb), packets = skb->gso_segs ?: 1, n;
	struct owner_slot *slot = &state->slots[state->current & (OWNER_SLOTS - 1)];

	if (!ingress) {
		__u64 task = bpf_get_current_task();
		__u32 tgid = HALF(task_struct, task, tgid);

		if (slot->tgid != tgid && !state->kernels) {
			slot = slot_of(state, tgid, task, &n);
			state->current = n;
		}
	}
	__sync_fetch_and_add(ingress ? &slot->counts.rx_bytes : &slot->counts.tx_bytes, bytes);
	__sync_fetch_and_add(ingress ? &slot->counts.rx_packets : &slot->counts.tx_packets,
			     packets);
	if (!sk->dst_port) {
		count_flow(skb, ingress, bytes, packets);
	} else if (has_new_peer(state, number_of(state))) {
		state->told = 1;
		tell_begin(state, bpf_ktime_get_ns());
	}
}

/* Another process has it than the last time: what was carried until now was the last one's. The
 * segment that is being sent is among the packets already, not among the bytes. */
static __always_inline void change_hands(struct sock_state *state, __u64 sk, __u32 tgid, __u64 task,
					 __u32 under_way)
{
	struct owner_slot *old = &state->slots[state->current & (OWNER_SLOTS - 1)];
	struct conn_counts now, before = state->credited;
	__u32 n;

	tell_begun(state);
	tcp_totals(sk, &now);
	now.tx_packets -= under_way;
	/* in this order a reader between the two sees too little for a moment, never too much */
	state->credited = now;
	old->counts.rx_bytes += now.rx_bytes - before.rx_bytes;
	old->counts.tx_bytes += now.tx_bytes - before.tx_bytes;
	old->counts.rx_packets += (__u32)(now.rx_packets - before.rx_packets);
	old->counts.tx_packets += (__u32)(now.tx_packets - before.tx_packets);
	slot_of(state, tgid, task, &n);
	state->current = n;
}

/* What listens answers without being one; SYN_RECV has no state yet, CLOSE none any more. */
static __always_inline bool is_connection(__u8 state)
{
	return state != TCP_LISTEN && state != TCP_SYN_RECV && state != TCP_CLOSE;
}

/* It is older than its state: what TCP counted until now is nobody's here. */
static __always_inline void was_there(struct sock_state *state, __u64 sk)
{
	state->told = 1;
	state->kernels = is_kernels(sk);
	if (state->tcp)
		tcp_totals(sk, &state->credited);
	else
		has_new_peer(state, sk);
}

/* Who sends: a socket is locked by the process that uses it while that makes it send, and by
 * nobody where a timer or the peer's acknowledgement does. */
static __always_inline void look_who_sends(struct __sk_buff *skb, struct sock_state *state)
{
	__u64 task = bpf_get_current_task();
	__u32 tgid = HALF(task_struct, task, tgid);
	__u64 sk;
	bool first;

	if (state->slots[state->current & (OWNER_SLOTS - 1)].tgid == tgid)
		return;
	sk = number_of(state);
	if (!HALF(sock, sk, sk_lock.owned))
		return;
	state->kernels = is_kernels(sk);
	if (state->kernels)
		return;
	first = state->passive && state->slots[0].from == OWNER_NONE;
	change_hands(state, sk, tgid, task, skb->gso_segs ?: 1);
	if (first)
		begins(state, bpf_ktime_get_ns());
}

/* Older than the probe, and in nobody's hands when that looked. */
static __always_inline struct sock_state *older(struct __sk_buff *skb, struct bpf_sock *sk)
{
	bool tcp = is_tcp(sk);
	struct sock_state *state;

	if (tcp && !is_connection(sk->state))
		return NULL;
	state = new_state(sk, bpf_get_socket_cookie(skb), tcp);
	if (state)
		was_there(state, number_of(state));
	return state;
}

/* TCP's segments are the many: what is known to be one of them is seen first. */
static __always_inline void count(struct __sk_buff *skb, bool ingress)
{
	struct bpf_sock *sk = skb->sk;
	struct sock_state *state;

	if (!sk)
		return;
	state = state_of(sk);
	if (state && state->tcp) {
		if (!ingress)
			look_who_sends(skb, state);
		return;
	}
	sk = bpf_sk_fullsock(sk);
	if (!sk || (is_tcp(sk) ? ingress : !counts_datagrams))
		return;
	/* a socket that was refused after it was made leaves its state behind */
	if (!state || state->cookie != bpf_get_socket_cookie(skb))
		state = older(skb, sk);
	if (!state)
		return;
	if (state->tcp)
		look_who_sends(skb, state);
	else
		count_datagram(skb, sk, state, ingress);
}

SEC("cgroup_skb/ingress")
int count_rx(struct __sk_buff *skb)
{
	count(skb, true);
	return 1;
}

SEC("cgroup_skb/egress")
int count_tx(struct __sk_buff *skb)
{
	count(skb, false);
	return 1;
}

/* accept() asks for the peer's address when its caller does, before anybody else can: who takes
 * the connection. Where it does not, it is who sends first, or is found to hold it. */
static __always_inline void accepts(struct bpf_sock_addr *ctx)
{
	struct sock_state *state = state_of(ctx->sk);

	if (!state || !state->passive || state->slots[0].from != OWNER_NONE)
		return;
	state->kernels = is_kernels(number_of(state));
	if (state->kernels)
		return;
	one_owner(state, bpf_get_current_task(), OWNER_ACCEPTED);
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

/* Walks the open files of all processes: who holds a socket. */
SEC("iter/task_file")
int holders(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct sock_state *state;
	struct holder holder = {};
	struct socket *socket;
	struct sock *sk;
	__u16 family;
	bool tcp;
	__u32 n;

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
	state = state_of(sk);
	if (!state) {
		tcp = sk->sk_type == SOCK_STREAM && sk->sk_protocol == IPPROTO_TCP;
		if (!seeding || (tcp && !is_connection(sk->__sk_common.skc_state)))
			return 0;
		state = new_state(sk, bpf_get_socket_cookie(sk), tcp);
		if (!state) {
			found_no_room();
			return 0;
		}
		was_there(state, number_of(state));
	}
	if (state->slots[0].from == OWNER_NONE) {
		one_owner(state, (__u64)task, OWNER_FOUND);
		if (state->passive)
			tell_begin(state, bpf_ktime_get_ns());
		return 0;
	}
	if (state->slots[state->current & (OWNER_SLOTS - 1)].tgid == (__u32)task->tgid) {
		state->held = holders_run;
		return 0;
	}
	if (!state->held) {
		state->held = holders_run;
	} else if (state->held + 1 < holders_run) {
		/* Not in its hands for a whole holders_run: whoever made it has ended or closed it. */
		if (state->tcp) {
			change_hands(state, (__u64)sk, task->tgid, (__u64)task, 0);
		} else {
			slot_of(state, task->tgid, (__u64)task, &n);
			state->current = n;
		}
		state->held = holders_run;
		return 0;
	}
	holder.cookie = state->cookie;
	fill_owner(&holder.who, (__u64)task, OWNER_FOUND);
	bpf_seq_write(ctx->meta->seq, &holder, sizeof(holder));
	return 0;
}

/* A type that records are made of has to be in the object's BTF for Rust to have it. */
const struct holder *unused_holder __attribute__((unused));
const struct conn_head *unused_head __attribute__((unused));
const struct flow_record *unused_flow __attribute__((unused));
