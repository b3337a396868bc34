/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Calls of one process on one file in a row: counted in a record of the CPU, without a search of the
 * table and without atomic instructions. The reader adds the records to their entries. */
#ifndef EBPFTOP_IO_LAST_H
#define EBPFTOP_IO_LAST_H

/* An element for each side. Programs at system calls alone use them: one at io_uring's tracepoint can run
 * in between, from an interrupt. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct io_last_used);
} last_used SEC(".maps");

static __always_inline struct io_last *last_of(__u32 side, enum direction direction)
{
	struct io_last_used *last = bpf_map_lookup_elem(&last_used, &side);

	return last ? &last->by[direction] : 0;
}

/* The side is the record's place. */
static __always_inline bool is_last(const struct io_last *last, const struct io_key *key)
{
	return last->key.file == key->file && last->key.identity == key->identity &&
	       last->key.start_boottime_ns == key->start_boottime_ns && last->key.tgid == key->tgid;
}

/* Adds the record's counts to the entry. */
static __always_inline void empty_last(const struct io_last *last, enum direction direction)
{
	struct io_timed_entry *entry = bpf_map_lookup_elem(&used, &last->key);
	__u32 side = last->key.side;
	struct io_rest *left;

	if (entry) {
		add(&entry->entry.counts, direction, last->bytes, last->calls);
		return;
	}
	/* Never, as the reader takes entries of idle sides alone. */
	left = bpf_map_lookup_elem(&rest, &side);
	if (left)
		add(&left->other, direction, last->bytes, last->calls);
}

/* After a call that was counted in its entry: if the next call is on this file too, the record counts from
 * then on. Of files that are used in turn one stays in the record, and no key is copied. */
static __always_inline void missed_last(struct io_last *last, const struct io_key *key,
					enum direction direction)
{
	if (last->next_file != key->file) {
		last->next_file = key->file;
		return;
	}
	if (last->calls)
		empty_last(last, direction);
	last->key = *key;
	last->bytes = 0;
	last->calls = 0;
}

#endif
