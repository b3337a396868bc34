// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* The path of each cgroup that is made, so that one that lives for a moment has its name. */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include "cgroups.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 << 10);
} made SEC(".maps");

/* The tracepoints run under trace_cgroup_path_lock, with interrupts off: a CPU has one user. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cgroup_record);
} scratch SEC(".maps");

static __u64 lost;

/* Attached to cgroup_mkdir and cgroup_rename: both hand over the cgroup and its path from the root of
 * its hierarchy. No task can be in a new cgroup yet (kernel/cgroup/cgroup.c, cgroup_mkdir). */
SEC("raw_tp/cgroup_mkdir")
int cgroup_made(struct bpf_raw_tracepoint_args *ctx)
{
	struct cgroup *cgrp = (struct cgroup *)ctx->args[0];
	__u32 zero = 0, hierarchy;
	struct cgroup_record *rec = bpf_map_lookup_elem(&scratch, &zero);
	__u64 id;
	long n;

	if (!rec) /* never: it has one element a CPU */
		return 0;
	id = BPF_CORE_READ(cgrp, kn, id);
	hierarchy = BPF_CORE_READ(cgrp, root, hierarchy_id);
	if (id >> CGROUP_HIERARCHY_SHIFT || hierarchy > CGROUP_MOST_HIERARCHY)
		return 0;
	n = bpf_probe_read_kernel_str(rec->path, sizeof(rec->path), (const void *)ctx->args[1]);
	/* A path that fills the buffer was cut: a part of it would be a lie. */
	if (n < 2 || n >= CGROUP_PATH_BYTES)
		return 0;
	rec->head.id = id | (__u64)hierarchy << CGROUP_HIERARCHY_SHIFT;
	rec->head.path_len = n - 1;
	rec->head.pad = 0;
	rec->head.lost = lost;
	if (bpf_ringbuf_output(&made, rec, CGROUP_HEAD_BYTES + (n - 1), BPF_RB_NO_WAKEUP))
		__sync_fetch_and_add(&lost, 1);
	return 0;
}

/* Puts the type into the object's BTF, from which Rust takes it. */
const struct cgroup_head *unused_head __attribute__((unused));
