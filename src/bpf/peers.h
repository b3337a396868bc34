/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Traffic of each process with each peer through datagram sockets.
 *
 * A call that names an address passes a hook of the cgroup first, in the same thread; that leaves the
 * address for the tracepoint at the call's end. */
#ifndef EBPFTOP_PEERS_H
#define EBPFTOP_PEERS_H

#include "callers.h"

struct peer {
	struct conn_counts counts;
	__u64 reported; /* sum of its counts at the last report */
};

/* Preallocated: kernels before 6.2 let no program that may sleep use others. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, struct peer_key);
	__type(value, struct peer);
} peers SEC(".maps");

/* Calls whose peer found no room in `peers`, and calls whose peer is unknown. */
__u64 peers_left_out = 0;
__u64 peers_unknown = 0;

/* The address that the call of a thread named. */
struct named_peer {
	__u64 sk; /* 0: its call has taken it */
	__u32 pid;
	__u32 replaced; /* the thread whose name was here and not taken, or 0 */
	struct conn_end remote;
};

/* Places, by the thread's number modulo this: threads that share one and call at the same time have
 * unknown peers. */
#define NAMED_PEERS 8192
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, NAMED_PEERS);
	__type(key, __u32);
	__type(value, struct named_peer);
} named_peers SEC(".maps");

static __always_inline struct named_peer *named_peer_of(__u32 pid)
{
	__u32 key = pid % NAMED_PEERS;

	return bpf_map_lookup_elem(&named_peers, &key);
}

static __always_inline void name_peer(struct bpf_sock_addr *ctx, bool v6)
{
	__u32 pid = HALF(task_struct, bpf_get_current_task(), pid);
	struct named_peer *named = named_peer_of(pid);
	__u32 *ip;

	if (!named)
		return;
	ip = (__u32 *)named->remote.ip;
	if (v6) {
		ip[0] = ctx->user_ip6[0];
		ip[1] = ctx->user_ip6[1];
		ip[2] = ctx->user_ip6[2];
		ip[3] = ctx->user_ip6[3];
	} else {
		ip[0] = ip[1] = 0;
		ip[2] = bpf_htonl(0xffff);
		ip[3] = ctx->user_ip4;
	}
	named->remote.port = bpf_ntohs((__u16)ctx->user_port);
	if (named->sk && named->pid != pid)
		named->replaced = named->pid;
	named->pid = pid;
	named->sk = (__u64)ctx->sk;
}

enum naming {
	NAMED_NONE,
	NAMED_ADDRESS,
	NAMED_UNKNOWN, /* another thread's took its place */
};

/* Takes the address that this thread's call on this socket named. */
static __always_inline enum naming take_named(const void *sk, __u32 pid, struct conn_end *remote)
{
	struct named_peer *named = named_peer_of(pid);

	if (!named)
		return NAMED_NONE;
	if (named->replaced == pid) {
		named->replaced = 0;
		return NAMED_UNKNOWN;
	}
	if (named->pid != pid || named->sk != (__u64)sk)
		return NAMED_NONE;
	named->sk = 0;
	*remote = named->remote;
	return NAMED_ADDRESS;
}

static __always_inline bool is_same_end(const struct conn_end *one, const struct conn_end *other)
{
	const __u64 *a = (const __u64 *)one, *b = (const __u64 *)other;

	return a[0] == b[0] && a[1] == b[1] && a[2] == b[2];
}

/* Reports the peer of a connected socket, where it is another one than at the last call. */
static __always_inline void meet_peer(struct sock_state *state, const struct conn_end *remote)
{
	if (state->established && is_same_end(&state->ids.remote, remote))
		return;
	read_ids(&state->ids, number_of(state));
	state->established = 1;
	write_begin(state, bpf_ktime_get_ns());
}

static __always_inline void count_peer(const struct sock_state *state,
				       const struct conn_end *remote, __u32 tgid,
				       __u64 start_boottime_ns, bool tx, __u32 bytes)
{
	struct peer_key key = {
		.share = {
			.cookie = state->cookie,
			.start_boottime_ns = start_boottime_ns,
			.tgid = tgid,
		},
		.remote = *remote,
	};
	struct peer none = {}, *peer = bpf_map_lookup_elem(&peers, &key);

	if (!peer) {
		bpf_map_update_elem(&peers, &key, &none, BPF_NOEXIST);
		peer = bpf_map_lookup_elem(&peers, &key);
		if (!peer) {
			__sync_fetch_and_add(&peers_left_out, 1);
			return;
		}
	}
	add_counts(&peer->counts, tx, bytes, false);
}

#endif
