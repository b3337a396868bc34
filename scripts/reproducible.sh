#!/usr/bin/env bash
# Builds the release twice, in two folders with names of different length and with target folders of
# their own, and compares every file byte by byte. It copies the files that git tracks, with their local
# changes. Both builds share compiler, C library, cargo's downloads and user, so differences of these are
# not tested. libbpf's Makefile needs folders without spaces.

set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct)}"
export SOURCE_DATE_EPOCH
# Build the tools once, not once for each folder.
for tool in cargo-deb cargo-generate-rpm; do
	PATH=$PATH:$(dirname "$(scripts/tool.sh "$tool")")
done

folders=("$work/a" "$work/another-folder/with/a/longer-name")
for folder in "${folders[@]}"; do
	mkdir -p "$folder"
	git ls-files -z | xargs -0 cp --parents -t "$folder"
done
for folder in "${folders[@]}"; do
	echo "reproducible: building in $folder" >&2
	(unset CARGO_TARGET_DIR && cd "$folder" && scripts/dist.sh >"$work/log" 2>&1) ||
		{ tail -n 20 "$work/log" >&2 && exit 1; }
	mv "$folder/target/dist" "$folder.dist"
	rm -rf "$folder"
done
if diff -r "${folders[0]}.dist" "${folders[1]}.dist"; then
	cat "${folders[0]}.dist/SHA256SUMS"
	echo "reproducible: both builds are equal, byte by byte"
else
	echo "reproducible: the builds differ" >&2
	exit 1
fi
