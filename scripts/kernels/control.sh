#!/usr/bin/env bash
# The negative control: a guest in which everything goes wrong, each of which must be reported.
# Sourced by test-kernels.sh.
# shellcheck disable=SC2034,SC2154

# Offsets of another kernel are what a program without CO-RE has: the programs are relocated
# against the BTF of the kernel that runs here instead of the guest's.
control_series=5.10
case $(uname -r) in 5.10.*) control_series=6.12 ;; esac

# The tests that the control runs.
CONTROL_TESTS=(resolved)
# The lines that problems() has to print.
CONTROL_EXPECTED=(
	"resolved: exit status"
	"hang: killed"
	"crash: the guest stopped"
	"after: never began"
	"guest: did not come to its end"
)

# Adds the control's programs to the guest's files and prints its list.
control_tests() {
	local root=$1
	cp /sys/kernel/btf/vmlinux "$root/tests/other.btf" ||
		die "this kernel has no BTF: the control cannot be run"
	printf '#!/bin/sh\n%s\n' "mount --bind /tests/other.btf /sys/kernel/btf/vmlinux &&
	echo 'test result: ok. 1 passed'" >"$root/tests/wrong"
	printf '#!/bin/sh\nsleep 1000\n' >"$root/tests/hang"
	printf '#!/bin/sh\necho c >/proc/sysrq-trigger\n' >"$root/tests/crash"
	cp "$root/tests/hang" "$root/tests/after"
	chmod +x "$root/tests"/{wrong,hang,crash,after}
	printf '%s\n' '10 wrong wrong' "$test_limit resolved kernel resolved::bind_mounts" '3 hang hang' \
		'10 crash crash' '10 after after'
}
