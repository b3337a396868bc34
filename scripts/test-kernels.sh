#!/usr/bin/env bash
# Boots Debian's cloud kernels and runs the real-kernel tests in each; each runs
# the same program and the same test binary.
#
#   scripts/test-kernels.sh [SERIES…]
#
# SERIES is `5.10`, `6.1`, …; `newest`, the newest kernel there is, which must be above 6.16; or
# `control`, a guest in which a program that reads kernel fields at another kernel's offsets, a
# hang and a crash must each be reported as the failure they are. Default: newest 6.12 6.1 5.10 control,
# the slowest first. The newest package of each series is taken. Needs apt, ip and cargo;
# qemu-system-x86_64 and busybox are installed where they are missing, for which alone it needs root.
# No KVM: the guests are emulated, since a /dev/kvm that exists need not work.
#
# ARCH=aarch64 builds the tests and the program with Debian's cross compiler and runs
# them on the newest 6.12 kernel for that machine.

set -euo pipefail
cd "$(dirname "$0")/.."
command -v apt-get >/dev/null || {
	echo "test-kernels: the kernels come from Debian, by apt, which is not here; \"make lint unit\" are all the other checks" >&2
	exit 1
}

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
here=$PWD/scripts/kernels
# The emulated machine.
case ${ARCH:-x86_64} in
x86_64)
	cache=$target/kernels
	debian_arch=amd64 apt_options=() build_options=() can_list=()
	program=$target/debug/ebpftop strip=strip console=ttyS0
	qemu=(qemu-system-x86_64 -machine q35 -cpu max) qemu_package=qemu-system-x86
	default_guests=(newest 6.12 6.1 5.10 control)
	default_tests="whole floor io_floor ktls names_packets" default_test_limit=600 default_guest_limit=900
	;;
aarch64)
	cache=$target/kernels-aarch64
	debian_arch=arm64 apt_options=(-o APT::Architecture=arm64 -o Dir::State::status=/dev/null)
	build_options=(--target aarch64-unknown-linux-gnu) can_list=(:)
	program=$target/aarch64-unknown-linux-gnu/debug/ebpftop strip=aarch64-linux-gnu-strip
	console=ttyAMA0
	qemu=(qemu-system-aarch64 -machine virt -cpu cortex-a72) qemu_package=qemu-system-arm
	default_guests=(6.12)
	default_tests="whole floor opens resolved talkers io_uring" default_test_limit=1200 default_guest_limit=1800
	;;
*)
	echo "test-kernels: ARCH is x86_64 or aarch64" >&2
	exit 2
	;;
esac
# The modules of tests/kernel that are run; one that does not exist is a failure.
# TESTS='opens resolved' runs others instead, TESTS=all every one.
read -ra tests <<<"${TESTS:-$default_tests}"
# Modules that are run beside these in a guest: bytes of connections, which two ways count.
connection_tests=(connections conn_sums calls datagrams)
also() { case "${TESTS:-}${ARCH:-x86_64} $1" in "x86_64 6.12" | "x86_64 6.1") echo "${connection_tests[*]}" ;; esac }
# Seconds for one module, for one guest: only a hang takes so long. Guests at a time.
test_limit=${TEST_LIMIT:-$default_test_limit}
guest_limit=${GUEST_LIMIT:-$default_guest_limit}
# One at a time: what a test attaches and detaches is work for all of the guest.
test_threads=${TEST_THREADS:-1}
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
if [ "${ARCH:-x86_64}" = aarch64 ]; then
	# shellcheck source=scripts/kernels/aarch64.sh
	. "$here/aarch64.sh"
fi

guests=()
for arg; do
	case $arg in
	newest | control | [0-9]*.[0-9]*) guests+=("$arg") ;;
	*) sed -n '2,/^$/s/^# \{0,1\}//p' "$0" && [ "$arg" = --help ] && exit 0 || exit 2 ;;
	esac
done
[ "${#guests[@]}" -gt 0 ] || guests=("${default_guests[@]}")

mkdir -p "$cache/guests"
command -v "${qemu[0]}" >/dev/null || install_qemu "$qemu_package"
command -v busybox >/dev/null || install_packages busybox-static

fetch_lists
build_tests
for guest in "${guests[@]}"; do
	while [ "$(jobs -rp | wc -l)" -ge "$at_once" ]; do wait -n || true; done
	(prepare_guest "$guest" && run_guest "$guest") &
done
wait || true
summarise
