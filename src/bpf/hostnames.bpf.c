// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* Names that processes ask for: DNS queries and answers, and the ClientHello of TLS, copied from the
 * packets of sockets.
 *
 * The programs hang beside those of others on the root cgroup (BPF_F_ALLOW_MULTI), and let everything
 * pass. They see each packet of each socket at the IP layer, whole: before it is cut to fragments or
 * segments, after it is put together. All but those packets leave after a few comparisons. */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "socket.h"
#include "talkers.h"
#include "net.h"
/* cgroup_skb programs may call no kfuncs below kernel 6.6 */
#define WITHOUT_KFUNCS
#include "kernel.h"
#include "hostnames.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define PORT_DNS 53
#define PORT_MDNS 5353
#define PORT_LLMNR 5355

/* A ClientHello begins within so many segments: after the words of STARTTLS or of a proxy. */
#define FIRST_SEGMENTS 16
/* A DNS header's third byte: it is an answer. */
#define DNS_QR 0x80
/* Bytes of a TLS record's header, and those by which a ClientHello is recognised. */
#define TLS_HEADER_BYTES 5
#define HELLO_MARK_BYTES 6
#define TLS_HANDSHAKE 22
#define TLS_CLIENT_HELLO 1

/* Bytes of records in a window of 2^30 ns; beyond, packets are skipped and counted. */
const volatile __u64 window_bytes = 4 << 20;
#define WINDOW_SHIFT 30
__u64 window = 0;
__u64 window_used = 0;

/* Packets beyond the window's bytes, and those that found no room in the ring or could not be read. */
__u64 skipped = 0;
__u64 lost = 0;
/* DNS messages and ClientHellos with more bytes than a record has room for. */
__u64 cut = 0;
/* DNS answers to sockets that have not asked. */
__u64 unasked = 0;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} hostnames SEC(".maps");

/* Sockets that have asked, by cookie. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, __u8);
} askers SEC(".maps");

/* Sockets whose ClientHello goes on in the next packet, by cookie, and the sequence number where it, or
 * the part of it that is copied, ends. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, __u32);
} hellos SEC(".maps");

/* Entries were put into `hellos` and not taken out; those of connections that ended before stay in it. */
__u64 hellos_open = 0;

/* A packet of TCP or UDP. */
struct packet {
	__u32 payload; /* where it begins, from the IP header on */
	__u32 bytes; /* of payload */
	__u32 seq;
	__u16 source, dest;
	bool v6, tcp;
};

/* False where it is neither, or its headers are not whole in the linear part. IPv6 extension headers are
 * not followed. */
static __always_inline bool read_packet(const struct __sk_buff *skb, struct packet *packet)
{
	const __u8 *data = (const __u8 *)(long)skb->data, *end = (const __u8 *)(long)skb->data_end;
	const __u8 *l4;
	__u32 off;
	__u8 proto;

	if (data + sizeof(struct ip4_header) > end)
		return false;
	packet->v6 = data[0] >> 4 == 6;
	if (packet->v6) {
		off = sizeof(struct ip6_header);
		proto = data[6];
	} else {
		off = (data[0] & 0xf) * 4;
		proto = data[9];
	}
	packet->tcp = proto == IPPROTO_TCP;
	if (!packet->tcp && proto != IPPROTO_UDP)
		return false;
	l4 = data + off;
	if (l4 + 8 > end)
		return false;
	packet->source = bpf_ntohs(*(const __be16 *)l4);
	packet->dest = bpf_ntohs(*(const __be16 *)(l4 + 2));
	packet->payload = off + 8;
	if (packet->tcp) {
		if (l4 + 20 > end)
			return false;
		packet->seq = bpf_ntohl(*(const __be32 *)(l4 + 4));
		packet->payload = off + (l4[12] >> 4) * 4;
	}
	packet->bytes = skb->len > packet->payload ? skb->len - packet->payload : 0;
	return packet->bytes > 0;
}

static __always_inline bool is_dns_port(const struct packet *packet, __u16 port)
{
	return port == PORT_DNS || (!packet->tcp && (port == PORT_MDNS || port == PORT_LLMNR));
}

/* Whether a packet of so many bytes may be copied now. The counters race on purpose: one packet more or
 * less in a window does not matter. */
static __always_inline bool admit(__u64 now, __u32 bytes)
{
	if (window != now >> WINDOW_SHIFT) {
		window = now >> WINDOW_SHIFT;
		window_used = 0;
	}
	if (__sync_fetch_and_add(&window_used, bytes) + bytes <= window_bytes)
		return true;
	__sync_fetch_and_add(&skipped, 1);
	return false;
}

/* The process whose call sends this packet. A TCP packet may leave from another context, when a timer or
 * an acknowledgement lets it: then no process has the socket locked. */
static __always_inline void fill_process(struct hostname_head *head, __u64 sk)
{
	__u64 task = bpf_get_current_task(), leader;

	if (HALF(task_struct, task, flags) & PF_KTHREAD)
		return;
	if (head->tcp && !HALF(sock, sk, sk_lock.owned))
		return;
	leader = WORD(task_struct, task, group_leader);
	head->tgid = HALF(task_struct, task, tgid);
	head->start_boottime_ns = WORD(task_struct, leader, start_boottime);
}

/* The ring lets every program write into memory of its own, also where one interrupts another. `copied`
 * is not 0. */
static __always_inline void write_record(struct __sk_buff *skb, const struct packet *packet,
					 enum hostname_kind kind, __u64 cookie, __u32 copied,
					 const __u32 room)
{
	struct hostname_head *head;
	__u32 rest;
	__u64 sk;

	head = bpf_ringbuf_reserve(&hostnames, sizeof(*head) + room, 0);
	if (!head) {
		__sync_fetch_and_add(&lost, 1);
		return;
	}
	/* The socket's address as a number: the verifier forbids to add to the pointer. */
	*(volatile __u64 *)&head->start_boottime_ns = (__u64)skb->sk;
	sk = *(volatile __u64 *)&head->start_boottime_ns;
	head->ts_ns = bpf_ktime_get_ns();
	head->cookie = cookie;
	head->start_boottime_ns = 0;
	head->tgid = 0;
	head->port = kind == HOSTNAME_ANSWER ? packet->source : packet->dest;
	head->seq = packet->tcp ? packet->seq : 0;
	head->bytes = packet->bytes;
	head->kind = kind;
	head->tcp = packet->tcp;
	__builtin_memset(head->pad, 0, sizeof(head->pad));
	if (kind == HOSTNAME_QUERY)
		fill_process(head, sk);
	/* At least 1 by arithmetic: the verifier of kernel 6.1 does not take that from a comparison with 0. */
	rest = copied - 1;
	asm volatile("" : "+w"(rest));
	if (rest >= room)
		rest = room - 1;
	if (bpf_skb_load_bytes(skb, packet->payload, head + 1, rest + 1)) {
		__sync_fetch_and_add(&lost, 1);
		bpf_ringbuf_discard(head, BPF_RB_NO_WAKEUP);
		return;
	}
	head->copied = rest + 1;
	bpf_ringbuf_submit(head, BPF_RB_NO_WAKEUP);
}

/* Copies at most `most` bytes of the payload. */
static __always_inline void copy_packet(struct __sk_buff *skb, const struct packet *packet,
					enum hostname_kind kind, __u64 cookie, __u32 most)
{
	__u32 copied = packet->bytes < most ? packet->bytes : most;
	__u32 room = HOSTNAME_COPY_BYTES;

	if (copied <= HOSTNAME_SMALL_BYTES)
		room = HOSTNAME_SMALL_BYTES;
	else if (copied <= HOSTNAME_MEDIUM_BYTES)
		room = HOSTNAME_MEDIUM_BYTES;
	if (!admit(bpf_ktime_get_ns(), room))
		return;
	if (kind != HOSTNAME_HELLO && packet->bytes > HOSTNAME_COPY_BYTES)
		__sync_fetch_and_add(&cut, 1);
	/* The size of a record is a constant for the verifier. */
	if (room == HOSTNAME_SMALL_BYTES)
		write_record(skb, packet, kind, cookie, copied, HOSTNAME_SMALL_BYTES);
	else if (room == HOSTNAME_MEDIUM_BYTES)
		write_record(skb, packet, kind, cookie, copied, HOSTNAME_MEDIUM_BYTES);
	else
		write_record(skb, packet, kind, cookie, copied, HOSTNAME_COPY_BYTES);
}

/* A ClientHello, or the rest of one. */
static __noinline int copy_hello(struct __sk_buff *skb, struct packet *packet)
{
	__u64 cookie = bpf_get_socket_cookie(skb);
	__u8 mark[HELLO_MARK_BYTES] = {};
	__u32 bytes, end, *rest;

	if (!packet)
		return 0;
	bytes = packet->bytes;
	if (hellos_open) {
		rest = bpf_map_lookup_elem(&hellos, &cookie);
		if (rest) {
			end = *rest;
			if ((__s32)(packet->seq + bytes - end) >= 0 &&
			    !bpf_map_delete_elem(&hellos, &cookie))
				__sync_fetch_and_add(&hellos_open, -1);
			if ((__s32)(end - packet->seq) > 0)
				copy_packet(skb, packet, HOSTNAME_HELLO, cookie, end - packet->seq);
			return 0;
		}
	}
	if (bytes >= HELLO_MARK_BYTES) {
		if (bpf_skb_load_bytes(skb, packet->payload, mark, HELLO_MARK_BYTES))
			return 0;
		if (mark[0] != TLS_HANDSHAKE || mark[1] != 3 || mark[5] != TLS_CLIENT_HELLO)
			return 0;
		end = TLS_HEADER_BYTES + (mark[3] << 8 | mark[4]);
	} else {
		if (bpf_skb_load_bytes(skb, packet->payload, mark, 1) || mark[0] != TLS_HANDSHAKE)
			return 0;
		end = HOSTNAME_COPY_BYTES;
	}
	if (end > HOSTNAME_COPY_BYTES) {
		end = HOSTNAME_COPY_BYTES;
		__sync_fetch_and_add(&cut, 1);
	}
	if (end > bytes) {
		end += packet->seq;
		if (!bpf_map_update_elem(&hellos, &cookie, &end, BPF_NOEXIST))
			__sync_fetch_and_add(&hellos_open, 1);
	}
	copy_packet(skb, packet, HOSTNAME_HELLO, cookie, HOSTNAME_COPY_BYTES);
	return 0;
}

static __noinline int copy_query(struct __sk_buff *skb, struct packet *packet)
{
	__u64 cookie = bpf_get_socket_cookie(skb);
	__u8 flags = 0, asked = 1;

	if (!packet)
		return 0;
	/* Answers of multicast DNS leave for that port, too. */
	if (!packet->tcp &&
	    (bpf_skb_load_bytes(skb, packet->payload + 2, &flags, 1) || flags & DNS_QR))
		return 0;
	bpf_map_update_elem(&askers, &cookie, &asked, BPF_ANY);
	copy_packet(skb, packet, HOSTNAME_QUERY, cookie, HOSTNAME_COPY_BYTES);
	return 0;
}

static __noinline int copy_answer(struct __sk_buff *skb, struct packet *packet)
{
	__u64 cookie = bpf_get_socket_cookie(skb);

	if (!packet)
		return 0;
	if (!bpf_map_lookup_elem(&askers, &cookie)) {
		__sync_fetch_and_add(&unasked, 1);
		return 0;
	}
	copy_packet(skb, packet, HOSTNAME_ANSWER, cookie, HOSTNAME_COPY_BYTES);
	return 0;
}

SEC("cgroup_skb/ingress")
int names_arrive(struct __sk_buff *skb)
{
	struct packet packet = {};

	if (read_packet(skb, &packet) && is_dns_port(&packet, packet.source))
		copy_answer(skb, &packet);
	return 1;
}

SEC("cgroup_skb/egress")
int names_leave(struct __sk_buff *skb)
{
	struct packet packet = {};
	struct bpf_tcp_sock *tcp;
	struct bpf_sock *sk;

	if (!read_packet(skb, &packet))
		return 1;
	if (is_dns_port(&packet, packet.dest)) {
		copy_query(skb, &packet);
	} else if (packet.tcp) {
		sk = skb->sk;
		if (!sk)
			return 1;
		sk = bpf_sk_fullsock(sk);
		if (!sk)
			return 1;
		tcp = bpf_tcp_sock(sk);
		if (tcp && tcp->data_segs_out <= FIRST_SEGMENTS)
			copy_hello(skb, &packet);
	}
	return 1;
}

/* Puts the types into the object's BTF, from which Rust takes them. */
const struct hostname_head *unused_head __attribute__((unused));
const enum hostname_kind *unused_kind __attribute__((unused));
