/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The ring buffers, one for each group of CPUs.
 *
 * A ring has one lock (kernel/bpf/ringbuf.c, __bpf_ringbuf_reserve); the CPUs of a group meet
 * there and no others. No record wakes the reader: it polls on a timer. */
#ifndef EBPFTOP_RINGS_H
#define EBPFTOP_RINGS_H

struct ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
};

/* Filled after loading, as many as there are groups. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct ring);
} rings SEC(".maps");

/* A group has two to the power of this many CPUs. */
const volatile __u32 group_shift = 0;

static __always_inline __u32 ring_index(void)
{
	return bpf_get_smp_processor_id() >> group_shift;
}

/* 0 when it was written. */
static __always_inline long write_record(void *record, __u64 bytes)
{
	__u32 index = ring_index();
	void *ring = bpf_map_lookup_elem(&rings, &index);

	if (!ring)
		return -1;
	return bpf_ringbuf_output(ring, record, bytes, BPF_RB_NO_WAKEUP);
}

#endif
