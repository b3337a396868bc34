#!/usr/bin/env bash
# Boots Debian's cloud kernels and runs the real-kernel tests in each.
#
#   scripts/test-kernels.sh [SERIES…]
#
# SERIES is `5.10`, `6.1`, …; `newest`, the newest kernel there is, which must be above 6.16; or
# `control`, a guest in which a program that reads kernel fields at another kernel's offsets, a
# hang and a crash must each be told as the failure they are. Default: 5.10 6.1 6.12 newest control.
# The newest package of each series is taken. Needs qemu-system-x86_64, busybox, ip, apt-get and
# cargo; not root, and no KVM: the guests are emulated, since a /dev/kvm that exists need not work.

set -euo pipefail
cd "$(dirname "$0")/.."

cache=$PWD/target/kernels
here=$PWD/scripts/kernels
# The test binaries that need a kernel; one that does not exist is a failure.
tests=(floor opens resolved compat io_uring)
# Seconds for one test binary, for one guest; guests at a time.
test_limit=${TEST_LIMIT:-100}
guest_limit=${GUEST_LIMIT:-200}
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

command -v qemu-system-x86_64 >/dev/null ||
	die "no qemu-system-x86_64: install qemu-system-x86 (on Debian 12 from bookworm-backports)"
busybox=$(command -v busybox) || die "no busybox: install busybox-static"
mkdir -p "$cache/guests"

build_tests
fetch_lists
for guest in "${guests[@]}"; do
	while [ "$(jobs -rp | wc -l)" -ge "$at_once" ]; do wait -n || true; done
	(prepare_guest "$guest" && run_guest "$guest") &
done
wait || true
summarise
