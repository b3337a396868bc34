#!/bin/sh
# Runs `cargo build --locked` with the options given. libelf and zlib become part of the binary where
# their static libraries are here and need no others; else it takes the shared ones. The folders that
# it is built in stay out of the binary, so that it is the same from every folder.
set -eu
cd "$(dirname "$0")/.."

cargo=${CARGO:-cargo}
here=$(pwd -P)
there=$(realpath -m "${CARGO_TARGET_DIR:-target}")
home=$(realpath -m "${CARGO_HOME:-$HOME/.cargo}")

# Of two that begin a path alike the later one holds. \037 stands between words that may hold spaces.
flags=$(
	[ -z "${RUSTFLAGS:-}" ] || echo "$RUSTFLAGS" | tr -s ' ' '\037' | tr -d '\n'
	[ -z "${RUSTFLAGS:-}" ] || printf '\037'
	printf '%s=%s' "--remap-path-prefix" "$home=/cargo"
	printf '\037%s=%s' "--remap-path-prefix" "$here=/ebpftop"
	printf '\037%s=%s' "--remap-path-prefix" "$there=/ebpftop/target"
)
export CARGO_ENCODED_RUSTFLAGS="${CARGO_ENCODED_RUSTFLAGS:-$flags}"
export LIBBPF_SYS_EXTRA_CFLAGS="-ffile-prefix-map=$home=/cargo ${LIBBPF_SYS_EXTRA_CFLAGS:-}"

folder=$(dirname "$(cc -print-file-name=libelf.a)") # "." where there is none
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
