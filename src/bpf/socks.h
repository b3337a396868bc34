/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The states of sockets, by address.
 *
 * A table of sets in the order of the addresses' hashes, and beside it the states: a lookup is a
 * look at one cache line. With the kernel's hash map a connection costs a call for each packet, an
 * allocation and a lock; with socket storage two allocations and a grace period. */
#ifndef EBPFTOP_SOCKS_H
#define EBPFTOP_SOCKS_H

#include "owners.h"

struct sock_state {
	/* The address of the socket, read as a number: its fields are reached alike in every type
	 * of program. */
	__u64 sk;
	__u64 cookie; /* with which the memory at `sk` is still the same socket */
	__u64 since_ns;
	__u64 begun_ns; /* TCP: a connect() or accept() that is not told yet; or 0 */
	__u64 reported; /* a sum over all counts when a walk reported it last */
	/* TCP: what was there before `since_ns` or is in a slot already */
	struct conn_counts credited;
	struct conn_end peer; /* not TCP: the one that a connect was told of */
	__u32 held; /* the last run of `holders` in which `current` held it; 0: none yet */
	__u32 current; /* the slot of whoever sent last */
	__u32 at; /* its number in `socks` */
	__u8 told; /* TCP: it is established. Others: a connect, or it was there before */
	__u8 left_out;
	__u8 passive;
	__u8 kernels;
	__u8 tcp; /* counts for itself; a raw socket may have its protocol number too */
	__u8 pad[7];
	struct owner_slot slots[OWNER_SLOTS];
};

/* A set is a cache line of addresses, 0 where there is room. */
#define SOCK_WAYS 8
/* A socket is in the set of its hash or, where that is full, in one of those beside it. A power of
 * two. */
#define SOCK_SETS_PROBED 4

struct sock_set {
	__u64 sk[SOCK_WAYS];
};

/* A power of two, set before loading; as many sets as `SOCK_WAYS` go into `socks`. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct sock_set);
} sock_sets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1024 * SOCK_WAYS);
	__type(key, __u32);
	__type(value, struct sock_state);
} socks SEC(".maps");

/* Of a 32-bit hash so many bits are not the number of a set. */
const volatile __u32 sock_sets_shift = 22;

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

/* A cookie of ours has this bit. The kernel counts up from 1 (net/core/sock_diag.c). */
#define MADE_UP_COOKIE (1ull << 63)
__u64 made_up_cookies = 0;

static __always_inline __u64 made_up_cookie(void)
{
	return MADE_UP_COOKIE | __sync_fetch_and_add(&made_up_cookies, 1);
}

/* Whether the socket that now has this cookie is the one that the state is of. */
static __always_inline bool is_cookie_of(const struct sock_state *state, __u64 cookie)
{
	return state->cookie == cookie || state->cookie & MADE_UP_COOKIE;
}

/* An empty state, in place of the one that the address may have; NULL where there is no room. */
static __always_inline struct sock_state *new_state(const void *sk, __u64 cookie, bool tcp)
{
	__u32 hash = sock_hash(sk);

	for (__u32 probe = 0; probe < SOCK_SETS_PROBED; probe++) {
		__u32 at = hash ^ probe;
		struct sock_set *set = bpf_map_lookup_elem(&sock_sets, &at);

		if (!set)
			return NULL;
#pragma unroll
		for (int i = 0; i < SOCK_WAYS; i++) {
			struct sock_state *state;
			__u64 is = set->sk[i];

			if (!is)
				is = __sync_val_compare_and_swap(&set->sk[i], 0, (__u64)sk);
			if (is && is != (__u64)sk)
				continue;
			state = state_at(at, i);
			if (!state)
				return NULL;
			__builtin_memset(state, 0, sizeof(*state));
			state->at = at * SOCK_WAYS + i;
			state->cookie = cookie;
			state->tcp = tcp;
			state->sk = (__u64)sk;
			return state;
		}
	}
	return NULL;
}

/* Gives the state back. */
static __always_inline void end_state(struct sock_state *state)
{
	__u32 at = state->at, key = at / SOCK_WAYS;
	struct sock_set *set = bpf_map_lookup_elem(&sock_sets, &key);

	if (set)
		set->sk[at % SOCK_WAYS] = 0;
}

#endif
