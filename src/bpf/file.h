/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Open files: from a descriptor to the place of its file. */
#ifndef EBPFTOP_FILE_H
#define EBPFTOP_FILE_H

#define O_TMPFILE_BIT 020000000 /* __O_TMPFILE, the same on x86 and arm64 */

/* The struct file behind a descriptor of a task; 0 where there is none. What the table holds at this
 * moment counts: another thread may have changed it since. */
static __always_inline __u64 file_of_task(__u64 task, long fd)
{
	__u64 files, fdt, words[2];

	files = WORD(task_struct, task, files);
	fdt = WORD(files_struct, files, fdt);
	WORDS(fdtable, fdt, max_fds, fd, words);
	if (fd < 0 || fd >= (__u32)words[0])
		return 0;
	return kernel_word(words[1] + fd * sizeof(__u64));
}

/* The same of the current task. */
static __always_inline __u64 file_of(long fd)
{
	return file_of_task(bpf_get_current_task(), fd);
}

static __always_inline void path_of_file(__u64 file, __u64 *dentry, __u64 *mnt)
{
	__u64 words[2];

	if (!file)
		return;
	WORDS(file, file, f_path.mnt, f_path.dentry, words);
	*mnt = words[0];
	*dentry = words[1];
}

/* The dentry and the mount that say where an open file is, both 0 where they are not known, and the
 * meaning of the place. `unnamed`: it was opened with O_TMPFILE. */
static __always_inline __u8 located(__u64 file, bool unnamed, __u64 *dentry, __u64 *mnt)
{
	__u64 words[2], parent;

	path_of_file(file, dentry, mnt);
	if (!*dentry)
		return RESOLVED_OPENED;
	WORDS(dentry, *dentry, d_hash.pprev, d_parent, words);
	parent = words[1];
	if (words[0] || parent == *dentry)
		return RESOLVED_OPENED;
	if (!unnamed)
		return RESOLVED_DELETED;
	*dentry = parent;
	return RESOLVED_TMPFILE;
}

/* The key of the place of an open file, and in `resolved` its meaning; 0 and no change where it is not
 * known. `unnamed` as above. */
static __always_inline __u64 place_of_file(__u64 file, bool unnamed, __u8 *resolved,
					   enum repeat repeat)
{
	__u64 dentry = 0, mnt = 0, key;
	__u8 kind = located(file, unnamed, &dentry, &mnt);
	bool anon;

	key = place_of(dentry, mnt, &anon, repeat);
	if (key)
		*resolved = anon ? RESOLVED_ANON : kind;
	return key;
}

#endif
