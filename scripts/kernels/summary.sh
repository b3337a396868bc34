#!/usr/bin/env bash
# Reads the output of the guests and judges it. Sourced by test-kernels.sh.
# shellcheck disable=SC2154

# The failed tests of a binary, from its output.
failed_tests() {
	awk -v begin="@@ begin $2" -v end="@@ end $2 " '
		$0 == begin { on = 1 } index($0, end) == 1 { on = 0 }
		on && /^test .* FAILED$/ { printf " %s", $2 }' "$1/said"
}

passed_tests() {
	awk -v begin="@@ begin $2" -v end="@@ end $2 " '
		$0 == begin { on = 1 } index($0, end) == 1 { on = 0 }
		on && /^test result: / { n = $4 } END { print n + 0 }' "$1/said"
}

# Everything that is wrong with a guest's run, a line each; nothing when it passed.
problems() {
	local dir="$cache/guests/$1" name status
	[ ! -s "$dir/trouble" ] || cat "$dir/trouble"
	[ -e "$dir/said" ] || {
		echo "it never ran"
		return
	}
	while read -r _ name _; do
		status=$(sed -n "s/^@@ end $name \([0-9]*\) .*/\1/p" "$dir/said")
		if ! grep -qx "@@ begin $name" "$dir/said"; then
			echo "$name: never began"
		elif [ -z "$status" ]; then
			echo "$name: the guest stopped in it"
		elif [ "$status" = 137 ]; then
			echo "$name: killed, it did not end in time"
		elif [ "$status" != 0 ]; then
			echo "$name: exit status $status, failed:$(failed_tests "$dir" "$name")"
		elif [ "$(passed_tests "$dir" "$name")" = 0 ]; then
			echo "$name: ran no test"
		fi
	done <"$dir/list"
	grep -qx '@@ done' "$dir/said" || echo "guest: did not come to its end"
}

# The control passes when each of its failures was reported, with the right reason.
control_problems() {
	local reported want
	reported=$(problems control)
	for want in "${CONTROL_EXPECTED[@]}"; do
		grep -q "^$want" <<<"$reported" || echo "not reported by the control guest: $want"
	done
}

# Instructions that the verifier processed, by program and kernel; kernels below 5.16 do not report them.
print_instructions() {
	local guest
	for guest in "${guests[@]}"; do
		if [ "$guest" = control ] || [ ! -e "$cache/guests/$guest/said" ]; then continue; fi
		sed -n "s/^@@ insns /$guest /p" "$cache/guests/$guest/said" | sort -u
	done | awk '
		!$3 { next }
		!($1 in column) { column[$1] = ++columns; head[columns] = $1 }
		!($2 in row) { row[$2] = ++rows; name[rows] = $2 }
		$3 > most[$2, $1] { most[$2, $1] = $3 }
		END {
			if (!rows) exit
			printf "\n%-24s", "verified instructions"
			for (c = 1; c <= columns; c++) printf "%10s", head[c]
			print ""
			for (r = 1; r <= rows; r++) {
				printf "%-24s", name[r]
				for (c = 1; c <= columns; c++) {
					n = most[name[r], head[c]]
					printf "%10s", n ? n : "-"
				}
				print ""
			}
		}'
}

# Every program that takes another's place on some kernels has to be loaded on one of these.
ALTERNATIVES=(open_exit open_exit_516 open_enter uring_submit)
ALTERNATIVES+=(compat_exit compat_exit_516)
ALTERNATIVES+=(io_exit io_exit_516 io_enter io_enter_516 change_exit change_exit_516 change_enter)
# The kernel keeps 15 bytes of a name: process_exec_516.
ALTERNATIVES+=(process_exec process_exec_51)
ALTERNATIVES+=(xdp_frags xdp_plain tcx_ingress tcx_egress socket_filter)

# The alternatives that no kernel took; nothing when not all the kernels ran.
untaken() {
	local name guest said=()
	for guest in "${guests[@]}"; do
		if [ "$guest" = control ]; then continue; fi
		[ ! -e "$cache/guests/$guest/said" ] || said+=("$cache/guests/$guest/said")
	done
	[ "${#said[@]}" -ge 4 ] || return 0
	for name in "${ALTERNATIVES[@]}"; do
		grep -q "^@@ insns $name " "${said[@]}" || echo "no kernel took $name"
	done
}

summarise() {
	local guest dir wrong name failed=0 passed=0
	for guest in "${guests[@]}"; do
		dir="$cache/guests/$guest"
		if [ "$guest" = control ]; then wrong=$(control_problems); else wrong=$(problems "$guest"); fi
		echo
		echo "$guest: $(cat "$dir/package" 2>/dev/null || echo "no kernel"), $(cat "$dir/seconds" 2>/dev/null || echo 0) s"
		if [ "$guest" = control ]; then
			problems control | sed 's/^/  reported, as it must be: /' | cut -c1-120
		elif [ -e "$dir/said" ]; then
			while read -r _ name _; do
				echo "  $name: $(passed_tests "$dir" "$name") passed"
			done <"$dir/list"
			sed -nE 's/^@@ (missing|note) /  \1 /p' "$dir/said" | sort -u
			[ ! -e "$dir/unavailable" ] || sed 's/^/  not here: /' "$dir/unavailable"
		fi
		if [ -z "$wrong" ]; then
			passed=$((passed + 1))
			echo "  PASS"
		else
			failed=$((failed + 1))
			printf '%s\n' "$wrong" | sed 's/^/  FAIL /'
			echo "  all that it said: ${dir#"$PWD/"}/said"
		fi
	done
	print_instructions
	echo
	wrong=$(untaken)
	if [ -n "$wrong" ]; then
		failed=$((failed + 1))
		printf '%s\n' "$wrong" | sed 's/^/  FAIL /'
	fi
	echo "$passed passed, $failed failed"
	[ "$failed" = 0 ]
}
