#!/usr/bin/env bash
# Puts guests together and runs them. Sourced by test-kernels.sh, which sets what is not set here.
# shellcheck disable=SC2154

# Modules that the tests need where they are none of the kernel's own parts, in loading order.
MODULES=(fuse sch_ingress cls_bpf cls_u32 act_mirred ifb veth dummy tun sch_tbf udp_tunnel ip6_udp_tunnel vxlan inet_diag tcp_diag udp_diag unix_diag overlay gf128mul ghash-generic ctr crypto_null gcm tls)

# Programs that the tests run and that busybox lacks, has with fewer options, or that they copy to another name.
PROGRAMS=(cat sleep strace ip ss ethtool tc setcap setpriv unshare mount umount mountpoint env bash)

# Builds the tests and the program that they run, as for the tests on this kernel; copies them,
# without debug information, to $cache/tests.
build_tests() {
	local name path
	prepare_build
	cargo test --locked --no-run "${build_options[@]}" --test kernel --message-format=json >"$cache/cargo.json" 2>"$cache/cargo.log" ||
		die "the tests do not build:
$(tail -30 "$cache/cargo.log")"
	rm -rf "$cache/tests" && mkdir -p "$cache/tests"
	# {"reason":"compiler-artifact",…,"target":{…"kind":["test"],…"name":"opens",…},…,"executable":"/…"}
	# without debug information: the guest keeps its files in memory
	while read -r name path; do
		"$strip" -g -o "$cache/tests/$name" "$path"
	done < <(sed -nE 's/.*"kind":\["test"\].*"name":"([^"]+)","src_path".*"executable":"([^"]+)".*/\1 \2/p' \
		"$cache/cargo.json")
	"$strip" -g -o "$cache/tests/ebpftop" "$program"
	if [ "${tests[*]}" = all ]; then
		mapfile -t tests < <("$cache/tests/kernel" --list | sed -n 's/::.*: test$//p' | sort -u)
	fi
	for name in "${tests[@]}" "${connection_tests[@]}" "${CONTROL_TESTS[@]}"; do
		[ -e "tests/kernel/$name.rs" ] || [ -e "tests/soak/$name.rs" ] || die "there is no tests/kernel/$name.rs"
	done
	"${can_list[@]}" check_floors
}

# A floor for a test that does not exist (any more) would say nothing.
check_floors() {
	local name test known
	known=$("$cache/tests/kernel" --list)
	while read -r name test; do
		[ "$test" = '*' ] || grep -qx "$name::$test: test" <<<"$known" ||
			die "scripts/kernels: tests/kernel/$name.rs has no test $test"
	done < <(floors | cut -d' ' -f2-; grep -v '^#' "$here/emulated" | cut -d' ' -f1,2)
}

floors() { grep -v '^#' "$here/floors"; }

# The tests that are left out where the guest takes the machine's place.
emulated() { if [ "${TESTS:-}" = all ]; then grep -v '^#' "$here/emulated"; fi; }

# Whether version $1 (two numbers) is below $2.
below() { [ "$1" != "$2" ] && [ "$(printf '%s\n' "$1" "$2" | sort -V | head -1)" = "$1" ]; }

# The kernel, the file system and the list of tests of one guest, in $cache/guests/$1.
prepare_guest() {
	local guest=$1 dir="$cache/guests/$1" series=$1 package version tree kernel
	rm -rf "$dir" && mkdir -p "$dir"
	[ "$guest" != control ] || series=$control_series
	read -r package version <<<"$(kernel_package "$series")" || true
	if [ -z "$package" ]; then
		echo "no package of this series" >"$dir/trouble"
		return 1
	fi
	# shellcheck disable=SC2046 # one package name a word
	if ! tree=$(unpacked "$version" $(kernel_parts "$package")); then
		echo "$package $version cannot be downloaded" >"$dir/trouble"
		return 1
	fi
	kernel=$(find "$tree" -name 'vmlinuz*' -type f | head -1)
	if [ -z "$kernel" ]; then
		echo "$package $version holds no vmlinuz" >"$dir/trouble"
		return 1
	fi
	echo "$package $version" >"$dir/package"
	fill_root "$dir/root" "$tree"
	list_tests "$guest" "$(sed -E 's/^linux-image-([0-9]+\.[0-9]+).*/\1/' <<<"$package")" \
		>"$dir/root/tests/list"
	(cd "$dir/root" && find . | busybox cpio -o -H newc 2>/dev/null) >"$dir/initramfs"
	cp "$dir/root/tests/list" "$dir/list"
	rm -rf "$dir/root"
	ln -sf "$kernel" "$dir/vmlinuz"
}

# Nothing: the machine's own compiler is the one.
prepare_build() { :; }

# busybox, PROGRAMS and the libraries of these and of the tests.
fill_base() {
	local root=$1 file program
	cp "$(command -v busybox)" "$root/bin/busybox"
	for program in "${PROGRAMS[@]}"; do
		file=$(command -v "$program") || die "no $program here: scripts/setup.sh test installs it"
		cp -L "$file" "$root/bin/$program"
	done
	# busybox's own shell takes its own setpriv before that of the path
	ln -s bash "$root/bin/sh"
	for file in $(ldd "$root"/bin/* "$root/tests"/* 2>/dev/null | grep -oE '/[^ ]+\.so[^ ]*' | sort -u); do
		mkdir -p "$root$(dirname "$file")"
		cp -L "$file" "$root$file"
	done
}

# The guest's files: those that every guest has, the tests, the modules.
fill_root() {
	local root=$1 tree=$2 file module
	mkdir -p "$root"/{bin,etc,lib,lib64,tests,usr/lib,modules}
	cp "$here/init" "$root/init"
	cp "$cache/tests"/* "$root/tests/"
	fill_base "$root"
	echo guest >"$root/etc/hostname"
	printf '%s\n' 'root:x:0:0:root:/root:/bin/sh' 'nobody:x:65534:65534:nobody:/:/bin/sh' >"$root/etc/passwd"
	printf '%s\n' 'root:x:0:' 'nogroup:x:65534:' >"$root/etc/group"
	: >"$root/modules/order"
	for module in "${MODULES[@]}"; do
		file=$(find "$tree" -name "$module.ko*" | head -1)
		[ -n "$file" ] || continue
		case $file in
		*.xz) xz -dc "$file" >"$root/modules/$module.ko" ;;
		*.zst) zstd -qdc "$file" >"$root/modules/$module.ko" ;;
		*) cp "$file" "$root/modules/$module.ko" ;;
		esac
		echo "$module.ko" >>"$root/modules/order"
	done
}

# "seconds name program arguments" a line: what the guest is to run.
list_tests() {
	local guest=$1 running=$2 dir="$cache/guests/$1" name other version test args reason
	if [ "$guest" = control ]; then
		control_tests "$dir/root"
		return
	fi
	# shellcheck disable=SC2046 # one module a word
	for name in "${tests[@]}" $(also "$guest"); do
		args=
		# Names are chosen by a part of them: `files::` is in `stream_files::`.
		for other in tests/kernel/?*"$name".rs; do
			[ ! -e "$other" ] || args+=" --skip $(basename "$other" .rs)::"
		done
		while read -r version _ test; do
			below "$running" "$version" || continue
			echo "$name $test needs $version" >>"$dir/unavailable"
			if [ "$test" = '*' ]; then continue 2; fi
			args+=" --skip $name::$test"
		done < <(floors | awk -v name="$name" '$2 == name')
		while read -r _ test reason; do
			echo "$name $test: $reason" >>"$dir/unavailable"
			if [ "$test" = '*' ]; then continue 2; fi
			args+=" --skip $name::$test"
		done < <(emulated | awk -v name="$name" '$1 == name')
		# these say what the kernel took
		case $name in floor | io_floor | whole) args+=' --nocapture' ;; esac
		# it is left out where the module tls may be missing
		case $name in ktls) args+=' --include-ignored' ;; esac
		echo "$test_limit $name kernel $name:: --test-threads=$test_threads$args"
	done
}

run_guest() {
	local guest=$1 dir="$cache/guests/$1" begun=$SECONDS
	timeout -k 5 "$guest_limit" "${qemu[@]}" -accel tcg,thread=multi -smp 2 -m 2048 \
		-nodefaults -no-user-config -display none -no-reboot \
		-serial "file:$dir/console" -device virtio-rng-pci \
		-kernel "$dir/vmlinuz" -initrd "$dir/initramfs" \
		-append "console=$console quiet panic=-1 rdinit=/init rcupdate.rcu_expedited=1" \
		</dev/null >"$dir/qemu" 2>&1 || echo "qemu ended with status $?" >>"$dir/trouble"
	tr -d '\r' <"$dir/console" >"$dir/said" || true
	echo $((SECONDS - begun)) >"$dir/seconds"
}
