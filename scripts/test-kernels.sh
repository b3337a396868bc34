#!/usr/bin/env bash
# Boots Debian's cloud kernels and runs the real-kernel tests in each; tests/whole.rs runs the one
# release binary there.
#
#   scripts/test-kernels.sh [SERIES…]
#
# SERIES is `5.10`, `6.1`, …; `newest`, the newest kernel there is, which must be above 6.16; or
# `control`, a guest in which a program that reads kernel fields at another kernel's offsets, a
# hang and a crash must each be told as the failure they are. Default: 5.10 6.1 6.12 newest control.
# The newest package of each series is taken. Needs Debian's apt, ip and cargo; qemu-system-x86_64
# and busybox are installed where they are missing, for which alone it needs root. No KVM: the
# guests are emulated, since a /dev/kvm that exists need not work.

set -euo pipefail
cd "$(dirname "$0")/.."

cache=$(realpath -m "${CARGO_TARGET_DIR:-target}")/kernels
here=$PWD/scripts/kernels
# The test binaries that need a kernel; one that does not exist is a failure. TESTS='talkers' runs
# others instead.
read -ra tests <<<"${TESTS:-whole floor opens resolved compat io_uring}"
# Seconds for one test binary, for one guest; guests at a time.
test_limit=${TEST_LIMIT:-160}
guest_limit=${GUEST_LIMIT:-280}
at_once=${AT_ONCE:-2}

die() {
	echo "test-kernels: $*" >&2
	exit 1
}
warn() { echo "test-kernels: $*" >&2; }

# shellcheck source=scripts/kernels/apt.sh
. "$here/apt.sh"
# shellcheck source=scripts/kernels/guest.sh
. "$here/guest.sh"
# shellcheck source=scripts/kernels/control.sh
. "$here/control.sh"
# shellcheck source=scripts/kernels/summary.sh
. "$here/summary.sh"

guests=()
for arg; do
	case $arg in
	newest | control | [0-9]*.[0-9]*) guests+=("$arg") ;;
	*) sed -n '2,/^$/s/^# \{0,1\}//p' "$0" && [ "$arg" = --help ] && exit 0 || exit 2 ;;
	esac
done
[ "${#guests[@]}" -gt 0 ] || guests=(5.10 6.1 6.12 newest control)

mkdir -p "$cache/guests"
command -v qemu-system-x86_64 >/dev/null || install_qemu
command -v busybox >/dev/null || install_packages busybox-static
busybox=$(command -v busybox)

build_tests
fetch_lists
for guest in "${guests[@]}"; do
	while [ "$(jobs -rp | wc -l)" -ge "$at_once" ]; do wait -n || true; done
	(prepare_guest "$guest" && run_guest "$guest") &
done
wait || true
summarise
