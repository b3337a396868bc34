/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The contexts of socket programs, trimmed from include/uapi/linux/bpf.h: the offsets are the
 * kernel's interface and count here, unlike those of vmlinux.h. */
#ifndef EBPFTOP_SOCKET_H
#define EBPFTOP_SOCKET_H

struct bpf_sock {
	__u32 bound_dev_if;
	__u32 family;
	__u32 type;
	__u32 protocol;
	__u32 mark;
	__u32 priority;
	__u32 src_ip4; /* network order, as all addresses */
	__u32 src_ip6[4];
	__u32 src_port; /* host order */
	__be16 dst_port; /* network order */
	__u16 : 16;
	__u32 dst_ip4;
	__u32 dst_ip6[4];
	__u32 state;
};

struct bpf_tcp_sock {
	__u32 snd_cwnd;
	__u32 srtt_us;
	__u32 rtt_min;
	__u32 snd_ssthresh;
	__u32 rcv_nxt;
	__u32 snd_nxt;
	__u32 snd_una;
	__u32 mss_cache;
	__u32 ecn_flags;
	__u32 rate_delivered;
	__u32 rate_interval_us;
	__u32 packets_out;
	__u32 retrans_out;
	__u32 total_retrans;
	__u32 segs_in;
	__u32 data_segs_in;
	__u32 segs_out;
	__u32 data_segs_out;
};

struct bpf_sock_addr {
	__u32 user_family;
	__u32 user_ip4;
	__u32 user_ip6[4];
	__u32 user_port; /* network order */
	__u32 family;
	__u32 type;
	__u32 protocol;
	__u32 msg_src_ip4;
	__u32 msg_src_ip6[4];
	struct bpf_sock *sk;
};

_Static_assert(__builtin_offsetof(struct bpf_sock_addr, sk) == 64, "as the kernel's");

/* include/net/tcp_states.h */
enum {
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT = 2,
	TCP_SYN_RECV = 3,
	TCP_CLOSE = 7,
	TCP_LAST_ACK = 9,
	TCP_LISTEN = 10,
};

/* FIN_WAIT1, FIN_WAIT2, TIME_WAIT, LAST_ACK, CLOSING: our FIN is in the send queue or beyond */
#define TCP_AFTER_FIN (1 << 4 | 1 << 5 | 1 << 6 | 1 << 9 | 1 << 11)

/* include/net/sock.h, enum sock_flags. SOCK_DEAD: no process has it any more. SOCK_DONE is set by the
 * arrival of a FIN and nothing else. */
#define SOCK_DEAD 0
#define SOCK_DONE 1

#define SOCK_STREAM 1
#define SOCK_SEQPACKET 5
#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_MPTCP 262
#define MSG_PEEK 0x2
#define MSG_ERRQUEUE 0x2000

/* include/linux/sched.h */
#define PF_KTHREAD 0x00200000

#endif
