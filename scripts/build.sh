#!/bin/sh
# Runs `cargo build --locked` with the given options. It links libelf and zlib statically where their
# static libraries are installed and need no others, else dynamically. Paths of the build are remapped,
# so the binary is the same from every folder.
set -eu
cd "$(dirname "$0")/.."

cargo=${CARGO:-cargo}
here=$(pwd -P)
there=$(realpath -m "${CARGO_TARGET_DIR:-target}")
home=$(realpath -m "${CARGO_HOME:-$HOME/.cargo}")

# Of two matching prefixes the later one applies. \037 separates words that may contain spaces.
flags=$(
	[ -z "${RUSTFLAGS:-}" ] || echo "$RUSTFLAGS" | tr -s ' ' '\037' | tr -d '\n'
	[ -z "${RUSTFLAGS:-}" ] || printf '\037'
	printf '%s=%s' "--remap-path-prefix" "$home=/cargo"
	printf '\037%s=%s' "--remap-path-prefix" "$here=/ebpftop"
	printf '\037%s=%s' "--remap-path-prefix" "$there=/ebpftop/target"
)
export CARGO_ENCODED_RUSTFLAGS="${CARGO_ENCODED_RUSTFLAGS:-$flags}"
export LIBBPF_SYS_EXTRA_CFLAGS="-ffile-prefix-map=$home=/cargo ${LIBBPF_SYS_EXTRA_CFLAGS:-}"

folder=$(dirname "$(cc -print-file-name=libelf.a)") # "." if there is none
test=$(mktemp)
trap 'rm -f "$test"' EXIT
if [ "$folder" != . ] &&
	printf '#include <libelf.h>\nint main(void) { return elf_begin(0, ELF_C_READ, 0) != 0; }\n' |
	cc -x c - -o "$test" -l:libelf.a -l:libz.a 2>/dev/null; then
	LIBBPF_SYS_LIBRARY_PATH=$folder "$cargo" build --locked --features libbpf-rs/static "$@"
else
	echo "build: no static libelf that needs zlib alone: the binary will need libelf and zlib" >&2
	"$cargo" build --locked "$@"
fi
