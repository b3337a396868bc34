#!/bin/sh
# Runs tests/kernel where BPF programs can be loaded, and says where that is: on this kernel, as root,
# through sudo where needed; else in a QEMU guest with Debian's newest kernel, the same program and
# the same test binary. It tries: `ebpftop doctor` succeeds where at least one probe starts. One
# program that this kernel refuses is no reason for the guest.
#
#   scripts/kernel-tests.sh [OPTIONS OF THE TEST BINARY…]
#
# WHERE=here or WHERE=guest chooses. The guest is emulated and runs every test, which takes
# half an hour on two cores: the options are not for it.
set -eu
cd "$(dirname "$0")/.."

cargo=${CARGO:-cargo}
say() { printf 'kernel-tests: %s\n' "$*"; }

may_be_root() { [ "$(id -u)" -eq 0 ] || { command -v sudo >/dev/null && sudo -v; }; }
as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi; }

"$cargo" test --locked --no-run --test kernel
program=$(realpath "${CARGO_TARGET_DIR:-target}")/debug/ebpftop

why=
if ! may_be_root; then
	why='this user is not root and cannot use sudo'
elif ! as_root unshare --net true 2>/dev/null; then
	why='root may not make a network namespace'
elif ! found=$(as_root unshare --net "$program" doctor 2>&1); then
	why=$(printf '%s\n' "$found" | sed -n 's/^fix *\(CAP_[A-Z_]*\|opens\) *\(.*\)/\1: \2/p' | paste -sd ';')
	why="no BPF program can be loaded: ${why:-$found}"
fi

case ${WHERE:-} in
here) why= ;;
guest) why=${why:-WHERE=guest} ;;
esac

if [ -z "$why" ]; then
	say "on this kernel ($(uname -r)), as root"
	if [ "$(id -u)" -ne 0 ]; then
		triple=$(rustc -vV | sed -n 's/^host: //p' | tr a-z- A-Z_)
		export "CARGO_TARGET_${triple}_RUNNER=sudo -E"
	fi
	exec "$cargo" test --locked --test kernel -- "$@"
fi
say "in a QEMU guest: $why"
if ! command -v qemu-system-x86_64 >/dev/null || ! command -v busybox >/dev/null; then
	may_be_root || {
		say 'QEMU needs no root, but its installation does. As root, run:' \
			'apt-get install qemu-system-x86 busybox-static' >&2
		exit 1
	}
fi
export TESTS=all
export GUEST_LIMIT="${GUEST_LIMIT:-2700}" TEST_LIMIT="${TEST_LIMIT:-900}" TEST_THREADS="${TEST_THREADS:-1}"
exec scripts/test-kernels.sh newest
