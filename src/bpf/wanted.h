/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Selects the opens that are reported; others are only counted. */
#ifndef EBPFTOP_WANTED_H
#define EBPFTOP_WANTED_H

const volatile bool only_tgid = false, only_uid = false, only_failed = false;
const volatile __u32 want_tgid = 0, want_uid = 0;

/* The reader's own process: its opens are counted alone. 0: they are reported as others are. */
const volatile __u32 own_tgid = 0;

/* A part of the thread's name or of the process's: ASCII, in lower case. Of no bytes: any. */
const volatile __u8 want_name[COMM_BYTES] = {};
const volatile __u32 want_name_len = 0;

/* The result for the names last seen on this CPU: most opens come in runs. */
struct verdict {
	struct names names;
	__u32 known;
	__u32 wanted;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct verdict);
} verdicts SEC(".maps");

/* Whether the wanted part is in a name, whatever the case of ASCII letters. */
static __always_inline bool is_in(const __u8 name[COMM_BYTES])
{
	__u32 from, at;

	for (from = 0; from < COMM_BYTES; from++) {
		for (at = 0; from + at < COMM_BYTES && at < want_name_len; at++) {
			__u8 c = name[from + at];

			if (c >= 'A' && c <= 'Z')
				c += 'a' - 'A';
			if (c != want_name[at])
				break;
		}
		if (at == want_name_len)
			return true;
	}
	return false;
}

static __always_inline bool same_names(const struct names *a, const struct names *b)
{
	const __u64 *x = (const __u64 *)a, *y = (const __u64 *)b;

	return x[0] == y[0] && x[1] == y[1] && x[2] == y[2] && x[3] == y[3];
}

static __always_inline bool name_wanted(const struct names *names)
{
	struct verdict *last;

	if (!want_name_len)
		return true;
	last = bpf_map_lookup_elem(&verdicts, &zero);
	if (!last) /* never: it has one element a CPU */
		return true;
	if (!last->known || !same_names(&last->names, names)) {
		last->names = *names;
		last->wanted = is_in(last->names.comm) || is_in(last->names.process);
		last->known = true;
	}
	return last->wanted;
}

/* Selects an open of the current process: a worker's and the SQ thread's of io_uring are its too. */
static __always_inline bool wanted(long ret, __u32 uid, const struct names *names)
{
	if (only_tgid && (__u32)(bpf_get_current_pid_tgid() >> 32) != want_tgid)
		return false;
	if (only_uid && uid != want_uid)
		return false;
	if (only_failed && ret >= 0)
		return false;
	return name_wanted(names);
}

#endif
