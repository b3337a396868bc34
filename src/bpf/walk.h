/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Walks over the tables, run by the reader (BPF_PROG_RUN).
 *
 * Iterators over map elements hand out values that a program may write to, and hardened kernels
 * refuse them. A walk writes into a ring; where that is full it stops, and the next run continues
 * there. bpf_for_each_map_elem is kernel 5.13 (69c087ba6225). */
#ifndef EBPFTOP_WALK_H
#define EBPFTOP_WALK_H

#include "peers.h"

#define __unused __attribute__((unused))

/* Records of one run: 3,400 sockets. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} walked SEC(".maps");

/* Set by the reader: enum walk_over. */
__u32 walk_over = WALK_BEGUN;
/* Set by the reader: report unchanged sockets too. */
bool walk_everything = false;
/* The index in `socks` at which the walk over sockets continues, at first 0. */
__u32 walk_next = 0;
/* The walk is not finished: empty the ring and run it again. */
bool walk_more = false;

/* Sets of one run: the program of a plain tracepoint is not preempted. */
#define SETS_A_RUN 1024

struct walk {
	__u32 next; /* the first index to visit, then the one where it stopped */
	__u32 sets;
	bool stopped;
};

static __always_inline __u64 sum_of(const struct conn_counts *counts)
{
	return counts->rx_bytes + counts->tx_bytes + counts->rx_packets + counts->tx_packets;
}

/* Grows with each call that is counted. */
static __always_inline __u64 sum_of_calls(const struct sock_state *state)
{
	return sum_of(&state->first.counts) + state->sharers_sum + sum_of(&state->left_out);
}

/* Whether the memory at `sk` is still the socket of the state, which had this cookie. TCP lives on without
 * its file, and MPTCP without one until it is accepted; any other socket ends with it. Memory of a freed
 * socket keeps its contents until it is used again (SLAB_TYPESAFE_BY_RCU). */
static __always_inline bool is_alive(__u64 sk, const struct sock_state *state, __u64 cookie)
{
	if (cookie != WORD(sock, sk, __sk_common.skc_cookie.counter) && !(cookie & MADE_UP_COOKIE))
		return false;
	if (state->tcp)
		return HALF(sock, sk, __sk_common.skc_refcnt.refs.counter);
	return WORD(sock, sk, sk_socket) ||
	       (state->passive && state->first.from == OWNER_NONE && !state->old_state);
}

/* Reports a begun connection. If it ends meanwhile, its end takes `begun_ns` and reports both, and
 * the fields read here may be another socket's. A global function, as report_socket. */
__noinline int report_if_begun(struct sock_state *state)
{
	struct conn_record record = {};
	__u64 sk, cookie, ts_ns;

	if (!state)
		return 0;
	sk = number_of(state);
	cookie = state->cookie;
	ts_ns = state->begun_ns;
	if (!ts_ns || !cookie)
		return 0;
	fill_counts(&record, sk, state, true);
	record.ids = state->ids;
	fill_begin(&record, state, ts_ns);
	if (cookie == state->cookie &&
	    __sync_val_compare_and_swap(&state->begun_ns, ts_ns, 0) == ts_ns &&
	    bpf_ringbuf_output(&conns, &record, sizeof(record), BPF_RB_NO_WAKEUP))
		count_lost();
	return 0;
}

static long walk_begun(__unused void *map, __unused const __u32 *key, struct begun_list *list,
		       __unused void *ctx)
{
	struct sock_state *state;
	__u32 at;

	for (__u32 i = 0; i < BEGUN_IN_LIST; i++) {
		at = list->at[i];
		if (!at)
			continue;
		list->at[i] = 0;
		at--;
		state = bpf_map_lookup_elem(&socks, &at);
		if (state)
			report_if_begun(state);
	}
	return 0;
}

/* Reports the counts of one socket, where they changed; false where the ring is full. A global
 * function: the verifier checks it once, not eight times for each set. */
__noinline bool report_socket(__u64 addr, struct sock_state *state)
{
	struct conn_record *record;
	__u64 sk, cookie, sum;
	bool at_close;

	if (!state)
		return true;
	sk = number_of(state);
	cookie = state->cookie;
	at_close = state->old_state;
	if (sk != addr || !cookie)
		return true;
	if (!is_alive(sk, state, cookie)) {
		end_gone(state, cookie);
		return true;
	}
	/* Connections count from their establishment on. */
	if (state->stream && !state->established)
		return true;
	sum = sum_of_calls(state) + 1;
	if (state->tcp) {
		struct conn_counts now;

		tcp_since_base(sk, state, &now);
		sum += sum_of(&now) + HALF(tcp_sock, sk, copied_seq) + state->old_state;
	}
	if (sum == state->reported && !walk_everything)
		return true;
	record = bpf_ringbuf_reserve(&walked, sizeof(*record), 0);
	if (!record)
		return false;
	fill_counts(record, sk, state, true);
	if (state->stream)
		record->ids = state->ids;
	else /* connect() may change them; the next call reports that: see meet_peer */
		read_ids(&record->ids, sk);
	record->ts_ns = bpf_ktime_get_ns();
	record->event = CONN_SAMPLE;
	if (state->old_state) { /* TCP has ended, and its processes have not closed it */
		record->state = TCP_CLOSE;
		record->error = state->error;
	}
	/* If it ended meanwhile, the memory may be another socket's, and the state too; if TCP came to CLOSE, the
	 * counts are of two moments. */
	if (cookie != state->cookie || !is_alive(sk, state, cookie) ||
	    (!at_close && state->first.closed_at)) {
		bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
		return true;
	}
	state->reported = sum;
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	return true;
}

static long walk_set(__unused void *map, const __u32 *key, struct sock_set *set, struct walk *walk)
{
	__u32 place = *key * SOCK_WAYS, first = 0;
	struct sock_state *state;
	__u64 sk;

	if (place + SOCK_WAYS <= walk->next)
		return 0;
	if (++walk->sets > SETS_A_RUN) {
		walk->next = place;
		walk->stopped = true;
		return 1;
	}
	if (place < walk->next)
		first = walk->next - place;
	for (__u32 way = 0; way < SOCK_WAYS; way++, place++) {
		sk = set->sk[way];
		if (!sk || way < first)
			continue;
		state = bpf_map_lookup_elem(&socks, &place);
		if (state && !report_socket(sk, state)) {
			walk->next = place;
			walk->stopped = true;
			return 1;
		}
	}
	return 0;
}

static long walk_share(__unused void *map, const struct share_key *key, struct share *share,
		       struct walk *walk)
{
	struct share_record record;
	__u64 sum = sum_of(&share->caller.counts) + 1;

	if (sum == share->reported)
		return 0;
	record.cookie = key->cookie;
	record.caller = share->caller;
	if (bpf_ringbuf_output(&walked, &record, sizeof(record), BPF_RB_NO_WAKEUP)) {
		walk->stopped = true;
		return 1;
	}
	share->reported = sum_of(&record.caller.counts) + 1;
	return 0;
}

static long walk_peer(__unused void *map, const struct peer_key *key, struct peer *peer,
		      struct walk *walk)
{
	struct peer_record record;

	if (sum_of(&peer->counts) == peer->reported)
		return 0;
	record.key = *key;
	record.counts = peer->counts;
	if (bpf_ringbuf_output(&walked, &record, sizeof(record), BPF_RB_NO_WAKEUP)) {
		walk->stopped = true;
		return 1;
	}
	peer->reported = sum_of(&record.counts);
	return 0;
}

/* Functions of their own: else the compiler makes one call of them, and kernel 6.1 wants to know the
 * map of each ("abusing map_ptr"). */
static __noinline void walk_all_begun(struct walk *walk)
{
	bpf_for_each_map_elem(&begun, walk_begun, walk, 0);
}

static __noinline void walk_sockets(struct walk *walk)
{
	bpf_for_each_map_elem(&sock_sets, walk_set, walk, 0);
}

static __noinline void walk_shares(struct walk *walk)
{
	bpf_for_each_map_elem(&shares, walk_share, walk, 0);
}

static __noinline void walk_peers(struct walk *walk)
{
	bpf_for_each_map_elem(&peers, walk_peer, walk, 0);
}

static __always_inline int run_walk(void)
{
	struct walk walk = { .next = walk_next };

	if (walk_over == WALK_BEGUN)
		walk_all_begun(&walk);
	else if (walk_over == WALK_SOCKETS)
		walk_sockets(&walk);
	else if (walk_over == WALK_SHARES)
		walk_shares(&walk);
	else
		walk_peers(&walk);
	walk_next = walk.next;
	walk_more = walk.stopped;
	return 0;
}

#endif
