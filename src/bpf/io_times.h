/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Durations of calls, with --slow: a distribution for each process and file, and a record of each
 * call that took the limit or longer. */
#ifndef EBPFTOP_IO_TIMES_H
#define EBPFTOP_IO_TIMES_H

/* When the call that a thread is in began, CLOCK_MONOTONIC; 0: in none that is timed. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u64);
} began SEC(".maps");

/* The same by thread id, below kernel 5.17. A thread keeps its place after its end, until the place is
 * needed. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1); /* set before loading */
	__type(key, __u32);
	__type(value, __u64);
} began_516 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096); /* set before loading */
} slow_calls SEC(".maps");

/* Slow calls that found no room in the ring, per CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} slow_lost SEC(".maps");

static const __u32 zero = 0;

/* A value too large for the stack, to insert. */
struct io_timed_entry blank_entry = {};

static __always_inline void begin_call(enum repeat repeat)
{
	__u64 now = bpf_ktime_get_ns(), *at;
	__u32 tid;

	if (repeat == BY_LOOP) {
		at = bpf_task_storage_get(&began, bpf_get_current_task_btf(), 0,
					  BPF_LOCAL_STORAGE_GET_F_CREATE);
		if (at)
			*at = now;
		return;
	}
	tid = (__u32)bpf_get_current_pid_tgid();
	at = bpf_map_lookup_elem(&began_516, &tid);
	if (at)
		*at = now;
	else
		bpf_map_update_elem(&began_516, &tid, &now, BPF_ANY);
}

/* How long the call that returns took, ns; 0: it is not known. */
static __always_inline __u64 end_of_call(enum repeat repeat)
{
	__u32 tid = (__u32)bpf_get_current_pid_tgid();
	__u64 *at, took;

	at = repeat == BY_LOOP ? bpf_task_storage_get(&began, bpf_get_current_task_btf(), 0, 0) :
				 bpf_map_lookup_elem(&began_516, &tid);
	if (!at || !*at)
		return 0;
	took = bpf_ktime_get_ns() - *at;
	*at = 0;
	return took ? took : 1;
}

static __always_inline struct io_timed_entry *insert(const struct io_key *key,
						     const struct io_entry *fresh)
{
	bpf_map_update_elem(&used, key, fresh, BPF_NOEXIST);
	return bpf_map_lookup_elem(&used, key);
}

/* Two CPUs may fill the entry at once, with the same. */
static __always_inline struct io_timed_entry *insert_timed(const struct io_key *key,
							   const struct io_entry *fresh)
{
	struct io_timed_entry *made;

	bpf_map_update_elem(&used, key, &blank_entry, BPF_NOEXIST);
	made = bpf_map_lookup_elem(&used, key);
	if (!made)
		return 0;
	made->entry.uid = fresh->uid;
	made->entry.cgroup_id = fresh->cgroup_id;
	made->entry.type = fresh->type;
	__builtin_memcpy(made->entry.process, fresh->process, sizeof(fresh->process));
	return made;
}

/* The bucket of a duration: the octave, and its half. */
static __always_inline __u32 bucket_of(__u64 ns)
{
	__u64 rest = ns >> (IO_FIRST_OCTAVE - 1);
	__u32 octave = 0, shift;

	/* in half octaves of the first: below 2 is below the first octave */
	if (rest < 2)
		return 0;
#pragma unroll
	for (shift = 32; shift; shift >>= 1)
		if (rest >> (shift + 1)) {
			rest >>= shift;
			octave += shift;
		}
	/* rest is 2 or 3 now, of the octave that many above the first */
	octave = 1 + 2 * octave + (rest & 1);
	return octave < IO_BUCKETS ? octave : IO_BUCKETS - 1;
}

static __noinline int report_slow(const struct io_timed_entry *entry, const struct io_key *key,
				  const struct call *call, __u32 type, __u32 writes)
{
	struct slow_record record = {};
	__u64 *count;

	record.ts_ns = bpf_ktime_get_ns();
	record.duration_ns = call->took_ns;
	record.ret = call->ret;
	record.start_boottime_ns = key->start_boottime_ns;
	record.cgroup_id = cgroup_of(bpf_get_current_task());
	record.tgid = key->tgid;
	record.tid = (__u32)bpf_get_current_pid_tgid();
	record.uid = (__u32)bpf_get_current_uid_gid();
	record.call = call->nr;
	record.type = type;
	record.writes = writes;
	if (entry) {
		record.place = entry->entry.place;
		record.resolved = entry->entry.resolved;
	}
	read_names(&record.names);
	if (!bpf_ringbuf_output(&slow_calls, &record, sizeof(record), BPF_RB_NO_WAKEUP))
		return 0;
	count = bpf_map_lookup_elem(&slow_lost, &zero);
	if (count)
		*count += 1;
	return 0;
}

/* Tries to raise the longest duration: each that fails is one of another CPU, with a longer one yet. */
#define RAISES 32

static __always_inline void raise_max(__u64 *max_ns, __u64 ns, enum repeat repeat)
{
	__u64 before;
	int i;

	if (repeat ==
	    BY_CALL) { /* kernel 5.10 has no compare-and-swap: the smaller of two may stay */
		if (ns > *max_ns)
			*max_ns = ns;
		return;
	}
	for (i = 0; i < RAISES; i++) {
		before = *(volatile __u64 *)max_ns;
		if (ns <= before || __sync_val_compare_and_swap(max_ns, before, ns) == before)
			return;
	}
}

/* Counts the duration of a call; `entry`: 0 where the table is full, `left`: 0 where it is not. */
static __always_inline void time_call(struct io_timed_entry *entry, struct io_rest *left,
				      const struct io_key *key, __u32 type,
				      enum direction direction, const struct call *call,
				      enum repeat repeat)
{
	bool slow = call->took_ns >= slow_ns;
	__u32 bucket = bucket_of(call->took_ns);

	if (entry && bucket < IO_BUCKETS) {
		__sync_fetch_and_add(&entry->times.counts[bucket], 1);
		if (slow)
			__sync_fetch_and_add(&entry->times.slow, 1);
		raise_max(&entry->times.max_ns, call->took_ns, repeat);
	}
	if (slow && left)
		__sync_fetch_and_add(&left->slow, 1);
	if (slow)
		report_slow(entry, key, call, type, direction == WRITES);
}

#endif
