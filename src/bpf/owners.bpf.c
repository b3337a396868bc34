// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* Who is behind a connection, and what it carried.
 *
 * Each socket has a state of its own in socket storage: it is made with the socket, found
 * without a hash, and goes with it. What TCP carried is read where the kernel counts it, so that
 * a segment costs no more than a look at who sends it; datagrams are counted here. The end of a
 * connection is told with its last counts, so that none is too short to be seen.
 *
 * The programs on the root cgroup hang beside those of others (BPF_F_ALLOW_MULTI) and let
 * everything pass. Socket storage in tracing programs is kernel 5.11 (8e4597c627fb), the
 * compare-and-swap and cookies there 5.12 (5ffa25502b5a, c5dbb89fc2ac). */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "owners.h"
#include "socket.h"
#include "kernel.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

enum told {
	TOLD_NOT,
	TOLD_SOON, /* its beginning, with its first datagram */
	TOLD, /* its beginning, or it was there before */
};

struct sock_state {
	/* The address of the socket, read as a number: its fields are reached alike in every type
	 * of program. 0 until it is known. */
	__u64 sk;
	__u64 since_ns;
	__u64 seen; /* a sum over all counts when it was sampled last */
	/* TCP: what was there before `since_ns` or is in a slot already */
	struct conn_counts credited;
	__u32 current; /* the slot of whoever sent last */
	__u8 told; /* enum told */
	__u8 left_out;
	__u16 pad;
	__u32 held; /* the last walk in which `current` held it; 0: not walked over yet */
	__u32 pad2;
	struct owner_slot slots[OWNER_SLOTS];
};

/* Cloned with a listening socket: what is accepted begins with the listener's owner. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct sock_state);
} socks SEC(".maps");

/* Datagrams of sockets that talk to many. A peer that finds no room is in the socket's counts
 * alone. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, struct flow_key);
	__type(value, struct conn_counts);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} conns SEC(".maps");

/* Records that found no room. */
__u64 lost = 0;
/* Sockets whose state found no memory. */
__u64 stateless = 0;
/* Set by the reader: the run of `holders` makes a state for those that have none. */
bool seeding = false;
/* Set by the reader: the number of this run of `holders`, from 1. */
__u32 walk = 0;
/* Set by the reader: the run of `sample` tells of those too that did not change. */
bool everything = false;

struct conn_record {
	struct conn_head head;
	struct owner_slot slots[OWNER_SLOTS];
};

/* A process that holds a socket which another one is told to be the owner of. */
struct holder {
	__u64 cookie;
	struct owner_slot who;
};

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

/* What TCP has carried since the socket was made. SOCK_DONE: the FIN is among what was received in
 * order, a byte that nobody sent. Of what is sent the sequence numbers tell, and what the peer has
 * acknowledged of them in all: bytes_sent counts again what a queue of this machine drops. Our FIN
 * has a number when it is sent, the SYN too: that one is `credited` from the start. */
static __always_inline void tcp_totals(__u64 sk, struct conn_counts *to)
{
	bool fin = WORD(sock, sk, __sk_common.skc_flags) & (1 << SOCK_DONE);
	__u8 state = (__u8)WORD(sock, sk, __sk_common.skc_state);
	__u32 next = HALF(tcp_sock, sk, snd_nxt);

	to->rx_bytes = WORD(tcp_sock, sk, bytes_received);
	if (fin && to->rx_bytes)
		to->rx_bytes--;
	to->tx_bytes = WORD(tcp_sock, sk, bytes_acked) + (next - HALF(tcp_sock, sk, snd_una));
	if ((1 << state) & TCP_AFTER_FIN && next == HALF(tcp_sock, sk, write_seq) && to->tx_bytes)
		to->tx_bytes--;
	to->rx_packets = HALF(tcp_sock, sk, segs_in);
	to->tx_packets = HALF(tcp_sock, sk, segs_out);
}

/* The address that was kept, as a number also where the verifier has just seen it as a pointer. */
static __always_inline __u64 number_of(struct sock_state *state)
{
	return *(volatile __u64 *)&state->sk;
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

static __always_inline void read_end(struct conn_end *to, __u64 v6, __u32 v4, bool is_v6)
{
	__u64 *half = (__u64 *)to->ip;

	if (is_v6) {
		half[0] = kernel_word(v6);
		half[1] = kernel_word(v6 + 8);
	} else {
		half[0] = 0;
		((__u32 *)to->ip)[2] = bpf_htonl(0xffff);
		((__u32 *)to->ip)[3] = v4;
	}
}

/* All of it but the event, the cookie and the slots. */
static __always_inline void fill_head(struct conn_head *head, __u64 sk, struct sock_state *state)
{
	__u64 net = WORD(sock, sk, __sk_common.skc_net.net);
	struct conn_counts now;

	head->ts_ns = bpf_ktime_get_ns();
	head->since_ns = state->since_ns;
	head->family = (__u16)WORD(sock, sk, __sk_common.skc_family);
	head->protocol = (__u16)WORD(sock, sk, sk_protocol);
	head->state = (__u8)WORD(sock, sk, __sk_common.skc_state);
	head->netns = HALF(net, net, ns.inum);
	head->error = 0;
	head->current = state->current;
	head->flags = (state->left_out ? CONN_LEFT_OUT : 0) | (is_kernels(sk) ? CONN_KERNELS : 0);
	read_end(&head->local,
		 sk + bpf_core_field_offset(struct sock, __sk_common.skc_v6_rcv_saddr),
		 HALF(sock, sk, __sk_common.skc_rcv_saddr), head->family == AF_INET6);
	read_end(&head->remote, sk + bpf_core_field_offset(struct sock, __sk_common.skc_v6_daddr),
		 HALF(sock, sk, __sk_common.skc_daddr), head->family == AF_INET6);
	head->local.port = (__u16)WORD(sock, sk, __sk_common.skc_num);
	if (!head->local.port) /* closed: it is given back already */
		head->local.port = bpf_ntohs((__u16)WORD(inet_sock, sk, inet_sport));
	head->remote.port = bpf_ntohs((__u16)WORD(sock, sk, __sk_common.skc_dport));
	head->wrapping = head->protocol == IPPROTO_TCP;
	if (head->wrapping) {
		tcp_totals(sk, &now);
		head->not_yet.rx_bytes = now.rx_bytes - state->credited.rx_bytes;
		head->not_yet.tx_bytes = now.tx_bytes - state->credited.tx_bytes;
		if ((__s64)head->not_yet.tx_bytes < 0) /* the SYN is not sent yet */
			head->not_yet.tx_bytes = 0;
		head->not_yet.rx_packets = (__u32)(now.rx_packets - state->credited.rx_packets);
		head->not_yet.tx_packets = (__u32)(now.tx_packets - state->credited.tx_packets);
	} else {
		__builtin_memset(&head->not_yet, 0, sizeof(head->not_yet));
	}
}

/* The beginning takes one slot, the end all of them. */
static __always_inline void tell(__u64 sk, __u64 cookie, struct sock_state *state, __u8 event,
				 __u8 old_state, __u32 error)
{
	struct conn_record *rec;

	rec = bpf_ringbuf_reserve(&conns, sizeof(*rec), 0);
	if (!rec) {
		__sync_fetch_and_add(&lost, 1);
		return;
	}
	fill_head(&rec->head, sk, state);
	rec->head.cookie = cookie;
	rec->head.event = event;
	rec->head.state = old_state;
	rec->head.error = error;
	rec->head.slots = OWNER_SLOTS;
	__builtin_memcpy(rec->slots, state->slots, sizeof(rec->slots));
	bpf_ringbuf_submit(rec, BPF_RB_NO_WAKEUP);
}

SEC("cgroup/sock_create")
int sock_made(struct bpf_sock *sk)
{
	struct sock_state *state;

	state = bpf_sk_storage_get(&socks, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!state) {
		__sync_fetch_and_add(&stateless, 1);
		return 1;
	}
	one_owner(state, bpf_get_current_task(), OWNER_MADE);
	state->since_ns = bpf_ktime_get_ns();
	return 1;
}

/* Datagrams alone: TCP is told when it is established. With the first datagram the addresses are
 * there; until then it is remembered. */
static __always_inline void connects(struct bpf_sock_addr *ctx)
{
	struct sock_state *state;

	if (ctx->protocol == IPPROTO_TCP)
		return;
	state = bpf_sk_storage_get(&socks, ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (state)
		state->told = TOLD_SOON;
}

SEC("cgroup/connect4")
int connect_v4(struct bpf_sock_addr *ctx)
{
	connects(ctx);
	return 1;
}

SEC("cgroup/connect6")
int connect_v6(struct bpf_sock_addr *ctx)
{
	connects(ctx);
	return 1;
}

SEC("tp_btf/inet_sock_set_state")
int tcp_state(__u64 *ctx)
{
	struct sock *sk = (struct sock *)ctx[0];
	int from = ctx[1], to = ctx[2];
	struct sock_state *state;
	__u64 addr = (__u64)sk, create = 0;
	__u32 error;

	if (to != TCP_ESTABLISHED && to != TCP_SYN_SENT && to != TCP_LISTEN && to != TCP_CLOSE)
		return 0;
	if ((__u16)WORD(sock, addr, sk_protocol) != IPPROTO_TCP)
		return 0;
	if (to != TCP_CLOSE)
		create = BPF_SK_STORAGE_GET_F_CREATE;
	state = bpf_sk_storage_get(&socks, sk, 0, create);
	if (!state) {
		if (create)
			__sync_fetch_and_add(&stateless, 1);
		return 0;
	}
	state->sk = addr;
	switch (to) {
	case TCP_SYN_SENT:
		state->credited.tx_bytes = 1;
		/* fallthrough */
	case TCP_LISTEN:
		/* inside connect() and listen() */
		if (!is_kernels(addr))
			one_owner(state, bpf_get_current_task(), OWNER_MADE);
		state->since_ns = bpf_ktime_get_ns();
		return 0;
	case TCP_ESTABLISHED:
		if (from == TCP_SYN_RECV) {
			/* what was cloned is the listener's */
			if (state->current)
				state->slots[0] = state->slots[state->current & (OWNER_SLOTS - 1)];
			__builtin_memset(&state->slots[1], 0, sizeof(state->slots[1]) * 3);
			__builtin_memset(&state->slots[0].counts, 0, sizeof(struct conn_counts));
			__builtin_memset(&state->credited, 0, sizeof(state->credited));
			state->current = 0;
			state->left_out = 0;
			if (state->slots[0].from != OWNER_NONE)
				state->slots[0].from = OWNER_LISTENER;
		}
		state->since_ns = bpf_ktime_get_ns();
		state->told = TOLD;
		tell(addr, bpf_get_socket_cookie(sk), state,
		     from == TCP_SYN_RECV ? CONN_PASSIVE : CONN_CONNECT, TCP_ESTABLISHED, 0);
		return 0;
	default:
		error = HALF(sock, addr, sk_err);
		/* one that listens carries nothing; what came of it has its state until it stands */
		if (from == TCP_SYN_SENT ||
		    (state->told == TOLD && from != TCP_LISTEN && from != TCP_SYN_RECV))
			tell(addr, bpf_get_socket_cookie(sk), state, CONN_CLOSE, from, error);
		state->told = TOLD_NOT;
		return 0;
	}
}

static __always_inline __u64 sum_of(const struct conn_counts *counts)
{
	return counts->rx_bytes + counts->tx_bytes + counts->rx_packets + counts->tx_packets;
}

/* Changes with every packet that is counted in a slot. */
static __always_inline __u64 sum_of_slots(const struct sock_state *state)
{
	__u64 sum = 0;

#pragma unroll
	for (int i = 0; i < OWNER_SLOTS; i++)
		sum += sum_of(&state->slots[i].counts);
	return sum;
}

/* UDP ends with its descriptor; TCP goes on until its state says so. */
SEC("cgroup/sock_release")
int sock_released(struct bpf_sock *sk)
{
	struct sock_state *state;

	if (sk->protocol == IPPROTO_TCP)
		return 1;
	state = bpf_sk_storage_get(&socks, sk, 0, 0);
	if (!state)
		return 1;
	if (state->sk && (state->told == TOLD || sum_of_slots(state)))
		tell(number_of(state), bpf_get_socket_cookie(sk), state, CONN_CLOSE, TCP_CLOSE, 0);
	state->sk = 0; /* nothing to sample any more */
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
	struct conn_counts none = {}, *counts;
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
	counts = bpf_map_lookup_elem(&flows, &key);
	if (!counts) {
		bpf_map_update_elem(&flows, &key, &none, BPF_NOEXIST);
		counts = bpf_map_lookup_elem(&flows, &key);
		if (!counts)
			return;
	}
	__sync_fetch_and_add(ingress ? &counts->rx_bytes : &counts->tx_bytes, bytes);
	__sync_fetch_and_add(ingress ? &counts->rx_packets : &counts->tx_packets, packets);
}

static __always_inline void count_datagram(struct __sk_buff *skb, struct bpf_sock *sk,
					   struct sock_state *state, bool ingress)
{
	__u32 bytes = payload_of(skb), packets = skb->gso_segs ?: 1, n;
	struct owner_slot *slot = &state->slots[state->current & (OWNER_SLOTS - 1)];

	if (!ingress) {
		__u64 task = bpf_get_current_task();
		__u32 tgid = HALF(task_struct, task, tgid);

		if (slot->tgid != tgid && !is_kernels(number_of(state))) {
			slot = slot_of(state, tgid, task, &n);
			state->current = n;
		}
	}
	__sync_fetch_and_add(ingress ? &slot->counts.rx_bytes : &slot->counts.tx_bytes, bytes);
	__sync_fetch_and_add(ingress ? &slot->counts.rx_packets : &slot->counts.tx_packets,
			     packets);
	if (!sk->dst_port) {
		count_flow(skb, ingress, bytes, packets);
	} else if (state->told == TOLD_SOON) {
		state->told = TOLD;
		tell(number_of(state), bpf_get_socket_cookie(skb), state, CONN_CONNECT,
		     TCP_ESTABLISHED, 0);
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

/* Who sends: a socket is locked by the process that uses it while that makes it send, and by
 * nobody where a timer or the peer's acknowledgement does. The lock of one that listens says
 * nothing, it answers without. */
static __always_inline void look_who_sends(struct __sk_buff *skb, struct sock_state *state)
{
	__u64 sk = number_of(state), task = bpf_get_current_task();
	__u32 tgid = HALF(task_struct, task, tgid);

	if (state->slots[state->current & (OWNER_SLOTS - 1)].tgid == tgid)
		return;
	if (!HALF(sock, sk, sk_lock.owned))
		return;
	if ((__u8)WORD(sock, sk, __sk_common.skc_state) == TCP_LISTEN || is_kernels(sk))
		return;
	change_hands(state, sk, tgid, task, skb->gso_segs ?: 1);
}

static __always_inline void count(struct __sk_buff *skb, bool ingress)
{
	struct bpf_sock *sk = skb->sk;
	struct sock_state *state;

	if (!sk)
		return;
	sk = bpf_sk_fullsock(sk);
	if (!sk || (ingress && sk->protocol == IPPROTO_TCP))
		return;
	state = bpf_sk_storage_get(&socks, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!state) {
		__sync_fetch_and_add(&stateless, 1);
		return;
	}
	if (!state->sk) {
		state->sk = (__u64)sk;
		/* older than the probe, and in nobody's hands when that looked */
		if (sk->protocol == IPPROTO_TCP && !state->since_ns) {
			tcp_totals(number_of(state), &state->credited);
			state->told = TOLD;
		}
	}
	if (sk->protocol == IPPROTO_TCP)
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

/* At the exits of accept and accept4. What is told is joined by the cookie, which the socket has
 * had since it was established. */
SEC("tracepoint/syscalls/sys_exit_accept4")
int accepted(struct trace_event_raw_sys_exit *ctx)
{
	__u64 files, fdt, table, file, socket, sk, cookie, task = bpf_get_current_task();
	struct conn_record *rec;
	long fd = ctx->ret;

	if (fd < 0)
		return 0;
	files = WORD(task_struct, task, files);
	fdt = WORD(files_struct, files, fdt);
	if (fd >= HALF(fdtable, fdt, max_fds))
		return 0;
	table = WORD(fdtable, fdt, fd);
	file = kernel_word(table + fd * sizeof(__u64));
	socket = WORD(file___socket, file, private_data);
	sk = WORD(socket, socket, sk);
	cookie = WORD(sock, sk, __sk_common.skc_cookie.counter);
	if (!file || !socket || !sk || !cookie)
		return 0;
	rec = bpf_ringbuf_reserve(&conns, sizeof(*rec), 0);
	if (!rec) {
		__sync_fetch_and_add(&lost, 1);
		return 0;
	}
	__builtin_memset(rec, 0, sizeof(*rec));
	rec->head.ts_ns = bpf_ktime_get_ns();
	rec->head.cookie = cookie;
	rec->head.protocol = IPPROTO_TCP;
	rec->head.event = CONN_ACCEPT;
	rec->head.slots = 1;
	fill_owner(&rec->slots[0], task, OWNER_ACCEPTED);
	bpf_ringbuf_submit(rec, BPF_RB_NO_WAKEUP);
	return 0;
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
	__u64 create = seeding ? BPF_SK_STORAGE_GET_F_CREATE : 0;
	__u16 family;
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
	state = bpf_sk_storage_get(&socks, sk, 0, create);
	if (!state)
		return 0;
	if (seeding && state->slots[0].from == OWNER_NONE) {
		one_owner(state, (__u64)task, OWNER_FOUND);
		state->sk = (__u64)sk;
		state->told = TOLD;
		if (sk->sk_protocol == IPPROTO_TCP && !state->credited.rx_packets)
			tcp_totals((__u64)sk, &state->credited);
		return 0;
	}
	state->sk = (__u64)sk;
	if (state->slots[state->current & (OWNER_SLOTS - 1)].tgid == (__u32)task->tgid) {
		state->held = walk;
		return 0;
	}
	if (!state->held) {
		state->held = walk;
	} else if (state->held + 1 < walk) {
		/* Not in its hands for a whole walk: whoever made it has ended or closed it. */
		if (sk->sk_protocol == IPPROTO_TCP) {
			change_hands(state, (__u64)sk, task->tgid, (__u64)task, 0);
		} else {
			slot_of(state, task->tgid, (__u64)task, &n);
			state->current = n;
		}
		state->held = walk;
		return 0;
	}
	holder.cookie = bpf_get_socket_cookie(sk);
	fill_owner(&holder.who, (__u64)task, OWNER_FOUND);
	bpf_seq_write(ctx->meta->seq, &holder, sizeof(holder));
	return 0;
}

/* Walks the sockets that have a state: what those carried that have carried more since. */
SEC("iter/bpf_sk_storage_map")
int sample(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct sock *sk = ctx->sk;
	struct sock_state *state;
	struct conn_head head;
	__u64 seen;
	__u8 now;

	if (!sk)
		return 0;
	state = bpf_sk_storage_get(&socks, sk, 0, 0);
	if (!state || !state->sk)
		return 0;
	now = sk->__sk_common.skc_state;
	if (sk->sk_protocol == IPPROTO_TCP &&
	    (now == TCP_LISTEN || now == TCP_CLOSE || now == TCP_SYN_SENT))
		return 0;
	__builtin_memset(&head, 0, sizeof(head));
	fill_head(&head, (__u64)sk, state);
	seen = sum_of(&head.not_yet) + sum_of_slots(state);
	if (seen == state->seen && !everything)
		return 0;
	state->seen = seen;
	head.cookie = bpf_get_socket_cookie(sk);
	head.slots = OWNER_SLOTS;
	bpf_seq_write(ctx->meta->seq, &head, sizeof(head));
	bpf_seq_write(ctx->meta->seq, state->slots, sizeof(state->slots));
	return 0;
}

/* A type that records are made of has to be in the object's BTF for Rust to have it. */
const struct holder *unused_holder __attribute__((unused));
const struct conn_record *unused_record __attribute__((unused));
