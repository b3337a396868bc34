/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Walks over the tables, run by the reader (BPF_PROG_RUN).
 *
 * Iterators over map elements hand over values that a program may write to, and hardened kernels
 * refuse them. A walk writes into a ring; where that is full it stops, and goes on from there in the next
 * run. bpf_for_each_map_elem is kernel 5.13 (69c087ba6225). */
#ifndef EBPFTOP_WALK_H
#define EBPFTOP_WALK_H

#include "conns.h"

#define __unused __attribute__((unused))

/* Datagrams of sockets that talk to many. A peer that finds no room is in the socket's counts
 * alone. */
struct flow {
	struct conn_counts counts;
	__u64 reported; /* a sum over `counts` at the last report */
};

/* Preallocated: kernels before 6.2 let no program that may sleep use others. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct flow_key);
	__type(value, struct flow);
} flows SEC(".maps");

/* What a run of a walk finds: 5,000 sockets. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} walked SEC(".maps");

/* Set by the reader: enum walk_over. */
__u32 walk_over = WALK_BEGUN;
/* Set by the reader: report sockets too that did not change. */
bool walk_everything = false;
/* The number in `socks` at which the walk over sockets goes on, 0 to begin with. */
__u32 walk_next = 0;
/* The walk is not at its end: empty the ring and run it again. */
bool walk_more = false;

/* Sets of one run: a plain tracepoint's program is not preempted. */
#define SETS_A_RUN 1024

struct walk {
	__u32 next; /* the first place to look at, then the one where it stopped */
	__u32 sets;
	bool stopped;
};

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

/* Reports one that has begun. Where it ends meanwhile, that takes `begun_ns` and reports both; and
 * what was read here may be another socket's. */
static __always_inline void report_if_begun(struct sock_state *state)
{
	__u64 sk = number_of(state), cookie = state->cookie, ts_ns = state->begun_ns;
	struct {
		struct conn_head head;
		struct owner_slot slot;
	} record = {};

	if (!ts_ns)
		return;
	fill_head(&record.head, sk, state);
	fill_begin(&record.head, state, ts_ns);
	record.head.slots = 1;
	record.slot = state->slots[0];
	if (cookie == state->cookie &&
	    is_cookie_of(state, WORD(sock, sk, __sk_common.skc_cookie.counter)) &&
	    __sync_val_compare_and_swap(&state->begun_ns, ts_ns, 0) == ts_ns &&
	    bpf_ringbuf_output(&conns, &record, sizeof(record), BPF_RB_NO_WAKEUP))
		found_no_room_in_ring();
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

/* Reports what one socket has carried, where that is more than at the last report; false where the
 * ring is full. A global function: the verifier walks it once, not eight times for each set. */
__noinline bool report_socket(__u64 addr, struct sock_state *state)
{
	struct conn_counts now;
	struct conn_head *head;
	__u64 sk, cookie, sum;

	if (!state)
		return true;
	sk = number_of(state);
	cookie = state->cookie;
	if (sk != addr || !cookie)
		return true;
	if (!walk_everything) {
		__builtin_memset(&now, 0, sizeof(now));
		if (state->tcp) {
			tcp_totals(sk, &now);
			take_credited(&now, state);
		}
		if (sum_of(&now) + sum_of_slots(state) == state->reported)
			return true;
	}
	head = bpf_ringbuf_reserve(&walked, sizeof(*head) + sizeof(state->slots), 0);
	if (!head)
		return false;
	fill_head(head, sk, state);
	head->ts_ns = bpf_ktime_get_ns();
	head->event = CONN_SAMPLE;
	head->slots = OWNER_SLOTS;
	__builtin_memcpy(head + 1, state->slots, sizeof(state->slots));
	sum = sum_of(&head->not_yet) + sum_of_slots(state);
	/* where it ended meanwhile, the memory may be another socket's, and the state too */
	if (cookie != state->cookie ||
	    !is_cookie_of(state, WORD(sock, sk, __sk_common.skc_cookie.counter)) ||
	    (state->tcp && (head->state == TCP_CLOSE || head->state == TCP_SYN_SENT))) {
		bpf_ringbuf_discard(head, BPF_RB_NO_WAKEUP);
		return true;
	}
	state->reported = sum;
	bpf_ringbuf_submit(head, BPF_RB_NO_WAKEUP);
	return true;
}

static long walk_set(__unused void *map, const __u32 *key, struct sock_set *set, struct walk *walk)
{
	__u32 at = *key, place;
	struct sock_state *state;
	__u64 sk;

	if ((at + 1) * SOCK_WAYS <= walk->next)
		return 0;
	if (++walk->sets > SETS_A_RUN) {
		walk->next = at * SOCK_WAYS;
		walk->stopped = true;
		return 1;
	}
	for (__u32 way = 0; way < SOCK_WAYS; way++) {
		place = at * SOCK_WAYS + way;
		sk = set->sk[way];
		if (!sk || place < walk->next)
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

static long walk_flow(__unused void *map, const struct flow_key *key, struct flow *flow,
		      struct walk *walk)
{
	struct flow_record record;
	__u64 sum = sum_of(&flow->counts);

	if (sum == flow->reported)
		return 0;
	record.key = *key;
	record.counts = flow->counts;
	if (bpf_ringbuf_output(&walked, &record, sizeof(record), BPF_RB_NO_WAKEUP)) {
		walk->stopped = true;
		return 1;
	}
	flow->reported = sum_of(&record.counts);
	return 0;
}

/* Functions of their own: else the compiler makes one call of the three, and kernel 6.1 wants to know
 * the map of each ("abusing map_ptr"). */
static __noinline void walk_all_begun(struct walk *walk)
{
	bpf_for_each_map_elem(&begun, walk_begun, walk, 0);
}

static __noinline void walk_sockets(struct walk *walk)
{
	bpf_for_each_map_elem(&sock_sets, walk_set, walk, 0);
}

static __noinline void walk_flows(struct walk *walk)
{
	bpf_for_each_map_elem(&flows, walk_flow, walk, 0);
}

static __always_inline int run_walk(void)
{
	struct walk walk = { .next = walk_next };

	if (walk_over == WALK_BEGUN)
		walk_all_begun(&walk);
	else if (walk_over == WALK_SOCKETS)
		walk_sockets(&walk);
	else
		walk_flows(&walk);
	walk_next = walk.next;
	walk_more = walk.stopped;
	return 0;
}

/* Kernel 5.14 (79a7f8bdb159). */
SEC("syscall")
int walk(__unused void *ctx)
{
	return run_walk();
}

/* Where that is refused; attached to nothing. */
SEC("?raw_tp")
int walk_raw(__unused void *ctx)
{
	return run_walk();
}

#endif
