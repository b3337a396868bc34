// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* TCP listeners and bound UDP sockets of all network namespaces, by the files that processes have open.
 * An iterator, read on demand: nothing is attached to what others do. */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include "kernel.h"
#include "socket.h"
#include "listeners.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* include/uapi/linux/stat.h */
#define S_IFMT 00170000
#define S_IFSOCK 0140000

/* Unix sockets that listen are wanted, too. */
const volatile bool with_unix = false;

/* A socket that waits for others, as `sock_diag` chooses them. */
static __always_inline bool listens(__u64 sk)
{
	__u16 protocol = (__u16)WORD(sock, sk, sk_protocol);
	__u8 state = (__u8)WORD(sock, sk, __sk_common.skc_state);

	if (protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP)
		return state == TCP_LISTEN;
	return protocol == IPPROTO_UDP && state == TCP_CLOSE &&
	       (__u16)WORD(sock, sk, __sk_common.skc_num);
}

/* The socket that has the queue: of MPTCP the subflow that listens, which sock_diag lists with the inode of the
 * MPTCP socket (net/mptcp/protocol.c); 0 where it cannot be read. */
static __always_inline __u64 with_queue(__u64 sk)
{
	if ((__u16)WORD(sock, sk, sk_protocol) != IPPROTO_MPTCP)
		return sk;
	if (!bpf_core_field_exists(struct mptcp_sock, first))
		return 0;
	return WORD(mptcp_sock, sk, first);
}

/* Datagram sockets take no connections. */
static __always_inline bool unix_listens(__u64 sk)
{
	return with_unix && (__u8)WORD(sock, sk, __sk_common.skc_state) == TCP_LISTEN;
}

/* Reads the bound name, an abstract one with its first NUL; returns its bytes. */
static __always_inline __u32 read_name(__u8 name[LISTENER_NAME_BYTES], __u64 sk)
{
	const __u32 path = bpf_core_field_offset(struct sockaddr_un, sun_path);
	__u64 addr, at;
	__u32 len;

	/* a part of the kernel that may be a module */
	if (!bpf_core_type_exists(struct unix_sock))
		return 0;
	addr = WORD(unix_sock, sk, addr);
	if (!addr)
		return 0;
	at = addr + bpf_core_field_offset(struct unix_address, name) + path;
	len = HALF(unix_address, addr, len) - path;
	if (len > LISTENER_NAME_BYTES)
		return 0;
	if (bpf_probe_read_kernel(name, len, (const void *)at))
		return 0;
	return len;
}

SEC("iter/task_file")
int listening_files(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct listener_record record = {};
	__u8 name[LISTENER_NAME_BYTES];
	__u64 inode, leader, sk, net, queue;
	__u32 name_len = 0;
	__u16 family;

	if (!task || !file)
		return 0;
	/* The kernel leaves out threads that share the files of a living leader. */
	leader = WORD(task_struct, (__u64)task, group_leader);
	inode = (__u64)file->f_inode;
	if (((__u16)WORD(inode, inode, i_mode) & S_IFMT) != S_IFSOCK)
		return 0;
	/* none where the path of a socket is open (O_PATH) */
	sk = WORD(socket, WORD(file___socket, (__u64)file, private_data), sk);
	if (!sk)
		return 0;
	family = (__u16)WORD(sock, sk, __sk_common.skc_family);
	if (family == AF_UNIX && unix_listens(sk)) {
		queue = sk;
		record.unix_type = (__u8)WORD(sock, sk, sk_type);
		/* as sk_diag_show_rqlen of net/unix/diag.c */
		record.waiting = HALF(sock, sk, sk_receive_queue.qlen);
		__builtin_memset(name, 0, sizeof(name));
		name_len = read_name(name, sk);
	} else if ((family == AF_INET || family == AF_INET6) && listens(sk)) {
		queue = with_queue(sk);
		/* as tcp_diag_get_info of net/ipv4/tcp_diag.c */
		if (queue) {
			record.waiting = HALF(sock, queue, sk_ack_backlog);
			record.drops = HALF(sock, queue, sk_drops.counter);
		}
	} else {
		return 0;
	}
	record.start_boottime_ns = WORD(task_struct, leader, start_boottime);
	record.tgid = HALF(task_struct, leader, tgid);
	record.uid = HALF(cred, WORD(task_struct, leader, real_cred), uid.val);
	bpf_probe_read_kernel(record.process, sizeof(record.process),
			      (void *)(leader + bpf_core_field_offset(struct task_struct, comm)));
	net = WORD(sock, sk, __sk_common.skc_net.net);
	record.netns = HALF(net, net, ns.inum);
	record.inode = HALF(inode, inode, i_ino);
	record.has_queue = queue != 0;
	if (queue)
		record.limit = HALF(sock, queue, sk_max_ack_backlog);
	record.name_len = name_len;
	/* Where there is no room the kernel comes with the same file again. */
	if (!bpf_seq_write(ctx->meta->seq, &record, sizeof(record)) && name_len &&
	    name_len <= LISTENER_NAME_BYTES)
		bpf_seq_write(ctx->meta->seq, name, name_len);
	return 0;
}

/* Puts the type into the object's BTF, from which Rust takes it. */
const struct listener_record *unused_listener __attribute__((unused));
