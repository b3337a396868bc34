/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Sockets by address: a hash table of sets, each one cache line of addresses, and beside it the
 * states. A lookup reads one line. The kernel's hash map would take a call, an allocation and a lock
 * for each connection; socket storage two allocations and a grace period. */
#ifndef EBPFTOP_SOCK_TABLE_H
#define EBPFTOP_SOCK_TABLE_H

#include "connections.h"

struct sock_state {
	/* One cache line is all that a call of the first process touches. The address is kept as a
	 * number, so that every type of program reads fields in the same way. */
	__u64 sk;
	__u64 cookie; /* the kernel's number of the socket; 0: not in use, or not published yet */
	struct caller first;
	__u8 tcp; /* has TCP's counters */
	__u8 stream; /* its only peer is its remote address */
	__u8 established; /* of streams; of datagram sockets: a connect is reported */
	__u8 passive;
	__u8 kernel; /* the kernel's own: none of its calls is a process's */
	__u8 shared;
	__u8 old_state; /* TCP: its state before CLOSE, once it is there */
	__u8 sharers_tracked; /* entries in `shares` */
	struct conn_counts
		left_out; /* calls of kernel threads, and of processes without an entry */
	/* TCP's counters when tracking began; after CLOSE, what it carried since */
	struct conn_counts base;
	struct conn_ids ids;
	__u64 since_ns;
	__u64 begun_ns; /* a connect or accept that is not reported yet, or 0 */
	__u64 reported; /* sum of all counts at the last report */
	__u64 sharers_sum; /* grows with each call that an entry in `shares` counts */
	__u64 last_start_boottime_ns;
	__u32 last_tgid;
	__u16 error;
	__u8 kernel_calls; /* a kernel thread called */
	__u8 released; /* TCP: no process has a file of it */
	__u32 held; /* number of the last run of `holders` that found `first` with it */
	__u32 at; /* index in `socks` */
	__u32 rx_queued; /* TCP: unread bytes at CLOSE */
	__u32 connect_us; /* from the SYN to ESTABLISHED, or 0 */
	struct conn_quality quality; /* TCP: at CLOSE; before, see set_quality_base */
};
/* Cache lines. */
_Static_assert(sizeof(struct sock_state) % 64 == 0, "size");
_Static_assert(__builtin_offsetof(struct sock_state, first.comm) == 64, "first line");

#define SOCK_WAYS 8
/* Neighbours that are tried where a socket's set is full. A power of two. */
#define SOCK_SETS_PROBED 4

/* 0: free */
struct sock_set {
	__u64 sk[SOCK_WAYS];
};

/* A power of two, set before loading. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct sock_set);
} sock_sets SEC(".maps");

/* SOCK_WAYS for each set. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1024 * SOCK_WAYS);
	__type(key, __u32);
	__type(value, struct sock_state);
} socks SEC(".maps");

/* 32 minus the binary logarithm of the number of sets. */
const volatile __u32 sock_sets_shift = 22;
/* Sockets whose state found no room. */
__u64 sockets_left_out = 0;

/* The verifier lets a pointer be compared and stored, and of its bits take the lower half. */
static __always_inline __u32 sock_hash(const void *sk)
{
	__u32 low;

	asm volatile("%0 = %1" : "=w"(low) : "w"((__u32)(__u64)sk));
	return low * 0x9e3779b1u >> sock_sets_shift;
}

static __always_inline struct sock_state *state_at(__u32 set, __u32 way)
{
	__u32 at = set * SOCK_WAYS + way;

	return bpf_map_lookup_elem(&socks, &at);
}

/* The state at a socket's address. The address may be used again: see is_cookie_of. */
static __always_inline struct sock_state *state_of(const void *sk)
{
	__u32 hash = sock_hash(sk);

	for (__u32 probe = 0; probe < SOCK_SETS_PROBED; probe++) {
		__u32 at = hash ^ probe;
		struct sock_set *set = bpf_map_lookup_elem(&sock_sets, &at);

		if (!set)
			return NULL;
#pragma unroll
		for (int i = 0; i < SOCK_WAYS; i++)
			if (set->sk[i] == (__u64)sk)
				return state_at(at, i);
	}
	return NULL;
}

/* Marks a cookie made up where no helper returns the kernel's, which counts up from 1
 * (net/core/sock_diag.c). */
#define MADE_UP_COOKIE (1ull << 63)
__u64 made_up_cookies = 0;

static __always_inline __u64 made_up_cookie(void)
{
	return MADE_UP_COOKIE | __sync_fetch_and_add(&made_up_cookies, 1);
}

/* Whether the socket that has this cookie is the one of the state. */
static __always_inline bool is_cookie_of(const struct sock_state *state, __u64 cookie)
{
	return state->cookie && (state->cookie == cookie || state->cookie & MADE_UP_COOKIE);
}

/* The cookie of a state that another CPU fills, once that has published it: within a microsecond.
 * 0: its socket ended, or that CPU is kept from its work. */
static __noinline __u64 cookie_soon(const struct sock_state *state)
{
	__u64 cookie = 0;

	if (!state)
		return 0;
	for (int i = 0; i < 64 && !cookie; i++)
		cookie = *(const volatile __u64 *)&state->cookie;
	return cookie;
}

/* Frees a state. Call it after take_state. */
static __always_inline void free_state(struct sock_state *state)
{
	__u32 at = state->at, key = at / SOCK_WAYS;
	struct sock_set *set = bpf_map_lookup_elem(&sock_sets, &key);

	if (set)
		set->sk[at % SOCK_WAYS] = 0;
}

/* Claims the end of a state: true for one caller only. */
static __always_inline bool take_state(struct sock_state *state, __u64 cookie)
{
	return cookie && __sync_val_compare_and_swap(&state->cookie, cookie, 0) == cookie;
}

/* Takes a free place for an address: its index in `socks`; a negative number where there is none, or the
 * address has one. */
static __always_inline __s64 take_place(const void *sk)
{
	__u32 hash = sock_hash(sk);

	for (__u32 probe = 0; probe < SOCK_SETS_PROBED; probe++) {
		__u32 at = hash ^ probe;
		struct sock_set *set = bpf_map_lookup_elem(&sock_sets, &at);

		if (!set)
			return -1;
		for (int i = 0; i < SOCK_WAYS; i++) {
			__u64 is = set->sk[i];

			if (!is)
				is = __sync_val_compare_and_swap(&set->sk[i], 0, (__u64)sk);
			if (!is)
				return at * SOCK_WAYS + i;
			if (is == (__u64)sk)
				return -1;
		}
	}
	return -1;
}

/* Whether a claimed state's socket has another place in its set: another CPU took one that had become free. A
 * global function, which the verifier checks once. */
__noinline bool is_twice(const struct sock_state *state)
{
	struct sock_set *set;
	__u32 at, key;
	__u64 sk;

	if (!state)
		return false;
	sk = *(const volatile __u64 *)&state->sk;
	at = state->at;
	key = at / SOCK_WAYS;
	set = bpf_map_lookup_elem(&sock_sets, &key);
	if (!set)
		return false;
	for (__u32 i = 0; i < SOCK_WAYS; i++)
		if (set->sk[i] == sk && i != at % SOCK_WAYS)
			return true;
	return false;
}

/* Claims a place for a socket. The caller fills the state, then publishes it. NULL where the table is
 * full or has a state at this address. */
static __noinline struct sock_state *claim_state(const void *sk)
{
	struct sock_state *state;
	__s64 place = take_place(sk);
	__u32 at = place;

	if (place < 0)
		return NULL;
	state = bpf_map_lookup_elem(&socks, &at);
	if (!state)
		return NULL;
	__builtin_memset(state, 0, sizeof(*state));
	state->at = at;
	state->sk = (__u64)sk;
	if (is_twice(state)) {
		free_state(state);
		return NULL;
	}
	return state;
}

/* Lets other programs use a state that is filled. */
static __always_inline void publish(struct sock_state *state, __u64 cookie)
{
	__sync_lock_test_and_set(&state->cookie, cookie);
}

#endif
