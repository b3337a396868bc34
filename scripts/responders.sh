#!/bin/sh
# Unpacks Debian's avahi-daemon and systemd-resolved into target/responders, for tests/kernel/names_local.rs.
# They are not installed: the tests need neither a service that answers on this machine's network, nor
# another /etc/resolv.conf. One that is installed is left out. Needs apt.
set -eu
cd "$(dirname "$0")/.."

to=$(realpath -m "${CARGO_TARGET_DIR:-target}")/responders
packages=
missing() { [ ! -x "/$1" ] && [ ! -x "/usr/$1" ] && [ ! -x "$to/usr/$1" ]; }
if missing sbin/avahi-daemon; then
	packages='avahi-daemon libavahi-core7 libavahi-common3 libdaemon0'
fi
if missing lib/systemd/systemd-resolved; then
	packages="$packages systemd-resolved libsystemd-shared"
fi
[ -n "$packages" ] || exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(
	cd "$work"
	# shellcheck disable=SC2086 # one word a package
	apt-get download -q -o APT::Sandbox::User="$(id -un)" $packages
	for package in *.deb; do dpkg -x "$package" .; done
)
mkdir -p "$to/lib"
find "$work" -name '*.so.*' -exec cp -a {} "$to/lib/" \;
find "$work" -name 'libsystemd-shared-*.so' -exec cp -a {} "$to/lib/" \;
for program in sbin/avahi-daemon lib/systemd/systemd-resolved; do
	from=$(find "$work" -type f -path "*/$program")
	[ -z "$from" ] || install -D -m 755 "$from" "$to/usr/$program"
done
printf 'responders: in %s:%s\n' "$to" " $packages"
