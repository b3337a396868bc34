/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Changes of files and directories: one record for each return from a call that makes, removes,
 * renames or alters one.
 *
 * A call names a file by text, and at its return the kernel no longer has the file. So the place of
 * a path is that of the directory it starts from (the root, the working directory, a descriptor), and
 * the text as passed. A file behind a descriptor has the place that the kernel holds: of fchmod,
 * fchown, ftruncate, and of each file that an open has created or truncated. */
#ifndef EBPFTOP_CHANGES_H
#define EBPFTOP_CHANGES_H

#include "change_calls.h"

/* Whether opens, and changes, are reported. */
const volatile bool report_opens = true, report_changes = false;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct change_record);
} change_scratch SEC(".maps");

#if defined(__TARGET_ARCH_x86)
#define O_CREAT_BIT 0100ULL
#define O_EXCL_BIT 0200ULL
#define O_TRUNC_BIT 01000ULL
#define O_PATH_BIT 010000000ULL
#elif defined(__TARGET_ARCH_arm64) /* the same: asm-generic/fcntl.h */
#define O_CREAT_BIT 0100ULL
#define O_EXCL_BIT 0200ULL
#define O_TRUNC_BIT 01000ULL
#define O_PATH_BIT 010000000ULL
#endif
#define FMODE_CREATED 0x100000 /* include/linux/fs.h, kernel 4.19 */
#define S_IFMT 0170000
#define S_IFREG 0100000
#define FMODE_WRITE 2 /* include/linux/fs.h */

/* Counts a change, and sets the record's time, user and names but where it `has_names`. False where
 * it is not wanted. */
static __always_inline bool begin_change(struct change_record *rec, long ret, bool has_names)
{
	struct open_counts *count = own_counts();
	struct open_head *head = &rec->change.head;

	if (!count) /* never: it has one element a CPU */
		return false;
	head->ts_ns = bpf_ktime_get_ns();
	if (!in_window(head->ts_ns))
		return false;
	if (own_tgid && (__u32)(bpf_get_current_pid_tgid() >> 32) == own_tgid)
		return false;
	count->changes_seen++;
	if (!has_names) {
		head->uid = (__u32)bpf_get_current_uid_gid();
		read_names(&head->names);
	}
	return wanted(ret, head->uid, &head->names);
}

/* Everything that is not known yet is nothing. */
static __always_inline void fill_change(struct change_record *rec, __u8 call, __u8 op)
{
	fill_head(&rec->change.head, call);
	rec->change.head.record = RECORD_CHANGE;
	rec->change.head.ret = 0;
	rec->change.head.flags = 0;
	rec->change.head.mode = 0;
	rec->change.head.path_len = 0;
	rec->change.to_key = 0;
	rec->change.value = 0;
	rec->change.to_len = 0;
	rec->change.to_resolved = RESOLVED_NONE;
	rec->change.op = op;
	rec->change.pad = 0;
}

static __always_inline void count_lost_change(void)
{
	struct open_counts *count = own_counts();

	if (count)
		count->changes_lost++;
}

static __always_inline void output_change(struct change_record *rec)
{
	__u64 bytes = (__u64)rec->change.head.path_len + rec->change.to_len;

	if (write_record(rec, CHANGE_HEAD_BYTES + (bytes & (2 * PATH_BYTES - 1))))
		count_lost_change();
}

/* The end of the texts of a record so far. */
static __always_inline __u8 *next_text(struct change_record *rec)
{
	return &rec->texts[rec->change.head.path_len & (PATH_BYTES - 1)];
}

/* The length of a text that was read with its NUL; -1 for none. See fill_path(). */
static __always_inline long text_len(long n)
{
	if (n < 0 || n > PATH_BYTES)
		return -1;
	return n ? n - 1 : 0;
}

/* The memory that a text is in: a program's, or a struct filename's. */
enum memory {
	OF_USER,
	OF_KERNEL,
};

static __always_inline long read_text(__u8 *to, __u64 from, enum memory memory)
{
	if (memory == OF_KERNEL)
		return text_len(bpf_probe_read_kernel_str(to, PATH_BYTES + 1, (const void *)from));
	return text_len(bpf_probe_read_user_str(to, PATH_BYTES + 1, (const void *)from));
}

static __always_inline void fill_texts(struct change_record *rec, __u64 path, __u64 to,
				       enum memory memory)
{
	long n;

	if (path) {
		n = read_text(rec->texts, path, memory);
		if (n >= 0) {
			rec->change.head.path_len = n;
			rec->change.head.bits |= OPEN_HAS_PATH;
		}
	}
	if (to) {
		n = read_text(next_text(rec), to, memory);
		if (n >= 0) {
			rec->change.to_len = n;
			rec->change.head.bits |= OPEN_HAS_TO;
		}
	}
}

/* The directory that the second name starts from. */
static __always_inline void place_to(struct change_record *rec, __s32 dirfd, enum repeat repeat)
{
	if (rec->change.head.bits & OPEN_HAS_TO)
		rec->change.to_resolved =
			place_base(&rec->change.to_key, dirfd,
				   rec->change.to_len && *next_text(rec) == '/', repeat);
}

/* All but the result, and the parts of begin_change(). */
static __always_inline void fill_from(struct change_record *rec, const struct change *c,
				      enum memory memory, enum repeat repeat)
{
	struct open_head *head = &rec->change.head;
	bool by_fd = c->by_fd;

	fill_change(rec, c->call, c->op);
	fill_texts(rec, c->path, c->to, memory);
	/* a path that could not be read is not an empty one */
	if (c->flags & AT_EMPTY_PATH && c->op != OP_RENAME && head->bits & OPEN_HAS_PATH &&
	    !head->path_len && c->dirfd != AT_FDCWD)
		by_fd = true;
	if (by_fd)
		place_opened(head, file_of(c->dirfd), repeat);
	else if (c->op != OP_SYMLINK && head->bits & OPEN_HAS_PATH)
		/* the text of a symbolic link names nothing yet */
		head->resolved = place_base(&head->key, c->dirfd,
					    head->path_len && rec->texts[0] == '/', repeat);
	place_to(rec, c->to_dirfd, repeat);
	head->flags = c->flags;
	rec->change.value = c->value;
}

static __always_inline int emit_change_returned(struct trace_event_raw_sys_exit *ctx,
						enum repeat repeat)
{
	struct change_record *rec = bpf_map_lookup_elem(&change_scratch, &zero);
	struct change c = {};
	__u64 args[CALL_ARGS] = {}, entry_ns;
	bool known;

	c.call = change_of((__u32)ctx->id);
	known = args_at_exit(args, &entry_ns);
	if (!rec || !begin_change(rec, ctx->ret, false))
		return 0;
	if (!known) {
		/* kernel before 5.15, and the table was full: not even the operation is known */
		count_lost_change();
		return 0;
	}
	decode_change(&c, args);
	fill_from(rec, &c, OF_USER, repeat);
	rec->change.head.ret = ctx->ret;
	output_change(rec);
	return 0;
}

/* Attached to the sys_exit tracepoint of every call in change_of(). */
SEC("tracepoint/syscalls/sys_exit_unlinkat")
int change_exit(struct trace_event_raw_sys_exit *ctx)
{
	return ALONE(emit_change_returned(ctx, BY_LOOP));
}

SEC("?tracepoint/syscalls/sys_exit_unlinkat")
int change_exit_516(struct trace_event_raw_sys_exit *ctx)
{
	return ALONE(emit_change_returned(ctx, BY_CALL));
}

SEC("?tracepoint/syscalls/sys_enter_unlinkat")
int change_enter(struct trace_event_raw_sys_enter *ctx)
{
	keep_pending(ctx);
	return 0;
}

static __always_inline bool is_regular(__u64 file)
{
	/* only regular files are truncated (do_open, fs/namei.c) */
	__u64 dentry = WORD(file, file, f_path.dentry), inode = WORD(dentry, dentry, d_inode);

	return inode && (HALF(inode, inode, i_mode) & S_IFMT) == S_IFREG;
}

/* The change that an open made to the file itself; OP_NONE for most. A failed one is a failed creation where it
 * could do nothing else (O_EXCL). */
static __always_inline __u8 open_change_of(__u64 flags, long ret, __u64 *file)
{
	*file = 0;
	/* O_TMPFILE makes no name; with O_PATH the kernel drops the others (build_open_flags) */
	if (!(flags & (O_CREAT_BIT | O_TRUNC_BIT)) || flags & (O_TMPFILE_BIT | O_PATH_BIT))
		return OP_NONE;
	if (ret < 0)
		return flags & O_CREAT_BIT && flags & O_EXCL_BIT ? OP_CREATE : OP_NONE;
	*file = file_of(ret);
	if (!*file)
		return OP_NONE;
	if (HALF(file, *file, f_mode) & FMODE_CREATED)
		return OP_CREATE;
	return flags & O_TRUNC_BIT && is_regular(*file) ? OP_TRUNCATE : OP_NONE;
}

/* Counts an open as a lost change where its arguments are not known and it may be one: it failed, or it
 * opened a regular file for writing. */
static __always_inline void count_unknown_open(struct change_record *rec, long ret)
{
	__u64 file = ret >= 0 ? file_of(ret) : 0;

	if (file && !(HALF(file, file, f_mode) & FMODE_WRITE && is_regular(file)))
		return;
	if (begin_change(rec, ret, false))
		count_lost_change();
}

/* Resolves a file that was created: its directory, which most often is known already, and the name
 * that it has there. */
static __always_inline void place_made(struct change_record *rec, __u64 file, enum repeat repeat)
{
	__u64 dentry = 0, mnt = 0, words[2];
	bool anon;
	long n;

	path_of_file(file, &dentry, &mnt);
	if (!dentry)
		return;
	WORDS(dentry, dentry, d_hash.pprev, d_parent, words);
	/* removed again, or the root of a bind mount: the walk has to begin at the file */
	if (!words[0] || dentry == WORD(vfsmount, mnt, mnt_root)) {
		place_opened(&rec->change.head, file, repeat);
		return;
	}
	rec->change.head.key = place_of(words[1], mnt, &anon, repeat);
	if (!rec->change.head.key || anon)
		return;
	n = text_len(bpf_probe_read_kernel_str(next_text(rec), PATH_BYTES,
					       (const void *)WORD(dentry, dentry, d_name.name)));
	if (n <= 0)
		return;
	rec->change.to_len = n;
	rec->change.head.resolved = RESOLVED_MADE;
}

/* A change by an open: what it asked for. */
static __always_inline void fill_made(struct change_record *rec, __u8 op, __u8 call, __u64 flags,
				      __u32 mode, long ret)
{
	fill_change(rec, call, op);
	rec->change.head.ret = ret;
	rec->change.head.flags = flags;
	rec->change.head.mode = mode;
}

/* The file that a good open created or truncated. */
static __always_inline void place_changed(struct change_record *rec, __u64 file, enum repeat repeat)
{
	if (rec->change.op == OP_CREATE)
		place_made(rec, file, repeat);
	else
		place_opened(&rec->change.head, file, repeat);
}

/* An open returned: reports the file that it created or truncated. */
static __always_inline void emit_made(struct request *req, long ret, enum repeat repeat)
{
	struct open_how how = { .flags = req->flags, .mode = req->mode, .resolve = req->resolve };
	struct change_record *rec = bpf_map_lookup_elem(&change_scratch, &zero);
	__u64 file;
	bool absolute;
	__u8 op;

	if (!rec)
		return;
	if (req->syscall == CALL_OPENAT2 && req->known &&
	    (!req->how || bpf_probe_read_user(&how, sizeof(how), (const void *)req->how))) {
		if (ret < 0) /* the kernel could not read it either */
			return;
		req->known = false;
	}
	/* the file itself says that it was created */
	op = open_change_of(req->known ? how.flags : O_CREAT_BIT, ret, &file);
	if (op == OP_NONE && !req->known)
		count_unknown_open(rec, ret);
	if (op == OP_NONE || !begin_change(rec, ret, false))
		return;
	fill_made(rec, op, req->syscall, how.flags, how.mode, ret);
	fill_texts(rec, req->path, 0, OF_USER);
	absolute = rec->change.head.path_len && rec->texts[0] == '/';
	if (ret >= 0)
		place_changed(rec, file, repeat);
	else if (rec->change.head.bits & OPEN_HAS_PATH)
		rec->change.head.resolved =
			place_base(&rec->change.head.key, req->dirfd,
				   absolute && !(how.resolve & RESOLVE_IN_ROOT), repeat);
	output_change(rec);
}

#endif
