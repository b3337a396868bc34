/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Changes of files through io_uring: stored from submission, when the names have been copied in, to
 * completion, as opens are (uring.h). */
#ifndef EBPFTOP_CHANGES_RING_H
#define EBPFTOP_CHANGES_RING_H

/* include/uapi/linux/io_uring.h */
#define IORING_OP_RENAMEAT 35
#define IORING_OP_UNLINKAT 36
#define IORING_OP_MKDIRAT 37
#define IORING_OP_SYMLINKAT 38
#define IORING_OP_LINKAT 39

/* Requests under way. Not preallocated: 8 KiB each, and few machines have any. One with
 * IOSQE_CQE_SKIP_SUCCESS completes visibly only when it fails, so it is not stored. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct change_record);
} ring_pending SEC(".maps");

static __always_inline bool changes(__u8 opcode)
{
	return opcode >= IORING_OP_RENAMEAT && opcode <= IORING_OP_LINKAT;
}

/* The struct filename in a request: see filename_of(). */
#define FILENAME(type, io, field)                                                                  \
	(bpf_core_field_exists(struct type##___delayed, field.__incomplete_filename) ?             \
		 WORD(type##___delayed, io, field.__incomplete_filename) :                         \
		 WORD(type, io, field))

/* The change that a request asks for; its names are the kernel's copies. */
static __always_inline void decode_request(struct change *c, __u8 opcode, __u64 io)
{
	__u64 path = 0, to = 0;

	c->call = CALL_IO_URING;
	c->dirfd = c->to_dirfd = AT_FDCWD;
	switch (opcode) {
	case IORING_OP_UNLINKAT:
		c->dirfd = HALF(io_unlink, io, dfd);
		c->flags = HALF(io_unlink, io, flags);
		c->op = c->flags & AT_REMOVEDIR ? OP_RMDIR : OP_UNLINK;
		path = FILENAME(io_unlink, io, filename);
		break;
	case IORING_OP_MKDIRAT:
		c->dirfd = HALF(io_mkdir, io, dfd);
		c->value = (__u16)HALF(io_mkdir, io, mode);
		c->op = OP_MKDIR;
		path = FILENAME(io_mkdir, io, filename);
		break;
	case IORING_OP_RENAMEAT:
		c->dirfd = HALF(io_rename, io, old_dfd);
		c->to_dirfd = HALF(io_rename, io, new_dfd);
		c->flags = HALF(io_rename, io, flags);
		c->op = OP_RENAME;
		path = FILENAME(io_rename, io, oldpath);
		to = FILENAME(io_rename, io, newpath);
		break;
	case IORING_OP_LINKAT:
		c->dirfd = HALF(io_link, io, old_dfd);
		c->flags = HALF(io_link, io, flags);
		/* fallthrough */
	case IORING_OP_SYMLINKAT:
		c->to_dirfd = HALF(io_link, io, new_dfd);
		c->op = opcode == IORING_OP_LINKAT ? OP_LINK : OP_SYMLINK;
		path = FILENAME(io_link, io, oldpath);
		to = FILENAME(io_link, io, newpath);
		break;
	}
	if (path)
		c->path = WORD(filename, path, name);
	if (to)
		c->to = WORD(filename, to, name);
}

SEC("?tracepoint/io_uring/io_uring_submit_req")
int ring_submit(struct trace_event_raw_io_uring_submit_req *ctx)
{
	struct change_record *rec;
	struct change c = {};
	__u64 io;

	if (!changes(ctx->opcode))
		return 0;
	rec = bpf_map_lookup_elem(&change_scratch, &zero);
	if (!rec)
		return 0;
	io = (__u64)ctx->req;
	/* A request object is used again: an entry that is still here never completed visibly, as its
	 * completion found no room in its ring. The result is not known. */
	if (!bpf_map_delete_elem(&ring_pending, &io) && begin_change(rec, 0, false))
		count_lost_change();
	if (HALF(io_kiocb, io, flags) & IOSQE_CQE_SKIP_SUCCESS)
		return 0;
	rec->change.head.uid = (__u32)bpf_get_current_uid_gid();
	read_names(&rec->change.head.names);
	decode_request(&c, ctx->opcode, io);
	fill_from(rec, &c, OF_KERNEL, BY_LOOP);
	/* Without room the completion finds no entry, and counts that. */
	bpf_map_update_elem(&ring_pending, &io, rec, BPF_NOEXIST);
	return 0;
}

SEC("?tracepoint/io_uring/io_uring_complete")
int ring_complete(struct trace_event_raw_io_uring_complete *ctx)
{
	struct change_record *rec;
	__u64 io = (__u64)ctx->req;
	__s64 res = ctx->res;

	if (!io || !changes((__u8)WORD(io_kiocb, io, opcode)))
		return 0;
	rec = bpf_map_lookup_elem(&ring_pending, &io);
	if (rec) {
		if (begin_change(rec, res, true)) {
			rec->change.head.ret = res;
			output_change(rec);
		}
		bpf_map_delete_elem(&ring_pending, &io);
		return 0;
	}
	/* Submitted before we were here, refused before it was submitted, or no room was left. */
	rec = bpf_map_lookup_elem(&change_scratch, &zero);
	if (rec && begin_change(rec, res, false))
		count_lost_change();
	return 0;
}

#endif
