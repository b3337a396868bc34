#!/bin/sh
# Prints the path of a cargo tool in its tested version: `tool.sh cargo-deb`. An installed one is used;
# else it is built into target/tools.
set -eu
cd "$(dirname "$0")/.."

case ${1:-} in
cargo-deb) version=3.8.0 ;;
cargo-generate-rpm) version=0.21.1 ;;
cargo-deny) version=0.20.2 ;;
*)
	echo "usage: tool.sh cargo-deb|cargo-generate-rpm|cargo-deny" >&2
	exit 2
	;;
esac

has() { [ -x "$1" ] && "$1" --version 2>/dev/null | grep -qw "$version"; }

path=$(command -v "$1" || true)
if ! has "$path"; then
	root=$(realpath -m "${CARGO_TARGET_DIR:-target}")/tools
	path=$root/bin/$1
	if ! has "$path"; then
		echo "tool: building $1 $version, some minutes, once" >&2
		env -u CARGO_TARGET_DIR "${CARGO:-cargo}" install --quiet --locked --root "$root" \
			--version "$version" "$1" >&2
	fi
fi
echo "$path"
