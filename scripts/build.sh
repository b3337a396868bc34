#!/bin/sh
# Runs `cargo build --locked` with the options given. libelf and zlib become part of the binary where
# their static libraries are here and need no others; else it takes the shared ones.
set -eu

cargo=${CARGO:-cargo}
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
