#!/bin/sh
# Finds the packages that `make run` (setup.sh build) or `make test` (setup.sh test) needs and this
# machine lacks, prints their names and installs them with apt, dnf or pacman. With --check it only
# prints what is missing.
set -eu

usage() {
	echo "usage: setup.sh [--check] build|test" >&2
	exit 2
}

check_only=false
if [ "${1:-}" = --check ]; then
	check_only=true
	shift
fi
[ $# -eq 1 ] || usage
case $1 in
build | test) purpose=$1 ;;
*) usage ;;
esac

# The oldest that the BPF programs have been compiled with.
oldest_clang=14
root=$(cd "$(dirname "$0")/.." && pwd)
oldest_rust=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml")

say() { printf 'setup: %s\n' "$*"; }
fail() {
	printf 'setup: %s\n' "$*" >&2
	exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }

[ "$(uname -s)" = Linux ] || fail "ebpftop runs on Linux only."
case $(uname -m) in
x86_64 | aarch64) ;;
*) fail "ebpftop supports x86_64 and aarch64; this machine is $(uname -m)." ;;
esac

# --- packages ------------------------------------------------------------------------------------

if has apt-get; then
	manager=apt
elif has dnf; then
	manager=dnf
elif has pacman; then
	manager=pacman
else
	manager=none
fi

missing_what=
missing_packages=

# need WHAT APT DNF PACMAN: notes WHAT as missing, with the package that brings it.
need() {
	missing_what="${missing_what:+$missing_what, }$1"
	case $manager in
	apt) package=$2 ;;
	dnf) package=$3 ;;
	pacman) package=$4 ;;
	*) package= ;;
	esac
	for package in $package; do
		case " $missing_packages " in
		*" $package "*) ;;
		*) missing_packages="${missing_packages:+$missing_packages }$package" ;;
		esac
	done
}

# Whether a C program that includes the headers $1… compiles.
compiles() {
	for header in "$@"; do
		printf '#include <%s>\n' "$header"
	done | cc -fsyntax-only -x c - 2>/dev/null
}

# Whether clang is there, new enough, and knows the BPF target.
clang_works() {
	has clang || return 1
	echo 'int x;' | clang -target bpf -c -x c - -o /dev/null 2>/dev/null
}

find_missing() {
	missing_what=
	missing_packages=
	has make || need make make make make
	if ! has cc || ! compiles stdio.h linux/types.h; then
		need "a C compiler" "gcc libc6-dev" "gcc glibc-devel" "gcc glibc linux-api-headers"
	fi
	has pkg-config || need pkg-config pkg-config pkgconf-pkg-config pkgconf
	if ! has cc || ! compiles libelf.h gelf.h; then
		need "libelf's headers" libelf-dev elfutils-libelf-devel libelf
	fi
	if ! has cc || ! compiles zlib.h; then
		need "zlib's headers" zlib1g-dev zlib-devel zlib
	fi
	clang_works || need "clang with the BPF target" clang clang clang
	[ "$purpose" = test ] || return 0
	has clang-format || need clang-format clang-format clang-tools-extra clang
	has shellcheck || need shellcheck shellcheck ShellCheck shellcheck
	has codespell || need codespell codespell codespell codespell
	has ip || need "ip" iproute2 iproute iproute2
	has ethtool || need ethtool ethtool ethtool ethtool
	has ps || need "ps" procps procps-ng procps-ng
	has strace || need strace strace strace strace
	has tc || need "tc" iproute2 iproute-tc iproute2
	has dnsmasq || need dnsmasq dnsmasq-base dnsmasq dnsmasq
	has openssl || need openssl openssl openssl openssl
	has curl || need curl curl curl curl
	has python3 || need python3 python3 python3 python
	if [ "$manager" != apt ]; then # see scripts/responders.sh
		has avahi-daemon || need avahi-daemon "" avahi avahi
		[ -e /usr/lib/systemd/systemd-resolved ] || need systemd-resolved "" systemd-resolved systemd
	fi
	has setcap || need "setcap" libcap2-bin libcap libcap
}

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif has sudo; then
		sudo "$@"
	else
		fail "installing packages needs root, and there is no sudo here. As root, run: $*"
	fi
}

install_packages() {
	# One word a package.
	# shellcheck disable=SC2086
	case $manager in
	apt)
		as_root apt-get update -q
		as_root env DEBIAN_FRONTEND=noninteractive \
			apt-get install -q -y --no-install-recommends $missing_packages
		;;
	dnf) as_root dnf install -y --setopt=install_weak_deps=False $missing_packages ;;
	pacman)
		if ls /var/lib/pacman/sync/*.db >/dev/null 2>&1; then
			as_root pacman -S --needed --noconfirm $missing_packages
		else # a fresh container: no package lists yet
			as_root pacman -Sy --needed --noconfirm $missing_packages
		fi
		;;
	esac
}

# /usr/sbin holds ip and ethtool, and is not on every user's PATH.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

find_missing
if [ -n "$missing_what" ]; then
	say "missing: $missing_what"
	if [ "$manager" = none ]; then
		fail "there is no apt, dnf or pacman here: install these with the package manager of this system."
	fi
	if $check_only; then
		fail "$manager would install: $missing_packages"
	fi
	say "installing with $manager: $missing_packages"
	install_packages || fail "$manager could not install: $missing_packages"
	find_missing
	[ -z "$missing_what" ] || fail "still missing after the installation: $missing_what"
fi

if [ "$purpose" = test ] && [ "$manager" = apt ]; then
	if $check_only; then
		"$root/scripts/responders.sh" --check || fail "make setup-test fetches them."
	else
		"$root/scripts/responders.sh" || fail "avahi-daemon and systemd-resolved could not be fetched."
	fi
fi

# `clang --version` begins "… clang version 14.0.6 …", with a distribution's name in front or not.
clang_version=$(clang --version | sed -n '1s/.*clang version \([0-9]*\).*/\1/p')
if [ -n "$clang_version" ] && [ "$clang_version" -lt "$oldest_clang" ]; then
	fail "clang $clang_version is too old: $oldest_clang or newer is needed." \
		"Install a newer one and put it first on PATH as clang."
fi

# --- Rust ----------------------------------------------------------------------------------------

PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
rustup_hint="curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"

if ! has cargo || ! has rustc; then
	if [ -n "${SUDO_USER:-}" ]; then
		fail "root has no Rust toolchain. Run make as $SUDO_USER: it calls sudo where it has to."
	fi
	fail "there is no Rust toolchain. Install Rust $oldest_rust or newer: $rustup_hint"
fi
rust=$(rustc --version 2>/dev/null | sed -n 's/^rustc \([0-9.]*\).*/\1/p')
[ -n "$rust" ] || fail "rustc does not run. With rustup: rustup default stable"
if [ "$(printf '%s\n' "$oldest_rust" "$rust" | sort -V | head -n 1)" != "$oldest_rust" ]; then
	fail "Rust $rust is too old: $oldest_rust or newer is needed." \
		"With rustup: rustup update stable. Else: $rustup_hint"
fi

# The build formats generated code if there is a rustfmt; one that does not run stops the build.
if has rustfmt || [ "$purpose" = test ]; then
	rustfmt --version >/dev/null 2>&1 ||
		fail "rustfmt does not run. With rustup: rustup component add rustfmt"
fi
if [ "$purpose" = test ]; then
	cargo clippy --version >/dev/null 2>&1 ||
		fail "clippy is missing. With rustup: rustup component add clippy"
fi

say "everything needed to $purpose is here (Rust $rust, clang ${clang_version:-of unknown version})."
