#!/bin/sh
# Unpacks Debian's avahi-daemon and systemd-resolved into target/responders, for tests/kernel/names_local.rs.
# They are not installed: the tests need neither a service that answers on this machine's network, nor
# another /etc/resolv.conf. One that is installed is left out. With --check it only says what is missing.
# Needs apt, and root where the package lists are missing or old.
set -eu
cd "$(dirname "$0")/.."

to=$(realpath -m "${CARGO_TARGET_DIR:-target}")/responders
missing() { [ ! -x "/$1" ] && [ ! -x "/usr/$1" ] && [ ! -x "$to/usr/$1" ]; }
programs=
for program in sbin/avahi-daemon lib/systemd/systemd-resolved; do
	if missing $program; then programs="$programs $program"; fi
done
[ -n "$programs" ] || exit 0
if [ "${1:-}" = --check ]; then
	printf 'responders: missing:%s\n' "$programs" >&2
	exit 1
fi

as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi; }

# The packages of the missing programs.
packages() {
	case $programs in
	*avahi*) echo avahi-daemon libavahi-core7 libavahi-common3 libdaemon0 ;;
	esac
	case $programs in
	*resolved*) # Debian 11 and Ubuntu 22.04 have the daemon and its library in systemd
		if apt-cache show systemd-resolved 2>/dev/null | grep -q .; then
			echo systemd-resolved libsystemd-shared
		else
			echo systemd
		fi
		;;
	esac
}

download() {
	# shellcheck disable=SC2046 # one word a package
	apt-get download -q -o APT::Sandbox::User="$(id -un)" $(packages)
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(
	cd "$work"
	download || { as_root apt-get update -q && download; }
	for package in *.deb; do dpkg -x "$package" .; done
)
mkdir -p "$to/lib"
find "$work" -name '*.so.*' -exec cp -a {} "$to/lib/" \;
find "$work" -name 'libsystemd-shared-*.so' -exec cp -a {} "$to/lib/" \;
for program in $programs; do
	from=$(find "$work" -type f -path "*/$program")
	install -D -m 755 "$from" "$to/usr/$program"
done
printf 'responders: in %s:%s\n' "$to" "$programs"
