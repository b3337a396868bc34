/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Records of sockets, and when they are written. */
#ifndef EBPFTOP_CONN_RECORDS_H
#define EBPFTOP_CONN_RECORDS_H

#include "tcp_account.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} conns SEC(".maps");

/* Connections that have begun and are not reported yet: index in `socks` plus 1, in a place that the
 * index decides. Most end before the reader comes, and one record then reports both. */
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

/* Set when a begun list may be non-empty; the reader clears it before it walks the lists. */
bool some_begun = false;
/* The walk (walk.h), which empties those lists, is loaded. */
const volatile bool has_walk = true;
/* Records that found no room in the ring. */
__u64 lost = 0;

/* The address in a state, as a number also where the verifier has just seen it as a pointer. */
static __always_inline __u64 number_of(const struct sock_state *state)
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

/* Reads addresses and namespace of a socket that is there. */
static __always_inline void read_ids(struct conn_ids *ids, __u64 sk)
{
	__u64 net = WORD(sock, sk, __sk_common.skc_net.net);

	ids->family = (__u16)WORD(sock, sk, __sk_common.skc_family);
	ids->protocol = (__u16)WORD(sock, sk, sk_protocol);
	ids->netns = HALF(net, net, ns.inum);
	ids->interface = HALF(sock, sk, __sk_common.skc_bound_dev_if);
	ids->pad = 0;
	read_end(&ids->local, sk + bpf_core_field_offset(struct sock, __sk_common.skc_v6_rcv_saddr),
		 HALF(sock, sk, __sk_common.skc_rcv_saddr), ids->family == AF_INET6);
	read_remote(&ids->remote, sk);
	ids->local.port = (__u16)WORD(sock, sk, __sk_common.skc_num);
	if (!ids->local.port) /* closed: the port is given back already */
		ids->local.port = bpf_ntohs((__u16)WORD(inet_sock, sk, inet_sport));
}

/* Fills all but time, event and addresses; windows where the connection lives. TCP's counters come before
 * those of the calls: a call that is counted in between makes them larger, never TCP's. */
static __always_inline void fill_counts(struct conn_record *record, __u64 sk,
					const struct sock_state *state, const bool lives)
{
	__u16 flags = (state->kernel || state->kernel_calls ? CONN_KERNEL : 0) |
		      (state->passive ? CONN_PASSIVE : 0) | (state->shared ? CONN_SHARED : 0) |
		      (state->stream ? CONN_STREAM : 0) |
		      (state->sharers_tracked ? CONN_SHARERS : 0);
	__u8 from;

	record->state = 0;
	if (state->stream)
		record->state = state->old_state ?: (__u8)WORD(sock, sk, __sk_common.skc_state);
	if (state->tcp) {
		flags |= CONN_TCP;
		record->rx_queued = tcp_since_base(sk, state, &record->tcp);
		quality_of(sk, state, &record->quality);
	} else {
		record->rx_queued = 0;
		__builtin_memset(&record->tcp, 0, sizeof(record->tcp));
		__builtin_memset(&record->quality, 0, sizeof(record->quality));
	}
	if (lives && state->tcp && !state->old_state) {
		read_windows(sk, &record->windows);
	} else {
		__builtin_memset(&record->windows, 0, sizeof(record->windows));
		record->windows.in_flight = QUALITY_UNKNOWN;
	}
	asm volatile("" ::: "memory");
	record->flags = flags;
	/* `from` is filled last, so it is read first: see fill_caller. */
	from = *(const volatile __u8 *)&state->first.from;
	asm volatile("" ::: "memory");
	record->first = state->first;
	record->first.from = from;
	record->left_out = state->left_out;
	record->since_ns = state->since_ns;
	record->cookie = state->cookie;
	record->last_start_boottime_ns = state->last_start_boottime_ns;
	record->last_tgid = state->last_tgid;
	record->begun_ns = 0;
	record->error = 0;
	record->connect_us = state->connect_us;
	record->pad = 0;
}

static __always_inline void count_lost(void)
{
	__sync_fetch_and_add(&lost, 1);
}

static __always_inline void fill_begin(struct conn_record *record, const struct sock_state *state,
				       __u64 ts_ns)
{
	record->ts_ns = ts_ns;
	record->event = state->passive ? CONN_ACCEPT : CONN_CONNECT;
	/* a program at ESTABLISHED runs before the socket has that state; an accepted one may be beyond */
	if (!state->passive)
		record->state = TCP_ESTABLISHED;
}

/* A global function, which the verifier checks once: kernel 6.1 would need more than its million steps. */
__noinline int write_begin(struct sock_state *state, __u64 ts_ns)
{
	struct conn_record *record;

	if (!state)
		return 0;
	record = bpf_ringbuf_reserve(&conns, sizeof(*record), 0);
	if (!record) {
		count_lost();
		return 0;
	}
	fill_counts(record, number_of(state), state, true);
	record->ids = state->ids;
	fill_begin(record, state, ts_ns);
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	return 0;
}

/* The place of a connection among the begun ones. */
static __always_inline __u32 *begun_place(const struct sock_state *state)
{
	__u32 key = state->at / BEGUN_IN_LIST % BEGUN_LISTS;
	struct begun_list *list = bpf_map_lookup_elem(&begun, &key);

	return list ? &list->at[state->at % BEGUN_IN_LIST] : NULL;
}

/* Takes the time of a beginning that is not reported, or 0. */
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

/* Leaves the report of a beginning to the reader or to the connection's end; writes it at once where
 * another connection is in its place. */
static __always_inline void begins(struct sock_state *state, __u64 ts_ns)
{
	__u32 *place = begun_place(state);

	state->begun_ns = ts_ns; /* others have the state from its place in the list on */
	if (!has_walk || !place || __sync_val_compare_and_swap(place, 0, state->at + 1)) {
		ts_ns = take_begun(state);
		if (ts_ns)
			write_begin(state, ts_ns);
		return;
	}
	if (!some_begun)
		some_begun = true;
}

/* The end was not observed: the socket, or its address, is another connection's by now. */
static __always_inline void forget_quality(struct conn_record *record)
{
	__builtin_memset(&record->quality, 0, sizeof(record->quality));
	record->quality.retransmits = QUALITY_UNKNOWN;
	record->quality.lost = QUALITY_UNKNOWN;
	record->quality.reordering = QUALITY_UNKNOWN;
}

/* When a socket ended whose CLOSE was longer ago. */
static __always_inline __u64 found_ns(const struct sock_state *state)
{
	__u64 now = bpf_ktime_get_ns(), at;
	__u32 before = (__u32)(now >> CLOSED_AT_SHIFT) - state->first.closed_at;

	at = now - ((__u64)before << CLOSED_AT_SHIFT);
	return at > state->since_ns ? at : state->since_ns;
}

/* Writes the end of a socket. `cookie` is that of the state, which take_state took; `ts_ns` is 0 for now. */
static __always_inline void write_end(struct sock_state *state, __u64 cookie, __u32 flags,
				      __u64 ts_ns)
{
	__u64 begun_ns = take_begun(state);
	/* reserved last: kernel 6.1 takes it for NULL in a test that does not follow at once */
	struct conn_record *record = bpf_ringbuf_reserve(&conns, sizeof(*record), 0);

	if (!record) {
		count_lost();
		if (begun_ns)
			count_lost();
		return;
	}
	fill_counts(record, number_of(state), state, false);
	record->ids = state->ids;
	record->cookie = cookie;
	record->begun_ns = begun_ns;
	if (flags & CONN_FOUND)
		ts_ns = found_ns(state);
	else if (!ts_ns)
		ts_ns = bpf_ktime_get_ns();
	record->ts_ns = ts_ns > begun_ns ? ts_ns : begun_ns;
	record->event = CONN_CLOSE;
	record->error = state->error;
	record->flags |= flags;
	if (!state->old_state &&
	    (flags & CONN_UNSEEN ||
	     (!(cookie & MADE_UP_COOKIE) &&
	      cookie != WORD(sock, number_of(state), __sk_common.skc_cookie.counter))))
		forget_quality(record);
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
}

/* Reports the end of the socket with this cookie, and frees its state. A global function, as write_begin. */
__noinline int end_state(struct sock_state *state, __u64 cookie, __u32 flags, __u64 ts_ns)
{
	if (!state || !take_state(state, cookie))
		return 0;
	write_end(state, cookie, flags, ts_ns);
	free_state(state);
	return 0;
}

/* Reports a socket that is gone: its end was not observed, or TCP's was and no process closed it. */
static __always_inline void end_gone(struct sock_state *state, __u64 cookie)
{
	end_state(state, cookie, state->tcp && state->old_state ? CONN_FOUND : CONN_UNSEEN, 0);
}

/* The state of the socket that has this cookie. A state of another one at the same address is reported
 * and freed. */
static __always_inline struct sock_state *own_state(const void *sk, __u64 cookie)
{
	struct sock_state *state = state_of(sk);
	__u64 other;

	if (!state || is_cookie_of(state, cookie))
		return state;
	other = state->cookie;
	if (!other)
		return cookie_soon(state) && is_cookie_of(state, cookie) ? state : NULL;
	end_gone(state, other);
	return NULL;
}

/* A state for a socket that has none: fill and publish it. One with a cookie is published: another CPU
 * made it at the same time. NULL, and counted, where there is no room, or another CPU makes it still. */
static __noinline struct sock_state *new_state(const void *sk, __u64 cookie)
{
	struct sock_state *state = claim_state(sk);

	if (state)
		return state;
	state = own_state(sk, cookie);
	if (state)
		return state;
	state = claim_state(sk); /* where that freed an earlier one */
	if (!state)
		__sync_fetch_and_add(&sockets_left_out, 1);
	return state;
}

#endif
