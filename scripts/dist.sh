#!/usr/bin/env bash
# Makes a release in target/dist: an archive, a .deb, an .rpm, an SBOM (CycloneDX) and checksums.
# `dist.sh deb` (archive, rpm) makes that one alone.
#
# The same source gives the same bytes from any folder: scripts/reproducible.sh tests it. Needs
# git (or SOURCE_DATE_EPOCH), python3, pkg-config and binutils; the .deb dpkg-dev too.

set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C.UTF-8 TZ=UTC

die() {
	echo "dist: $*" >&2
	exit 1
}

what=("$@")
[ $# -gt 0 ] || what=(archive deb rpm)
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
export CARGO_TARGET_DIR=$target
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct 2>/dev/null)}" ||
	die "this is no git checkout: set SOURCE_DATE_EPOCH to the time of the source"
export SOURCE_DATE_EPOCH
dist=$target/dist
# The directory that the file lists in Cargo.toml name.
staged=$target/release/dist
binary=$target/release/ebpftop

# Refuses a binary that needs a library which not every system has.
check_needed() {
	local name odd=()
	while read -r name; do
		case $name in
		libc.so.6 | libm.so.6 | libgcc_s.so.1 | ld-linux-x86-64.so.2 | ld-linux-aarch64.so.1) ;;
		*) odd+=("$name") ;;
		esac
	done < <(readelf -d "$binary" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
	[ ${#odd[@]} -eq 0 ] || die "the binary needs ${odd[*]} beside the C library; static libraries are missing here"
}

# Writes the documents that the program prints, and the SBOM.
stage() {
	rm -rf "$staged"
	mkdir -p "$staged" "$dist"
	"$binary" man | gzip -9n >"$staged/ebpftop.1.gz"
	"$binary" completions bash >"$staged/ebpftop"
	"$binary" completions zsh >"$staged/_ebpftop"
	"$binary" completions fish >"$staged/ebpftop.fish"
	"$binary" config >"$staged/config.toml"
	scripts/sbom.py "$binary" >"$staged/sbom.cdx.json"
	cp "$staged/sbom.cdx.json" "$dist/ebpftop-$version.cdx.json"
}

archive() {
	local name
	name=ebpftop-$version-$(uname -m)-linux
	local root=$staged/$name
	mkdir -p "$root/completions" "$root/LICENSES"
	cp "$binary" README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE "$root"
	cp -r docs packaging/*/ "$root"
	cp LICENSES/* packaging/copyright "$root/LICENSES"
	gzip -dc "$staged/ebpftop.1.gz" >"$root/ebpftop.1"
	cp "$staged"/{config.toml,sbom.cdx.json} "$root"
	cp "$staged"/{ebpftop,_ebpftop,ebpftop.fish} "$root/completions"
	chmod -R u=rwX,go=rX "$root"
	tar -C "$staged" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" \
		--format=gnu -cf - "$name" | gzip -9n >"$dist/$name.tar.gz"
	rm -r "$root"
}

deb() { "$(scripts/tool.sh cargo-deb)" --quiet --no-build --no-strip -o "$dist/"; }

rpm() {
	# The tools of rpm, which would find the libraries, are not on every system.
	"$(scripts/tool.sh cargo-generate-rpm)" --auto-req builtin --source-date "$SOURCE_DATE_EPOCH" \
		--target-dir "$target" -o "$dist/"
}

scripts/build.sh --release
check_needed
rm -rf "$dist"
stage
for one in "${what[@]}"; do
	case $one in
	archive | deb | rpm) "$one" ;;
	*) die "there is no $one; there are archive, deb and rpm" ;;
	esac
done
cd "$dist"
sha256sum ebpftop* >SHA256SUMS
cat SHA256SUMS
