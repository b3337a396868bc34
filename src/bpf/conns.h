/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What is told of a socket: records, and when they are. */
#ifndef EBPFTOP_CONNS_H
#define EBPFTOP_CONNS_H

#include "kernel.h"
#include "owners.h"
#include "socket.h"
#include "socks.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} conns SEC(".maps");

/* Connections that have begun and are not told yet, by the numbers of their states and 1; each has
 * one place. Most are over before the reader comes, and then a record tells both. */
#define BEGUN_LISTS 256
#define BEGUN_IN_LIST 16
struct begun_list {
	__u32 at[BEGUN_IN_LIST];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, BEGUN_LISTS);
	__type(key, __u32);
	__type(value, struct begun_list);
} begun SEC(".maps");

/* There may be some; unset by the reader before it walks over them. */
bool some_begun = false;
/* A walk (walk.h) is loaded, which takes them from their lists. */
const volatile bool has_walk = true;
/* Records that found no room. */
__u64 lost = 0;

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

/* Takes away what is in a slot already. */
static __always_inline void take_credited(struct conn_counts *counts,
					  const struct sock_state *state)
{
	counts->rx_bytes -= state->credited.rx_bytes;
	counts->tx_bytes -= state->credited.tx_bytes;
	if ((__s64)counts->tx_bytes < 0) /* the SYN is not sent yet */
		counts->tx_bytes = 0;
	counts->rx_packets = (__u32)(counts->rx_packets - state->credited.rx_packets);
	counts->tx_packets = (__u32)(counts->tx_packets - state->credited.tx_packets);
}

/* The address that was kept, as a number also where the verifier has just seen it as a pointer. */
static __always_inline __u64 number_of(struct sock_state *state)
{
	return *(volatile __u64 *)&state->sk;
}

static __always_inline void read_end(struct conn_end *to, __u64 v6, __u32 v4, bool is_v6)
{
	__u64 *half = (__u64 *)to->ip;

	half[2] = 0; /* port and padding */
	if (is_v6) {
		half[0] = kernel_word(v6);
		half[1] = kernel_word(v6 + 8);
	} else {
		half[0] = 0;
		((__u32 *)to->ip)[2] = bpf_htonl(0xffff);
		((__u32 *)to->ip)[3] = v4;
	}
}

static __always_inline void read_remote(struct conn_end *to, __u64 sk)
{
	read_end(to, sk + bpf_core_field_offset(struct sock, __sk_common.skc_v6_daddr),
		 HALF(sock, sk, __sk_common.skc_daddr),
		 (__u16)WORD(sock, sk, __sk_common.skc_family) == AF_INET6);
	to->port = bpf_ntohs((__u16)WORD(sock, sk, __sk_common.skc_dport));
}

/* All but what happened, when, and the slots. */
static __always_inline void fill_head(struct conn_head *head, __u64 sk, struct sock_state *state)
{
	__u64 net = WORD(sock, sk, __sk_common.skc_net.net);

	head->since_ns = state->since_ns;
	head->cookie = state->cookie;
	head->family = (__u16)WORD(sock, sk, __sk_common.skc_family);
	head->protocol = (__u16)WORD(sock, sk, sk_protocol);
	head->state = (__u8)WORD(sock, sk, __sk_common.skc_state);
	head->netns = HALF(net, net, ns.inum);
	head->error = 0;
	head->current = state->current;
	head->begun_ns = 0;
	head->flags = (state->left_out ? CONN_LEFT_OUT : 0) | (state->kernels ? CONN_KERNELS : 0) |
		      (state->passive ? CONN_PASSIVE : 0);
	read_end(&head->local,
		 sk + bpf_core_field_offset(struct sock, __sk_common.skc_v6_rcv_saddr),
		 HALF(sock, sk, __sk_common.skc_rcv_saddr), head->family == AF_INET6);
	read_remote(&head->remote, sk);
	head->local.port = (__u16)WORD(sock, sk, __sk_common.skc_num);
	if (!head->local.port) /* closed: it is given back already */
		head->local.port = bpf_ntohs((__u16)WORD(inet_sock, sk, inet_sport));
	head->wrapping = state->tcp;
	if (head->wrapping) {
		tcp_totals(sk, &head->not_yet);
		take_credited(&head->not_yet, state);
	} else {
		__builtin_memset(&head->not_yet, 0, sizeof(head->not_yet));
	}
}

static __always_inline void found_no_room_in_ring(void)
{
	__sync_fetch_and_add(&lost, 1);
}

/* A record with room for `slots` of them, filled but for what happened. */
static __always_inline struct conn_head *new_record(struct sock_state *state, __u32 slots)
{
	struct conn_head *head;

	head = bpf_ringbuf_reserve(&conns, sizeof(*head) + slots * sizeof(struct owner_slot), 0);
	if (!head) {
		found_no_room_in_ring();
		return NULL;
	}
	fill_head(head, number_of(state), state);
	head->slots = slots;
	__builtin_memcpy(head + 1, state->slots, slots * sizeof(struct owner_slot));
	return head;
}

static __always_inline void fill_begin(struct conn_head *head, struct sock_state *state,
				       __u64 ts_ns)
{
	head->ts_ns = ts_ns;
	head->event = state->passive ? CONN_ACCEPT : CONN_CONNECT;
	head->state = TCP_ESTABLISHED;
}

static __always_inline void tell_begin(struct sock_state *state, __u64 ts_ns)
{
	struct conn_head *head = new_record(state, OWNER_SLOTS);

	if (!head)
		return;
	fill_begin(head, state, ts_ns);
	bpf_ringbuf_submit(head, BPF_RB_NO_WAKEUP);
}

/* The place of a connection among those that have begun. */
static __always_inline __u32 *begun_place(struct sock_state *state)
{
	__u32 key = state->at / BEGUN_IN_LIST % BEGUN_LISTS;
	struct begun_list *list = bpf_map_lookup_elem(&begun, &key);

	return list ? &list->at[state->at % BEGUN_IN_LIST] : NULL;
}

/* When it began, if that was not told; it is now. */
static __always_inline __u64 take_begun(struct sock_state *state)
{
	__u64 ts_ns = state->begun_ns;
	__u32 *place;

	if (!ts_ns || __sync_val_compare_and_swap(&state->begun_ns, ts_ns, 0) != ts_ns)
		return 0;
	place = begun_place(state);
	if (place && *place == state->at + 1)
		*place = 0;
	return ts_ns;
}

/* What was put off is told now. */
static __always_inline void tell_begun(struct sock_state *state)
{
	__u64 ts_ns = take_begun(state);

	if (ts_ns)
		tell_begin(state, ts_ns);
}

/* Puts off telling that a TCP connection has begun until the reader comes, it ends, or it comes
 * into other hands; unless another one is in its place. */
static __always_inline void begins(struct sock_state *state, __u64 ts_ns)
{
	__u32 *place = begun_place(state);

	__sync_lock_test_and_set(&state->begun_ns, ts_ns);
	if (!has_walk || !place || __sync_val_compare_and_swap(place, 0, state->at + 1)) {
		tell_begun(state);
		return;
	}
	if (!some_begun)
		some_begun = true;
}

static __always_inline void tell_end_with(struct sock_state *state, __u32 slots, __u8 old_state,
					  __u32 error)
{
	__u64 begun_ns = take_begun(state);
	/* reserved last: kernel 6.1 takes it for NULL in a test that does not follow at once */
	struct conn_head *head = new_record(state, slots);

	if (!head) {
		if (begun_ns)
			found_no_room_in_ring();
		return;
	}
	head->begun_ns = begun_ns;
	head->ts_ns = bpf_ktime_get_ns();
	head->event = CONN_CLOSE;
	head->state = old_state;
	head->error = error;
	bpf_ringbuf_submit(head, BPF_RB_NO_WAKEUP);
}

/* Most sockets have one owner: the record is as long as it must be. */
static __always_inline void tell_end(struct sock_state *state, __u8 old_state, __u32 error)
{
	if (state->slots[1].from == OWNER_NONE)
		tell_end_with(state, 1, old_state, error);
	else
		tell_end_with(state, OWNER_SLOTS, old_state, error);
}

#endif
