/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* System calls that change files: their numbers, and the meaning of their arguments. */
#ifndef EBPFTOP_CHANGE_CALLS_H
#define EBPFTOP_CHANGE_CALLS_H

/* include/uapi/linux/fcntl.h */
#define AT_REMOVEDIR 0x200
#define AT_EMPTY_PATH 0x1000

struct change {
	__u64 path, to; /* user pointers, 0 where there is none */
	__u64 value; /* mode, length, or group and owner */
	__u32 flags;
	__s32 dirfd, to_dirfd;
	__u8 call;
	__u8 op;
	bool by_fd; /* dirfd is the file itself */
};

/* The call behind a system call's number. */
static __always_inline __u8 change_of(__u32 nr)
{
	switch (nr) {
#if defined(__TARGET_ARCH_x86) /* arch/x86/entry/syscalls/syscall_64.tbl */
	case 76:
		return CHANGE_TRUNCATE;
	case 77:
		return CHANGE_FTRUNCATE;
	case 82:
		return CHANGE_RENAME;
	case 83:
		return CHANGE_MKDIR;
	case 84:
		return CHANGE_RMDIR;
	case 86:
		return CHANGE_LINK;
	case 87:
		return CHANGE_UNLINK;
	case 88:
		return CHANGE_SYMLINK;
	case 90:
		return CHANGE_CHMOD;
	case 91:
		return CHANGE_FCHMOD;
	case 92:
		return CHANGE_CHOWN;
	case 93:
		return CHANGE_FCHOWN;
	case 94:
		return CHANGE_LCHOWN;
	case 133:
		return CHANGE_MKNOD;
	case 258:
		return CHANGE_MKDIRAT;
	case 259:
		return CHANGE_MKNODAT;
	case 260:
		return CHANGE_FCHOWNAT;
	case 263:
		return CHANGE_UNLINKAT;
	case 264:
		return CHANGE_RENAMEAT;
	case 265:
		return CHANGE_LINKAT;
	case 266:
		return CHANGE_SYMLINKAT;
	case 268:
		return CHANGE_FCHMODAT;
	case 316:
		return CHANGE_RENAMEAT2;
#elif defined(__TARGET_ARCH_arm64) /* include/uapi/asm-generic/unistd.h */
	case 33:
		return CHANGE_MKNODAT;
	case 34:
		return CHANGE_MKDIRAT;
	case 35:
		return CHANGE_UNLINKAT;
	case 36:
		return CHANGE_SYMLINKAT;
	case 37:
		return CHANGE_LINKAT;
	case 38:
		return CHANGE_RENAMEAT;
	case 45:
		return CHANGE_TRUNCATE;
	case 46:
		return CHANGE_FTRUNCATE;
	case 52:
		return CHANGE_FCHMOD;
	case 53:
		return CHANGE_FCHMODAT;
	case 54:
		return CHANGE_FCHOWNAT;
	case 55:
		return CHANGE_FCHOWN;
	case 276:
		return CHANGE_RENAMEAT2;
#endif
	case 452:
		return CHANGE_FCHMODAT2;
	}
	return CALL_NONE;
}

static __always_inline __u64 owners(__u64 uid, __u64 gid)
{
	return (__u32)uid | gid << 32;
}

/* Which argument is what. Calls of one operation differ in the descriptors and flags they have. */
static __always_inline void decode_change(struct change *c, const __u64 args[CALL_ARGS])
{
	c->dirfd = c->to_dirfd = AT_FDCWD;
	switch (c->call) {
	case CHANGE_UNLINKAT:
		c->dirfd = args[0];
		c->path = args[1];
		c->flags = args[2];
		c->op = c->flags & AT_REMOVEDIR ? OP_RMDIR : OP_UNLINK;
		break;
	case CHANGE_UNLINK:
	case CHANGE_RMDIR:
		c->path = args[0];
		c->op = c->call == CHANGE_UNLINK ? OP_UNLINK : OP_RMDIR;
		break;
	case CHANGE_RENAME:
	case CHANGE_LINK:
	case CHANGE_SYMLINK:
		c->path = args[0];
		c->to = args[1];
		c->op = c->call == CHANGE_RENAME ? OP_RENAME :
			c->call == CHANGE_LINK	 ? OP_LINK :
						   OP_SYMLINK;
		break;
	case CHANGE_RENAMEAT2:
	case CHANGE_LINKAT:
		c->flags = args[4];
		/* fallthrough */
	case CHANGE_RENAMEAT:
		c->dirfd = args[0];
		c->path = args[1];
		c->to_dirfd = args[2];
		c->to = args[3];
		c->op = c->call == CHANGE_LINKAT ? OP_LINK : OP_RENAME;
		break;
	case CHANGE_SYMLINKAT:
		c->path = args[0];
		c->to_dirfd = args[1];
		c->to = args[2];
		c->op = OP_SYMLINK;
		break;
	case CHANGE_MKDIR:
	case CHANGE_MKNOD:
	case CHANGE_CHMOD:
		c->path = args[0];
		c->value = (__u32)args[1];
		c->op = c->call == CHANGE_MKDIR ? OP_MKDIR :
			c->call == CHANGE_MKNOD ? OP_MKNOD :
						  OP_CHMOD;
		break;
	case CHANGE_FCHMODAT2:
		c->flags = args[3];
		/* fallthrough */
	case CHANGE_MKDIRAT:
	case CHANGE_MKNODAT:
	case CHANGE_FCHMODAT:
		c->dirfd = args[0];
		c->path = args[1];
		c->value = (__u32)args[2];
		c->op = c->call == CHANGE_MKDIRAT ? OP_MKDIR :
			c->call == CHANGE_MKNODAT ? OP_MKNOD :
						    OP_CHMOD;
		break;
	case CHANGE_FCHMOD:
		c->dirfd = args[0];
		c->by_fd = true;
		c->value = (__u32)args[1];
		c->op = OP_CHMOD;
		break;
	case CHANGE_TRUNCATE:
		c->path = args[0];
		c->value = args[1];
		c->op = OP_TRUNCATE;
		break;
	case CHANGE_FTRUNCATE:
		c->dirfd = args[0];
		c->by_fd = true;
		c->value = args[1];
		c->op = OP_TRUNCATE;
		break;
	case CHANGE_CHOWN:
	case CHANGE_LCHOWN:
		c->path = args[0];
		c->value = owners(args[1], args[2]);
		c->op = OP_CHOWN;
		break;
	case CHANGE_FCHOWN:
		c->dirfd = args[0];
		c->by_fd = true;
		c->value = owners(args[1], args[2]);
		c->op = OP_CHOWN;
		break;
	case CHANGE_FCHOWNAT:
		c->dirfd = args[0];
		c->path = args[1];
		c->value = owners(args[2], args[3]);
		c->flags = args[4];
		c->op = OP_CHOWN;
		break;
	}
}

#endif
