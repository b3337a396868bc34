/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Reading kernel memory: direct loads where the verifier allows them, else the helper. */
#ifndef EBPFTOP_KERNEL_H
#define EBPFTOP_KERNEL_H

/* The build compiles the objects of hot programs twice (build.rs): WITH_KFUNCS for kernels that have
 * bpf_rdonly_cast, WITHOUT_KFUNCS for older ones, and for types that come from a file. A choice at each load
 * would cost what it saves: its instructions remain where the kernel removes the branch. */
#ifdef WITHOUT_KFUNCS
#define LOADS_DIRECTLY false
#else
extern void *bpf_rdonly_cast(const void *obj, __u32 btf_id) __ksym __weak;
#ifdef WITH_KFUNCS
#define LOADS_DIRECTLY true
#else
#define LOADS_DIRECTLY bpf_ksym_exists(bpf_rdonly_cast)
#endif
#endif

/* The first field of a timespec64, as the kernel has it, without a relocation of its offset, 0. */
struct first_word {
	__u64 word;
};

/* The word at a kernel address, 0 where there is none.
 *
 * bpf_rdonly_cast (kernel 6.2, fd264ca02094) makes a typed pointer of an address; a load through
 * it is one instruction with a fault handler, a helper call costs 10 ns more. Typed as the field
 * itself a pointer would stay one, and the verifier forbids to fold those into a key: so every
 * word is loaded as the first of a timespec64, a number. */
static __always_inline __u64 kernel_word(__u64 addr)
{
#ifndef WITHOUT_KFUNCS
	if (LOADS_DIRECTLY) {
		const struct first_word *first = bpf_rdonly_cast(
			(const void *)addr, bpf_core_type_id_kernel(struct timespec64));
		return first->word;
	}
#endif
	__u64 word = 0;

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
