/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Resolves a file: the walk from its dentry to the root of the task's mount namespace.
 *
 * Every open walks once and folds what it meets into a 64-bit key: the leaf's dentry and inode,
 * each name's hash and length as the dentry keeps them, each mount. A file system with a hash of
 * its own (casefold, vfat, exfat, cifs) may ignore case in it: there the names themselves are
 * folded in. So a rename changes the key. Names are copied only for a key that is not known yet, by
 * a second walk that must give the same key: a tree that changes under the walk gives no name
 * rather than a wrong one. */
#ifndef EBPFTOP_PLACE_H
#define EBPFTOP_PLACE_H

/* A path of 4,095 bytes has at most 2,047 names; mounts can be stacked on top. */
#define FIRST_STEPS 12
#define WALK_STEPS 2560

/* How the steps are repeated: by bpf_loop (kernel 5.17), or by a loop around a global function
 * (5.6), which the verifier walks once. A kernel without bpf_loop refuses every program that has
 * the address of a function in it, reached or not (BPF_PSEUDO_FUNC, 5.13): so the programs are
 * there twice, and this is a constant in each. */
enum repeat {
	BY_LOOP,
	BY_CALL,
};

enum walk_end {
	WALK_ON, /* out of steps */
	WALK_TOP, /* a mount that hangs in no other */
	WALK_ESCAPED, /* above the root of a bind mount, or never in a tree */
	WALK_FAILED,
};

struct walk {
	__u64 dentry; /* struct dentry */
	__u64 mnt; /* struct mount */
	__u64 root; /* the dentry at mnt's root */
	__u64 key;
	__u32 names_len;
	__u32 end;
	__u64 by_text; /* names are folded in, not their hashes alone */
};

/* Keys met in this epoch: sets of eight in a cache line, written without a lock. A write that is
 * lost to another CPU costs a second name record, nothing else. Each ring has its own, so that a
 * name stands before the opens that refer to it in the same ring. */
#define KNOWN_SETS 4096
struct known_set {
	__u64 keys[8];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, KNOWN_SETS); /* times the rings, set before loading */
	__type(key, __u32);
	__type(value, struct known_set);
} known SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct name_record);
} name_scratch SEC(".maps");

/* Raised by the reader when it drops old names: every key is new then. */
__u32 epoch = 0;
/* Random, so that no user can choose names whose keys collide. */
const volatile __u64 key_seed = 1;

static __always_inline __u64 fold(__u64 key, __u64 word)
{
	key = (key ^ word) * 0x9e3779b97f4a7c15ULL;
	return key ^ (key >> 29);
}

static __always_inline __u64 real_mount(__u64 vfsmount)
{
	return vfsmount - bpf_core_field_offset(struct mount, mnt);
}

/* include/linux/dcache.h: the file system hashes names its own way. In the lower half of the word. */
#define DCACHE_OP_HASH 1

static __always_inline bool has_own_hash(__u64 dentry)
{
	return WORD(dentry, dentry, d_flags) & DCACHE_OP_HASH;
}

/* Bytes of a name that are folded in; file systems with a hash of their own have no longer ones. */
#define TEXT_BYTES 1024

struct text {
	__u64 words[TEXT_BYTES / sizeof(__u64)];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct text);
} text_scratch SEC(".maps");

/* Folds a dentry's name into the key. A global function: the verifier walks its loop once. */
__noinline __u64 fold_text(__u64 key, __u64 dentry)
{
	__u32 first = 0, i;
	struct text *text = bpf_map_lookup_elem(&text_scratch, &first);
	__u64 name = WORD(dentry, dentry, d_name.name);
	long n;

	if (!text)
		return key;
	n = bpf_probe_read_kernel_str(text, sizeof(*text), (const void *)name);
	for (i = 0; i < TEXT_BYTES / sizeof(__u64); i++) {
		long left = n - (long)(i * sizeof(__u64));
		__u64 word = text->words[i];

		if (left <= 0)
			break;
		/* beyond the NUL stand the bytes of other names */
		if (left < (long)sizeof(word))
			word &= (1ULL << (left * 8)) - 1;
		key = fold(key, word);
	}
	return key;
}

/* One step up; `names` is where names are copied to, if they are. */
static __always_inline long step(struct walk *w, struct name_record *names)
{
	__u64 parent, hash_len, words[2];

	if (w->dentry == w->root) {
		WORDS(mount, w->mnt, mnt_parent, mnt_mountpoint, words);
		parent = words[0];
		if (parent == w->mnt || !parent) {
			w->end = parent ? WALK_TOP : WALK_FAILED;
			return 1;
		}
		w->key = fold(w->key, w->mnt);
		w->dentry = words[1];
		w->mnt = parent;
		w->root = WORD(mount, parent, mnt.mnt_root);
		w->by_text = has_own_hash(w->dentry);
		return 0;
	}
	WORDS(dentry, w->dentry, d_parent, d_name.hash_len, words);
	parent = words[0];
	if (parent == w->dentry || !parent) {
		w->end = parent ? WALK_ESCAPED : WALK_FAILED;
		return 1;
	}
	hash_len = words[1];
	w->key = fold(w->key, hash_len);
	if (w->by_text)
		w->key = fold_text(w->key, w->dentry);
	if (names) {
		__u64 name;
		long n;

		name = WORD(dentry, w->dentry, d_name.name);
		if (w->names_len >= PATH_BYTES) {
			w->end = WALK_FAILED;
			return 1;
		}
		n = bpf_probe_read_kernel_str(&names->names[w->names_len & (PATH_BYTES - 1)],
					      PATH_BYTES, (const void *)name);
		/* the length stands in the upper half on both byte orders that Linux has */
		if (n < 1 || (__u64)n != (hash_len >> 32) + 1) {
			w->end = WALK_FAILED;
			return 1;
		}
		w->names_len += n;
	}
	w->dentry = parent;
	return 0;
}

static long step_fold(__u32 i, struct walk *w)
{
	(void)i;
	return step(w, 0);
}

/* The context of step_copy. */
struct copying {
	struct walk *walk;
	struct name_record *names;
};

static long step_copy(__u32 i, struct copying *c)
{
	(void)i;
	return step(c->walk, c->names);
}

/* Below kernel 5.12 a global function takes numbers alone: the walk is found here. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct walk);
} walk_scratch SEC(".maps");

__noinline int step_called(__u32 copy)
{
	__u32 first = 0;
	struct walk *w = bpf_map_lookup_elem(&walk_scratch, &first);
	struct name_record *names;

	if (!w)
		return 1;
	if (!copy)
		return step(w, 0);
	names = bpf_map_lookup_elem(&name_scratch, &first);
	return names ? step(w, names) : 1;
}

/* The verifier goes round a loop as often as it may run, but into a global function once: so the
 * loop is one of loops of loops. */
__noinline int steps_16(__u32 copy)
{
	int i;

	for (i = 0; i < 16; i++)
		if (step_called(copy))
			return 1;
	return 0;
}

__noinline int steps_256(__u32 copy)
{
	int i;

	for (i = 0; i < 16; i++)
		if (steps_16(copy))
			return 1;
	return 0;
}

/* The first steps of a walk that copies nothing: most are no longer than this, and stay in
 * registers, without a call and its stores for each step. False where steps are left, from a file
 * system on whose names are folded in as well. */
static __always_inline bool first_steps(struct walk *w)
{
	__u64 dentry = w->dentry, mnt = w->mnt, root = w->root, key = w->key;
	int i;

	for (i = 0; i < FIRST_STEPS && !w->by_text; i++) {
		__u64 parent, words[2];

		if (dentry == root) {
			WORDS(mount, mnt, mnt_parent, mnt_mountpoint, words);
			parent = words[0];
			if (parent == mnt || !parent) {
				w->end = parent ? WALK_TOP : WALK_FAILED;
				break;
			}
			key = fold(key, mnt);
			dentry = words[1];
			mnt = parent;
			root = WORD(mount, parent, mnt.mnt_root);
			w->by_text = has_own_hash(dentry);
			continue;
		}
		WORDS(dentry, dentry, d_parent, d_name.hash_len, words);
		parent = words[0];
		if (parent == dentry || !parent) {
			w->end = parent ? WALK_ESCAPED : WALK_FAILED;
			break;
		}
		key = fold(key, words[1]);
		dentry = parent;
	}
	w->dentry = dentry;
	w->mnt = mnt;
	w->root = root;
	w->key = key;
	return w->end != WALK_ON;
}

static __always_inline void walk_up(struct walk *w, struct name_record *names, enum repeat repeat)
{
	struct copying copying = { .walk = w, .names = names };
	int i;

	if (!names && first_steps(w))
		return;
	if (repeat == BY_CALL) {
		for (i = 0; i < WALK_STEPS / 256; i++)
			if (steps_256(names != 0))
				break;
	} else if (names) {
		bpf_loop(WALK_STEPS, step_copy, &copying, 0);
	} else {
		bpf_loop(WALK_STEPS, step_fold, w, 0);
	}
}

static __always_inline void walk_from(struct walk *w, __u64 dentry, __u64 vfsmount, __u32 in_epoch)
{
	__u64 inode, ino = 0;

	w->dentry = dentry;
	w->mnt = real_mount(vfsmount);
	w->end = WALK_ON;
	w->names_len = 0;
	w->by_text = has_own_hash(dentry);
	w->root = WORD(vfsmount, vfsmount, mnt_root);
	inode = WORD(dentry, dentry, d_inode);
	if (inode)
		ino = WORD(inode, inode, i_ino);
	w->key = fold(fold(fold(key_seed, in_epoch), dentry), ino);
}

/* Whether the walk ended at the root that a task's mount namespace has. */
static __always_inline bool in_mount_ns_of(const struct walk *w, __u64 task)
{
	__u64 nsproxy, home, ns;

	if (w->end != WALK_TOP)
		return false;
	nsproxy = WORD(task_struct, task, nsproxy);
	if (!nsproxy)
		return false;
	home = WORD(nsproxy, nsproxy, mnt_ns);
	ns = WORD(mount, w->mnt, mnt_ns);
	return home && ns == home;
}

/* A mount that the kernel made for itself (pipefs, memfd): MNT_NS_INTERNAL, fs/mount.h. */
static __always_inline bool is_internal(const struct walk *w)
{
	__u64 ns;

	ns = WORD(mount, w->mnt, mnt_ns);
	return ns == (__u64)-22; /* ERR_PTR(-EINVAL) */
}

static __always_inline __u32 set_of(__u64 key)
{
	return ring_index() * KNOWN_SETS + (key & (KNOWN_SETS - 1));
}

static __always_inline bool is_known(__u64 key)
{
	__u32 i, set = set_of(key);
	struct known_set *s = bpf_map_lookup_elem(&known, &set);

	if (!s)
		return false;
#pragma unroll
	for (i = 0; i < 8; i++)
		if (s->keys[i] == key)
			return true;
	return false;
}

static __always_inline void make_known(__u64 key)
{
	__u32 i, set = set_of(key);
	struct known_set *s = bpf_map_lookup_elem(&known, &set);

	if (!s)
		return;
#pragma unroll
	for (i = 0; i < 8; i++)
		if (!s->keys[i]) {
			s->keys[i] = key;
			return;
		}
	s->keys[(bpf_ktime_get_ns() >> 4) & 7] = key;
}

/* include/uapi/linux/magic.h */
#define PIPEFS_MAGIC 0x50495045
#define SOCKFS_MAGIC 0x534f434b
#define NSFS_MAGIC 0x6e736673
#define ANON_INODE_FS_MAGIC 0x09041934
#define PID_FS_MAGIC 0x50494446
#define DMA_BUF_MAGIC 0x444d4142

/* The name of a file outside of the tree, as the d_dname of its file system writes it; its length
 * with the NUL, 0 where it is not known. */
static __always_inline long copy_anon(struct name_record *rec, __u64 dentry, __u64 vfsmount)
{
	__u64 name = WORD(dentry, dentry, d_name.name);
	__u64 inode = WORD(dentry, dentry, d_inode);
	__u64 sb = WORD(vfsmount, vfsmount, mnt_sb);

	switch ((__u32)WORD(super_block, sb, s_magic)) {
	case PIPEFS_MAGIC:
		rec->head.place = PLACE_NUMBERED;
		__builtin_memcpy(rec->names, "pipe", 5);
		return 5;
	case SOCKFS_MAGIC:
		rec->head.place = PLACE_NUMBERED;
		__builtin_memcpy(rec->names, "socket", 7);
		return 7;
	case NSFS_MAGIC:
		rec->head.place = PLACE_NUMBERED;
		name = WORD(inode, inode, i_private);
		name = WORD(ns_common, name, ops);
		name = WORD(proc_ns_operations, name, name);
		break;
	case PID_FS_MAGIC:
		rec->head.place = PLACE_ANON_INODE;
		__builtin_memcpy(rec->names, "[pidfd]", 8);
		return 8;
	case ANON_INODE_FS_MAGIC:
		rec->head.place = PLACE_ANON_INODE;
		break;
	case DMA_BUF_MAGIC: /* has a second name that only its driver knows */
		return 0;
	default:
		rec->head.place = PLACE_NAMED;
	}
	return bpf_probe_read_kernel_str(rec->names, PATH_BYTES, (const void *)name);
}

/* Copies the names of a place into the record: those that the walk with this key met in the mount namespace of
 * the task, or of a file outside of the tree. False where they are not known. */
static __always_inline bool copy_names(struct name_record *rec, struct walk *w, __u64 dentry,
				       __u64 vfsmount, __u64 key, __u32 in_epoch, __u64 task,
				       bool anon, enum repeat repeat)
{
	__u64 inode = WORD(dentry, dentry, d_inode);

	rec->head.ino = inode ? WORD(inode, inode, i_ino) : 0;
	rec->head.place = PLACE_TREE;
	if (anon) {
		long n = copy_anon(rec, dentry, vfsmount);

		if (n < 1)
			return false;
		w->names_len = n - 1;
	} else {
		walk_from(w, dentry, vfsmount, in_epoch);
		walk_up(w, rec, repeat);
		if (!in_mount_ns_of(w, task) || (w->key | 1) != key)
			return false;
	}
	if (w->names_len >= PATH_BYTES)
		return false;
	rec->head.names_len = w->names_len;
	return true;
}

/* The key of the place of a file: 0 where it is not known. Says it in the ring the first time. */
static __always_inline __u64 place_of(__u64 dentry, __u64 vfsmount, bool *anon, enum repeat repeat)
{
	__u32 zero_key = 0, now = epoch;
	struct name_record *rec;
	struct walk here = {}, *w = &here;
	__u64 key;

	*anon = false;
	if (!dentry || !vfsmount)
		return 0;
	if (repeat == BY_CALL) {
		w = bpf_map_lookup_elem(&walk_scratch, &zero_key);
		if (!w)
			return 0;
	}
	walk_from(w, dentry, vfsmount, now);
	walk_up(w, 0, repeat);
	if (!in_mount_ns_of(w, (__u64)bpf_get_current_task())) {
		if (w->end == WALK_ON || w->end == WALK_FAILED || !is_internal(w))
			return 0;
		*anon = true;
	}
	key = w->key | 1;
	if (is_known(key))
		return key;

	rec = bpf_map_lookup_elem(&name_scratch, &zero_key);
	if (!rec)
		return 0;
	rec->head.record = RECORD_NAME;
	rec->head.epoch = now;
	rec->head.key = key;
	if (!copy_names(rec, w, dentry, vfsmount, key, now, (__u64)bpf_get_current_task(), *anon,
			repeat))
		return 0;
	if (write_record(rec, NAME_HEAD_BYTES + (w->names_len & (PATH_BYTES - 1))))
		return 0;
	make_known(key);
	return key;
}

#endif
