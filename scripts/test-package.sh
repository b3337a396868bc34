#!/usr/bin/env bash
# Makes the .deb, installs it on a minimal Debian (debootstrap, from the mirror of this machine's apt),
# runs the installed program there on the running kernel, and removes it again. Needs root, or sudo,
# and Debian.

set -euo pipefail
cd "$(dirname "$0")/.."

die() {
	echo "test-package: $*" >&2
	exit 1
}
say() { echo "test-package: $*"; }

sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
missing=()
command -v debootstrap >/dev/null || missing+=(debootstrap)
command -v dpkg-shlibdeps >/dev/null || missing+=(dpkg-dev)
if [ ${#missing[@]} -gt 0 ]; then
	say "installing ${missing[*]}"
	$sudo apt-get -qq update
	$sudo apt-get -qq -o DPkg::Lock::Timeout=120 install -y --no-install-recommends "${missing[@]}"
fi

scripts/dist.sh deb
deb=$(echo "$target"/dist/*.deb)

# --- a minimal Debian, saved as a tar file for the next run ------------------------------------------

suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
mirror=$(apt-get indextargets --format "\$(LABEL)|\$(REPO_URI)" 'Created-By: Packages' |
	awk -F'|' '$1 == "Debian" { print $2; exit }')
[ -n "$mirror" ] || die "this machine's apt names no mirror of Debian"
base=$target/package/$suite.tar
root=$target/package/root
leave() {
	local at
	for at in proc sys dev; do
		mountpoint -q "$root/$at" && $sudo umount "$root/$at"
	done
	$sudo rm -rf --one-file-system "$root"
}
trap leave EXIT
leave
mkdir -p "$root"
if [ ! -e "$base" ]; then
	say "making a minimal $suite"
	$sudo debootstrap --variant=minbase "$suite" "$root" "$mirror" >"$target/package/log" 2>&1 ||
		die "debootstrap failed: $(tail -n 3 "$target/package/log")"
	$sudo tar -C "$root" -cf "$base.new" . && $sudo mv "$base.new" "$base"
else
	$sudo tar -C "$root" -xf "$base"
fi
inside() { $sudo env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 HOME=/root chroot "$root" "$@"; }
inside mount -t proc proc /proc
inside mount -t sysfs -o ro sysfs /sys
$sudo mount --bind /dev "$root/dev"

# --- installed, run, removed -----------------------------------------------------------------------

$sudo cp "$deb" "$root/ebpftop.deb"
# dpkg refuses a package whose dependencies are missing.
inside dpkg -i /ebpftop.deb >"$target/package/log" 2>&1 || die "dpkg: $(cat "$target/package/log")"
[ -z "$(inside dpkg --verify ebpftop)" ] || die "installed files are not those of the package"

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
[ "$(inside ebpftop --version)" = "ebpftop $version" ] || die "ebpftop --version says $(inside ebpftop --version)"
inside zcat /usr/share/man/man1/ebpftop.1.gz | grep '^\.SH "\?OPTIONS OF STREAM' >/dev/null || die "there is no man page"
inside bash -n /usr/share/bash-completion/completions/ebpftop
inside ebpftop config | inside cmp - /usr/share/doc/ebpftop/examples/config.toml
for text in copyright LICENSE-MIT LICENSE-APACHE GPL-2.0-only.txt BSD-2-Clause.txt sbom.cdx.json; do
	inside test -s "/usr/share/doc/ebpftop/$text" || die "there is no $text"
done
inside test -s /usr/lib/systemd/system/ebpftop-export.service || die "there is no unit"
inside find /etc/systemd -name '*ebpftop*' 2>/dev/null | grep . >/dev/null && die "the service is enabled"
for text in scrape.yml ebpftop.rules.yml ebpftop.alerts.yml; do
	inside test -s "/usr/share/doc/ebpftop/examples/prometheus/$text" || die "there is no $text"
done
inside ebpftop doctor || die "doctor says that it cannot run"

# Real programs on the real kernel: an open within the root is reported by its path in the mount namespace.
lines=$target/package/lines
(inside ebpftop stream opens --path /etc/debian_version --duration 5s --format json >"$lines") &
stream=$!
for _ in $(seq 1200); do
	if ! kill -0 "$stream" 2>/dev/null || grep -qs '"type":"ready"' "$lines"; then break; fi
	sleep 0.1
done
grep -q '"type":"ready"' "$lines" || die "stream does not become ready"
inside cat /etc/debian_version >/dev/null
wait "$stream" || die "stream ends with status $?"
grep '"type":"open"' "$lines" | grep '"process":"cat"' | grep '"resolved":"'"$(realpath "$root")"'/etc/debian_version"' |
	grep '"errno":null' >/dev/null || die "the open was not reported: $(cat "$lines")"
grep -q '"type":"summary".*"opens_lost":0' "$lines" || die "there is no summary: $(tail -n 1 "$lines")"

inside dpkg --purge ebpftop >"$target/package/log" 2>&1 || die "dpkg: $(cat "$target/package/log")"
left=$(inside find / -xdev -name '*ebpftop*' ! -name ebpftop.deb)
[ -z "$left" ] || die "purged, it leaves $left"
say "$(basename "$deb") installs, runs and uninstalls on a minimal $suite"
