/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The cgroup of a task, on machines that use v2, v1 or both.
 *
 * A css_set has a link to one cgroup of each hierarchy. Its links never change, and stand in the
 * order in which the hierarchies were mounted (kernel/cgroup/cgroup.c, find_css_set). */
#ifndef EBPFTOP_CGROUP_H
#define EBPFTOP_CGROUP_H

/* The v1 hierarchy name=systemd, where it is in use; else 0. On a hybrid machine a container may be
 * in a cgroup of its own there, and with the daemon that started it in v2. */
const volatile __u32 systemd_hierarchy = 0;

/* The v1 hierarchy of the pids controller; else 0. Container runtimes and systemd put all that they
 * start in a cgroup there; in others there may be cgroups for a limit alone. */
const volatile __u32 pids_hierarchy = 0;

/* There is one for each controller, and those with a name: further ones are not read. */
#define MOST_HIERARCHIES 32

/* The css_set of the tasks that are in the root of every hierarchy: there is one, init_css_set,
 * and it is never freed. 0: not met yet. */
static volatile __u64 set_of_roots;

static __always_inline __u64 tag_of(__u64 id, __u32 hierarchy)
{
	if (!id || id >> CGROUP_HIERARCHY_SHIFT || hierarchy > CGROUP_MOST_HIERARCHY)
		return 0;
	return id | (__u64)hierarchy << CGROUP_HIERARCHY_SHIFT;
}

static __always_inline __u64 id_of(__u64 cgrp)
{
	return WORD(kernfs_node, WORD(cgroup, cgrp, kn), id);
}

/* The cgroup in pids, without the walk; 0 where that is the root. */
static __always_inline __u64 cgroup_in_pids(__u64 set)
{
	__u64 at, css, id;

	if (!pids_hierarchy || !bpf_core_enum_value_exists(enum cgroup_subsys_id, pids_cgrp_id))
		return 0;
	at = set + bpf_core_field_offset(struct css_set, subsys);
	at += bpf_core_enum_value(enum cgroup_subsys_id, pids_cgrp_id) * sizeof(css);
	css = kernel_word(at);
	id = id_of(WORD(cgroup_subsys_state, css, cgroup));
	return id == CGROUP_ROOT_ID ? 0 : tag_of(id, pids_hierarchy);
}

/* The cgroup in name=systemd, else in v2, else in pids, else in the v1 hierarchy that was mounted
 * first; roots do not count. `is_own`: the set is the current task's, which the kernel keeps meanwhile; another
 * task's may be emptied, and must not be remembered. A global function: the verifier walks it once, not once
 * for each program that calls it. */
__noinline __u64 cgroup_of_set(__u64 set, __u64 v2, bool is_own)
{
	__u64 head = set + bpf_core_field_offset(struct css_set, cgrp_links);
	__u64 at = kernel_word(head), other = 0, tag;
	bool roots = true;
	int i;

	if (!systemd_hierarchy) {
		tag = cgroup_in_pids(set);
		if (tag)
			return tag;
	}
	for (i = 0; i < MOST_HIERARCHIES; i++) {
		__u64 link, cgrp, id;
		__u32 hierarchy;

		if (!at || at == head)
			break;
		link = at - bpf_core_field_offset(struct cgrp_cset_link, cgrp_link);
		at = kernel_word(at);
		cgrp = WORD(cgrp_cset_link, link, cgrp);
		id = id_of(cgrp);
		if (id == CGROUP_ROOT_ID)
			continue;
		roots = false;
		if (!id)
			continue;
		hierarchy = HALF(cgroup_root, WORD(cgroup, cgrp, root), hierarchy_id);
		tag = tag_of(id, hierarchy);
		if (!hierarchy || !tag)
			continue;
		if (hierarchy == systemd_hierarchy)
			return tag;
		if (!other || hierarchy == pids_hierarchy)
			other = tag;
		if (!systemd_hierarchy)
			break;
	}
	if (is_own && roots && at == head)
		set_of_roots = set;
	return v2 == CGROUP_ROOT_ID && other ? other : v2;
}

static __always_inline __u64 cgroup_of(__u64 task)
{
	__u64 v2 = bpf_get_current_cgroup_id(), set;

	if (v2 != CGROUP_ROOT_ID && !systemd_hierarchy)
		return v2;
	if (!bpf_core_field_exists(struct cgrp_cset_link, cgrp))
		return v2;
	set = WORD(task_struct, task, cgroups);
	return set == set_of_roots ? v2 : cgroup_of_set(set, v2, true);
}

/* The same of another task than the current one. */
static __always_inline __u64 cgroup_of_task(__u64 task)
{
	__u64 set = WORD(task_struct, task, cgroups);
	__u64 v2 = id_of(WORD(css_set, set, dfl_cgrp));

	if (v2 != CGROUP_ROOT_ID && !systemd_hierarchy)
		return v2;
	if (!bpf_core_field_exists(struct cgrp_cset_link, cgrp))
		return v2;
	return set == set_of_roots ? v2 : cgroup_of_set(set, v2, false);
}

#endif
