/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* TCP's own counters of a socket. */
#ifndef EBPFTOP_TCP_ACCOUNT_H
#define EBPFTOP_TCP_ACCOUNT_H

#include "kernel.h"
#include "socket.h"
#include "sock_table.h"

/* Bytes are counted where processes call: the programs for that are loaded. Else they are TCP's. */
const volatile bool counts_calls = true;

/* A protocol above TCP (kTLS) adds bytes that no call returns. */
static __always_inline bool has_upper_protocol(__u64 sk)
{
	return WORD(inet_connection_sock, sk, icsk_ulp_ops);
}

/* From one sequence number to a later one. Without the socket's lock they are of two moments, and an ACK in
 * between may have passed the later one: 0 then. */
static __always_inline __u32 seq_from(__u32 from, __u32 to)
{
	__s32 n = (__s32)(to - from);

	return n > 0 ? n : 0;
}

/* Bytes received in order that no process has read. A FIN takes a sequence number until it is read. */
static __always_inline __u32 tcp_queued(__u64 sk, bool fin)
{
	__u32 queued = HALF(tcp_sock, sk, rcv_nxt) - HALF(tcp_sock, sk, copied_seq);

	return fin && queued ? queued - 1 : queued;
}

/* The socket's traffic since it was made, each byte once. Received is what arrived in order. Sent
 * is what was written into the socket where calls are counted, else what was sent: `bytes_sent`
 * counts retransmissions too, sequence numbers do not. SYN and FIN have a number each; the SYN is in
 * `base`. SOCK_DONE: a FIN arrived, `bytes_received` has it. Sequence numbers are read in their order: the
 * later ones only grow meanwhile. Returns the bytes that are not read. */
static __always_inline __u32 tcp_totals(__u64 sk, struct conn_counts *to)
{
	bool fin = WORD(sock, sk, __sk_common.skc_flags) & (1 << SOCK_DONE);
	__u8 state = (__u8)WORD(sock, sk, __sk_common.skc_state);
	__u64 acked = WORD(tcp_sock, sk, bytes_acked);
	__u32 una = HALF(tcp_sock, sk, snd_una), next = HALF(tcp_sock, sk, snd_nxt);
	__u32 written = HALF(tcp_sock, sk, write_seq);

	if (counts_calls)
		next = written;
	to->rx_bytes = WORD(tcp_sock, sk, bytes_received);
	if (fin && to->rx_bytes)
		to->rx_bytes--;
	to->tx_bytes = acked + seq_from(una, next);
	if ((1 << state) & TCP_AFTER_FIN && next == written && to->tx_bytes)
		to->tx_bytes--;
	to->rx_packets = HALF(tcp_sock, sk, segs_in);
	to->tx_packets = HALF(tcp_sock, sk, segs_out);
	return tcp_queued(sk, fin);
}

/* TCP's counters since tracking began. */
static __always_inline __u32 tcp_since_base(__u64 sk, const struct sock_state *state,
					    struct conn_counts *to)
{
	__u32 queued;

	if (state->old_state) {
		*to = state->base;
		return state->rx_queued;
	}
	queued = tcp_totals(sk, to);
	to->rx_bytes -= state->base.rx_bytes;
	to->tx_bytes -= state->base.tx_bytes;
	if ((__s64)to->tx_bytes < 0) /* the SYN is not sent yet, or a disconnect reset it */
		to->tx_bytes = 0;
	if ((__s64)to->rx_bytes < 0)
		to->rx_bytes = 0;
	to->rx_packets = (__u32)(to->rx_packets - state->base.rx_packets);
	to->tx_packets = (__u32)(to->tx_packets - state->base.tx_packets);
	if (counts_calls && has_upper_protocol(sk))
		to->rx_bytes = to->tx_bytes = queued = 0;
	return queued;
}

#define US_PER_S 1000000ull
/* A field of tcp_sock that a kernel may lack. */
#define KNOWN(sk, field)                                                                           \
	(bpf_core_field_exists(struct tcp_sock, field) ? HALF(tcp_sock, sk, field) :               \
							 QUALITY_UNKNOWN)

/* The values that `ss -ti` prints as rtt, retrans, reord_seen, cwnd and delivery_rate (tcp_get_info and
 * tcp_compute_delivery_rate of net/ipv4/tcp.c). The RTT is kept in eighths, its deviation in quarters. */
static __always_inline void read_quality(__u64 sk, const struct conn_quality *base,
					 struct conn_quality *to)
{
	__u32 interval_us = HALF(tcp_sock, sk, rate_interval_us);
	__u64 delivered = HALF(tcp_sock, sk, rate_delivered);
	__u32 lost_before = base->lost;
	bool is_new = base->delivery_rate != (delivered << 32 | interval_us);

	to->srtt_us = HALF(tcp_sock, sk, srtt_us) >> 3;
	to->rttvar_us = HALF(tcp_sock, sk, mdev_us) >> 2;
	to->retransmits = HALF(tcp_sock, sk, total_retrans);
	to->lost = KNOWN(sk, lost);
	if (to->lost != QUALITY_UNKNOWN)
		to->lost -= lost_before;
	to->reordering = KNOWN(sk, reord_seen);
	to->cwnd = HALF(tcp_sock, sk, snd_cwnd);
	to->delivery_rate = 0;
	if (delivered && interval_us && is_new)
		to->delivery_rate =
			delivered * HALF(tcp_sock, sk, mss_cache) * US_PER_S / interval_us;
}

/* A connection begins. tcp_disconnect() leaves `lost` and the measured rate of the socket's connection before
 * as they are: until CLOSE the state's quality is what it had, the rate as packets and time. */
static __always_inline void set_quality_base(struct sock_state *state, __u64 sk)
{
	__u64 delivered = HALF(tcp_sock, sk, rate_delivered);

	state->quality.lost = KNOWN(sk, lost);
	state->quality.delivery_rate = delivered << 32 | HALF(tcp_sock, sk, rate_interval_us);
}

/* The quality of a connection now; after CLOSE as it was then. */
static __always_inline void quality_of(__u64 sk, const struct sock_state *state,
				       struct conn_quality *to)
{
	if (state->old_state)
		*to = state->quality;
	else
		read_quality(sk, &state->quality, to);
}

/* The values that `ss -tim` prints as unacked, notsent, snd_wnd and rcv_wnd (tcp_get_info), and bytes in flight. A FIN
 * has a sequence number. */
static __always_inline void read_windows(__u64 sk, struct conn_windows *to)
{
	__u8 state = (__u8)WORD(sock, sk, __sk_common.skc_state);
	/* In the order of their numbers: see tcp_totals(). */
	__u32 una = HALF(tcp_sock, sk, snd_una), next = HALF(tcp_sock, sk, snd_nxt);
	__u32 written = HALF(tcp_sock, sk, write_seq);

	to->in_flight = seq_from(una, next);
	to->unsent = seq_from(next, written);
	if ((1 << state) & TCP_AFTER_FIN && next == written && to->in_flight)
		to->in_flight--;
	to->unacked = HALF(tcp_sock, sk, packets_out);
	to->snd_wnd = HALF(tcp_sock, sk, snd_wnd);
	to->rcv_wnd = HALF(tcp_sock, sk, rcv_wnd);
}

/* The time of the change of state that TCP makes now, of at least `begun`. Where a packet or a timer makes it, TCP has
 * just read the clock (tcp_mstamp_refresh, ktime_get_ns), and the programs need not: that takes 40 ns. */
static __always_inline __u64 change_ns(__u64 sk, bool just_read, __u64 begun)
{
	__u64 at = 0;

	if (just_read && bpf_core_field_exists(struct tcp_sock, tcp_clock_cache))
		at = WORD(tcp_sock, sk, tcp_clock_cache);
	return at > begun ? at : bpf_ktime_get_ns();
}

/* Whether TCP comes to CLOSE by a packet or a timer: these work on a socket that no process's call owns, but for
 * packets that a call keeps until its end, LAST_ACK's among them. An ICMP error ends a handshake without
 * the clock. */
static __always_inline bool closes_by_itself(__u64 sk, int from, __u32 error)
{
	if (from == TCP_SYN_SENT || from == TCP_SYN_RECV)
		return false;
	return !HALF(sock, sk, sk_lock.owned) || (from == TCP_LAST_ACK && !error);
}

/* Units of `closed_at`, 65 us: its 32 bits last for three days. */
#define CLOSED_AT_SHIFT 16

/* TCP is at CLOSE: a disconnect resets its counters next, and connect() may use the socket again. `closed_at` is
 * stored before the rest, so that the walk, on another CPU, finds it with half of them; `old_state` after it, since
 * sock_released ends a state that has it. */
static __always_inline void keep_totals(__u64 sk, struct sock_state *state, __u8 old_state,
					__u64 now)
{
	struct conn_counts totals;
	struct conn_quality quality;

	__sync_lock_test_and_set(&state->first.closed_at, (__u32)(now >> CLOSED_AT_SHIFT));
	state->rx_queued = tcp_since_base(sk, state, &totals);
	state->base = totals;
	read_quality(sk, &state->quality, &quality);
	state->quality = quality;
	asm volatile("" ::: "memory");
	state->old_state = old_state;
}

/* Tracking begins with a connection that was there before. Bytes that wait to be read count when
 * they are read. */
static __always_inline void set_base(struct sock_state *state, __u64 sk)
{
	__u32 queued = tcp_totals(sk, &state->base);

	if (counts_calls)
		state->base.rx_bytes -= queued;
}

#endif
