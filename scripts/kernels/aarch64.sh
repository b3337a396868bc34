#!/usr/bin/env bash
# Differences for aarch64, on a machine of another architecture: the build with a cross compiler,
# and a guest's files from Debian's packages. Sourced by test-kernels.sh after the others.
# shellcheck disable=SC2034,SC2154

# The guests' C library must be no older than that of the machine that builds: the newest is taken.
KERNEL_SUITES=(trixie bookworm)
SECURITY_SUITES=(trixie-security)
# There is nothing to control that x86_64 does not.
CONTROL_TESTS=()
# Packages of the guest, which come with all that they need.
BASE_PACKAGES=(busybox-static iproute2 ethtool libgcc-s1)
# libelf and zlib to be linked statically: bookworm's libelf.a needs zlib alone.
LIBRARIES=(libelf-dev zlib1g-dev)

need_cross_compiler() {
	local target=aarch64-unknown-linux-gnu
	command -v aarch64-linux-gnu-gcc >/dev/null ||
		install_packages libc6-dev-arm64-cross gcc-aarch64-linux-gnu
	[ -d "$(rustc --print sysroot)/lib/rustlib/$target" ] && return
	command -v rustup >/dev/null ||
		die "no Rust standard library for $target: install libstd-rust-dev:arm64, or Rust by rustup"
	rustup -q target add "$target" || die "rustup cannot add $target"
}

# Downloads a list of packages with or without what they need, and unpacks them into $1.
unpack_into() {
	local into=$1
	shift
	[ ! -e "$into/.whole" ] || return 0
	rm -rf "$into" && mkdir -p "$into/debs"
	(cd "$into/debs" && "$@") >"$cache/download.log" 2>&1 || die "packages cannot be had:
$(tail -5 "$cache/download.log")"
	find "$into/debs" "$cache/apt/cache/archives" -name '*.deb' -exec dpkg -x {} "$into" \;
	rm -rf "$into/debs"
	find "$cache/apt/cache/archives" -name '*.deb' -delete
	touch "$into/.whole"
}

prepare_build() {
	local libraries="$cache/libraries"
	need_cross_compiler
	unpack_into "$libraries" private_apt apt-get download "${LIBRARIES[@]/%//bookworm}"
	export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
	export CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc
	# the archives alone: the linker would take shared libraries first
	mkdir -p "$libraries/static"
	cp "$libraries"/usr/lib/aarch64-linux-gnu/lib{elf,z}.a "$libraries/static/"
	export CFLAGS_aarch64_unknown_linux_gnu="-idirafter $libraries/usr/include"
	export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS="-L native=$libraries/static"
}

fill_base() {
	local root=$1
	unpack_into "$cache/base" private_apt apt-get install -y --download-only \
		--no-install-recommends "${BASE_PACKAGES[@]}"
	# /lib and /bin are links to what is under /usr there
	rm -rf "${root:?}"/{bin,lib,lib64} && mkdir -p "$root/bin" "$root/usr/lib"
	cp -a "$cache/base/usr/lib/aarch64-linux-gnu" "$root/usr/lib/"
	ln -s usr/lib "$root/lib"
	ln -sf aarch64-linux-gnu/ld-linux-aarch64.so.1 "$root/usr/lib/ld-linux-aarch64.so.1"
	find "$cache/base" -path '*/bin/busybox' -exec cp {} "$root/bin/" \;
	find "$cache/base" \( -path '*/sbin/ip' -o -path '*/bin/ip' -o -path '*/sbin/ethtool' \) -exec cp -L {} "$root/bin/" \;
	rm -rf "$root/usr/lib/aarch64-linux-gnu"/{perl*,gconv,ossl-modules}
}
