/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Reading kernel memory: direct loads where the verifier allows them, else the helper. */
#ifndef EBPFTOP_KERNEL_H
#define EBPFTOP_KERNEL_H

/* Use nothing that kernel 5.10 lacks, whatever this one has: for benches and tests. */
const volatile bool as_on_510 = false;

/* WITHOUT_KFUNCS: for kernels whose BTF comes from a file (build.rs). */
#ifndef WITHOUT_KFUNCS
extern void *bpf_rdonly_cast(const void *obj, __u32 btf_id) __ksym __weak;
#define LOADS_DIRECTLY (!as_on_510 && bpf_ksym_exists(bpf_rdonly_cast))
#else
#define LOADS_DIRECTLY false
#endif

/* The word at a kernel address, 0 where there is none.
 *
 * bpf_rdonly_cast (kernel 6.2, fd264ca02094) makes a typed pointer of an address; a load through
 * it is one instruction with a fault handler, a helper call costs 10 ns more. Typed as the field
 * itself a pointer would stay one, and the verifier forbids to fold those into a key: so every
 * word is loaded as the first of a timespec64, a number. */
static __always_inline __u64 kernel_word(__u64 addr)
{
	__u64 word = 0;

#ifndef WITHOUT_KFUNCS
	if (LOADS_DIRECTLY) {
		struct timespec64 *t = bpf_rdonly_cast((const void *)addr,
						       bpf_core_type_id_kernel(struct timespec64));
		return t->tv_sec;
	}
#endif
	bpf_probe_read_kernel(&word, sizeof(word), (const void *)addr);
	return word;
}

/* Two words, in one call where calls are what it takes and one follows on the other. */
static __always_inline void kernel_words(__u64 addr, __u64 at, __u64 next, __u64 words[2])
{
	if (next == at + sizeof(*words) && !LOADS_DIRECTLY) {
		if (bpf_probe_read_kernel(words, 2 * sizeof(*words), (const void *)(addr + at)))
			words[0] = words[1] = 0;
		return;
	}
	words[0] = kernel_word(addr + at);
	words[1] = kernel_word(addr + next);
}

/* Two fields of 8 bytes of one structure; the second one follows on the first where it can. */
#define WORDS(type, addr, first, second, words)                                                    \
	kernel_words(addr, bpf_core_field_offset(struct type, first),                              \
		     bpf_core_field_offset(struct type, second), words)
/* ((struct type *)addr)->field of 8 bytes. */
#define WORD(type, addr, field) kernel_word((addr) + bpf_core_field_offset(struct type, field))
/* Reads 4 bytes, from the lower half: both architectures are little-endian. */
#define HALF(type, addr, field) ((__u32)WORD(type, addr, field))

#endif
