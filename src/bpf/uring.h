/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Opens through io_uring: no system call of theirs is ever seen.
 *
 * A request is met when it is submitted (io_uring_submit_req, kernel 6.4: the name has been copied
 * in by then) and when it completes, maybe in a worker or in the SQ thread: both belong to the
 * process. The request is stored from one to the other; the name is freed before completion. */
#ifndef EBPFTOP_URING_H
#define EBPFTOP_URING_H

/* include/uapi/linux/io_uring.h */
#define IORING_OP_OPENAT 18
#define IORING_OP_OPENAT2 28
#define IORING_FILE_INDEX_ALLOC 0xffffffff
/* The lower byte of io_kiocb.flags is that of the submission (io_uring_types.h). */
#define IOSQE_CQE_SKIP_SUCCESS (1 << 6)

#if defined(__TARGET_ARCH_x86)
#define O_LARGEFILE_BIT 00100000ULL
#elif defined(__TARGET_ARCH_arm64)
#define O_LARGEFILE_BIT 00400000ULL
#endif

/* Requests under way. Not preallocated: 4 KiB each, and few machines have any. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct open_record);
} uring_pending SEC(".maps");

/* Requests with IOSQE_CQE_SKIP_SUCCESS: they complete visibly only when they fail, so most stay
 * here until the oldest ones are evicted. Apart from the others, whose room they would take. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 256);
	__type(key, __u64);
	__type(value, struct open_record);
} uring_silent SEC(".maps");

static __always_inline bool opens(__u8 opcode)
{
	return opcode == IORING_OP_OPENAT || opcode == IORING_OP_OPENAT2;
}

/* The struct filename of an open. */
static __always_inline __u64 filename_of(__u64 io)
{
	if (bpf_core_field_exists(struct io_open___delayed, filename.__incomplete_filename))
		return WORD(io_open___delayed, io, filename.__incomplete_filename);
	return WORD(io_open, io, filename);
}

SEC("tracepoint/io_uring/io_uring_submit_req")
int uring_submit(struct trace_event_raw_io_uring_submit_req *ctx)
{
	struct request req = { .syscall = CALL_IO_URING };
	struct open_counts *count;
	struct open_record *rec;
	__u64 io, name;
	long n;

	if (!opens(ctx->opcode))
		return 0;
	count = own_counts();
	rec = bpf_map_lookup_elem(&scratch, &zero);
	if (!count || !rec)
		return 0;
	io = (__u64)ctx->req;
	rec->head.ts_ns = bpf_ktime_get_ns();
	rec->head.uid = (__u32)bpf_get_current_uid_gid();
	read_names(&rec->head.names);
	fill_head(&rec->head, CALL_IO_URING);
	rec->head.ret = 0;
	req.dirfd = HALF(io_open, io, dfd);
	req.resolve = WORD(io_open, io, how.resolve);
	/* the kernel has put O_LARGEFILE in by itself (__io_openat_prep) */
	rec->head.flags = WORD(io_open, io, how.flags) & ~O_LARGEFILE_BIT;
	rec->head.mode = WORD(io_open, io, how.mode);
	rec->head.bits = OPEN_HAS_FLAGS;
	rec->head.slot = HALF(io_open, io, file_slot);
	rec->head.path_len = 0;
	name = WORD(filename, filename_of(io), name);
	n = bpf_probe_read_kernel_str(rec->path, PATH_BYTES + 1, (const void *)name);
	if (n >= 1 && n <= PATH_BYTES) {
		rec->head.path_len = n - 1;
		rec->head.bits |= OPEN_HAS_PATH;
	}
	/* The directory that it starts from, in case it fails: it may be another one by then. */
	place_tried(rec, &req, BY_LOOP);
	/* A request object is used again: an entry that is still here never completed visibly, and
	 * stays counted. */
	bpf_map_delete_elem(&uring_pending, &io);
	count->unfinished++;
	/* Without room the completion finds no entry, and counts that. */
	if (HALF(io_kiocb, io, flags) & IOSQE_CQE_SKIP_SUCCESS)
		bpf_map_update_elem(&uring_silent, &io, rec, BPF_ANY);
	else
		bpf_map_update_elem(&uring_pending, &io, rec, BPF_NOEXIST);
	return 0;
}

static __always_inline void finish(struct open_counts *count, struct open_record *rec, __s64 res)
{
	__u32 slot = rec->head.slot;

	rec->head.ret = res;
	rec->head.slot = 0;
	if (res >= 0) {
		rec->head.key = 0;
		rec->head.resolved = RESOLVED_NONE;
		if (slot) {
			rec->head.bits |= OPEN_HAS_SLOT;
			rec->head.slot = slot == IORING_FILE_INDEX_ALLOC ? res : slot - 1;
		} else {
			place_opened(&rec->head, file_of(res), BY_LOOP);
		}
	}
	output(count, rec);
}

/* A file that a request created or truncated: see emit_made(). A direct open has no descriptor by
 * which the file could be found. */
static __always_inline void emit_made_by_ring(const struct open_record *open, __s64 res)
{
	struct change_record *rec = bpf_map_lookup_elem(&change_scratch, &zero);
	__u32 len = open->head.path_len & (PATH_BYTES - 1);
	__u64 file;
	__u8 op;

	if (res >= 0 && open->head.slot)
		return;
	op = open_change_of(open->head.flags, res, &file);
	if (op == OP_NONE || !rec)
		return;
	rec->change.head.uid = open->head.uid;
	rec->change.head.names = open->head.names;
	if (!begin_change(rec, res, true))
		return;
	fill_made(rec, op, CALL_IO_URING, open->head.flags, open->head.mode, res);
	rec->change.head.tid = open->head.tid;
	if (open->head.bits & OPEN_HAS_PATH &&
	    !bpf_probe_read_kernel(rec->texts, len, open->path)) {
		rec->change.head.path_len = len;
		rec->change.head.bits |= OPEN_HAS_PATH;
	}
	if (res < 0) {
		rec->change.head.key = open->head.key;
		rec->change.head.resolved = open->head.resolved;
	} else {
		place_changed(rec, file, BY_LOOP);
	}
	output_change(rec);
}

/* Likewise, of a request that was not met when it was submitted. A good one was prepared, so it still has
 * all but its path; a failed one, which may not have been, counts as lost. */
static __always_inline void emit_made_by_unknown(__u64 io, __s64 res)
{
	struct change_record *change = bpf_map_lookup_elem(&change_scratch, &zero);
	struct open_record *open = bpf_map_lookup_elem(&scratch, &zero);

	if (!open || !change)
		return;
	if (res < 0) {
		if (begin_change(change, res, false))
			count_lost_change();
		return;
	}
	open->head.uid = (__u32)bpf_get_current_uid_gid();
	read_names(&open->head.names);
	fill_head(&open->head, CALL_IO_URING);
	open->head.flags = WORD(io_open, io, how.flags) & ~O_LARGEFILE_BIT;
	open->head.mode = WORD(io_open, io, how.mode);
	open->head.slot = HALF(io_open, io, file_slot);
	open->head.path_len = 0;
	emit_made_by_ring(open, res);
}

static __always_inline void report_completed(struct open_counts *count, struct open_record *rec,
					     __s64 res)
{
	count->seen++;
	if (wanted(res, rec->head.uid, &rec->head.names))
		finish(count, rec, res);
	else
		count->skipped++;
}

SEC("tracepoint/io_uring/io_uring_complete")
int uring_complete(struct trace_event_raw_io_uring_complete *ctx)
{
	struct open_counts *count;
	struct open_record *rec;
	__u64 io = (__u64)ctx->req;
	__s64 res = ctx->res;

	if (!io || !opens((__u8)WORD(io_kiocb, io, opcode)))
		return 0;
	count = own_counts();
	if (!count)
		return 0;
	rec = bpf_map_lookup_elem(&uring_pending, &io);
	if (!rec)
		rec = bpf_map_lookup_elem(&uring_silent, &io);
	if (rec) {
		count->unfinished--;
		rec->head.ts_ns = bpf_ktime_get_ns();
		if (in_window(rec->head.ts_ns)) {
			if (report_changes)
				emit_made_by_ring(rec, res);
			if (report_opens)
				report_completed(count, rec, res);
		}
		bpf_map_delete_elem(&uring_pending, &io);
		bpf_map_delete_elem(&uring_silent, &io);
		return 0;
	}
	/* Submitted before we were here, refused before it was submitted, or no room was left. */
	if (report_changes)
		emit_made_by_unknown(io, res);
	rec = report_opens ? begin(count, res) : 0;
	if (!rec)
		return 0;
	count->unnamed++;
	fill_head(&rec->head, CALL_IO_URING);
	rec->head.flags = 0;
	rec->head.mode = 0;
	rec->head.path_len = 0;
	/* a good one was prepared: the result of a direct one is a slot */
	if (res >= 0)
		rec->head.slot = HALF(io_open, io, file_slot);
	finish(count, rec, res);
	return 0;
}

#endif
