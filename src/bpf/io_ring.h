/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Reads and writes through io_uring: counted when they complete, and with --slow timed from their
 * submission on. */
#ifndef EBPFTOP_IO_RING_H
#define EBPFTOP_IO_RING_H

/* When each request was submitted, CLOCK_MONOTONIC, with --slow. One that completes without a
 * trace stays until its memory is used again or its place is needed. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1); /* set before loading */
	__type(key, __u64); /* struct io_kiocb */
	__type(value, __u64);
} submitted SEC(".maps");

/* include/uapi/linux/io_uring.h */
static __always_inline bool uring_reads(__u8 opcode)
{
	return opcode == 1 /* READV */ || opcode == 4 /* READ_FIXED */ || opcode == 22 /* READ */ ||
	       opcode == 60 /* READV_FIXED */;
}

static __always_inline bool uring_writes(__u8 opcode)
{
	return opcode == 2 /* WRITEV */ || opcode == 5 /* WRITE_FIXED */ ||
	       opcode == 23 /* WRITE */ || opcode == 61 /* WRITEV_FIXED */;
}

/* Between two files, of which the request holds one. */
static __always_inline bool uring_splices(__u8 opcode)
{
	return opcode == 30 /* SPLICE */ || opcode == 33 /* TEE */;
}

/* Its file is not known yet: requests on files of every type are kept. */
SEC("?tracepoint/io_uring/io_uring_submit_req")
int io_uring_begun(struct trace_event_raw_io_uring_submit_req *ctx)
{
	__u64 io = (__u64)ctx->req, now;

	if (!(uring_reads(ctx->opcode) || uring_writes(ctx->opcode)) || side > 1 ||
	    is_own(current_tgid()))
		return 0;
	now = bpf_ktime_get_ns();
	bpf_map_update_elem(&submitted, &io, &now, BPF_ANY);
	return 0;
}

/* How long the request took that completes, ns; 0: it is not known. */
static __always_inline __u64 end_of_request(__u64 io)
{
	__u64 *at = bpf_map_lookup_elem(&submitted, &io), took;

	if (!at)
		return 0;
	took = bpf_ktime_get_ns() - *at;
	bpf_map_delete_elem(&submitted, &io);
	return took ? took : 1;
}

/* Runs in a thread of the process: the one that called, a worker, or the SQ thread. */
SEC("tracepoint/io_uring/io_uring_complete")
int io_uring_done(struct trace_event_raw_io_uring_complete *ctx)
{
	__u64 io = (__u64)ctx->req;
	__s64 res = ctx->res;
	struct call call = { .ret = res, .nr = IO_URING_CALL, .side = side };
	bool reads, writes;
	__u8 opcode;

	if (!io || (res < 0 && !slow_ns) || call.side > 1)
		return 0;
	opcode = WORD(io_kiocb, io, opcode);
	reads = uring_reads(opcode);
	writes = uring_writes(opcode);
	call.task = bpf_get_current_task();
	call.tgid = current_tgid();
	if (is_own(call.tgid))
		return 0;
	if (uring_splices(opcode) && res > 0)
		add_uncounted(call.side, 1);
	if (!(reads || writes))
		return 0;
	if (slow_ns)
		call.took_ns = end_of_request(io);
	if (reads)
		count(WORD(io_kiocb, io, file), READS, &call, 0, BY_LOOP);
	else
		count(WORD(io_kiocb, io, file), WRITES, &call, 0, BY_LOOP);
	return 0;
}

/* A completion that finds no room in its ring: io_uring_complete does not fire, here or later
 * (io_uring/io_uring.c, io_cqe_overflow), and the request is not an argument. */
SEC("tracepoint/io_uring/io_uring_cqe_overflow")
int io_uring_overflowed(struct trace_event_raw_io_uring_cqe_overflow *ctx)
{
	__u32 now = side;

	if (ctx->res >= 0 && now <= 1 && !is_own(current_tgid()))
		add_uncounted(now, 1);
	return 0;
}

#endif
