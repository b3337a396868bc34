#!/usr/bin/env bash
# Overhead of ebpftop and its peers beside the baseline, in turn; medians of ROUNDS rounds.
#
#   benches/peers.sh [opens] [traffic]      both when neither is named; needs root
#   ROUNDS=9 LOAD_S=5 BINARY=path benches/peers.sh
#
# Opens: one thread opens and closes 100 cached files, paths of five components.
# Traffic: small UDP packets over a veth pair, sent as fast as one thread can.
# Compare within a run only. A peer that is not installed is named and left out.
set -euo pipefail

ROUNDS=${ROUNDS:-5}
LOAD_S=${LOAD_S:-2}
SETTLE_S=${SETTLE_S:-2} # from a watcher's start until it is attached
here=$(cd "$(dirname "$0")" && pwd)
BINARY=${BINARY:-$here/../target/release/ebpftop}

if [ "$(id -u)" -ne 0 ]; then
	echo "peers: this loads BPF programs and makes network namespaces: run it with sudo" >&2
	exit 1
fi
# Mounts and interfaces in namespaces of its own, which end with it.
if [ -z "${PEERS_UNSHARED:-}" ]; then
	PEERS_UNSHARED=1 exec unshare --mount --net "$0" "$@"
fi
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
# opensnoop finds its tracepoints through a mounted tracefs only.
if [ ! -e /sys/kernel/tracing/events ]; then
	mount -t tracefs tracefs /sys/kernel/tracing
fi

work=$(mktemp -d /tmp/peers.XXXXXX)
files=$work/load/files # /tmp/peers.x/load/files/file00: five components
watcher=
helpers=()
cleanup() {
	stop_watcher
	for pid in "${helpers[@]}"; do
		kill -KILL "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	rm -rf "$work"
}
trap cleanup EXIT

mkdir -p "$files"
cc -O2 -o "$work/loader" "$here/load.c"

# Starts what is given, with stdout nowhere and stderr in a file, and lets it attach.
start_watcher() {
	watcher=
	[ $# -gt 0 ] || return 0
	"$@" >/dev/null 2>"$work/stderr" &
	watcher=$!
	sleep "$SETTLE_S"
	if ! kill -0 "$watcher" 2>/dev/null; then
		echo "peers: $1 ended at once:" >&2
		head -n 5 "$work/stderr" >&2
		exit 1
	fi
}

stop_watcher() {
	[ -n "$watcher" ] || return 0
	kill -TERM "$watcher" 2>/dev/null || true
	for _ in $(seq 30); do
		kill -0 "$watcher" 2>/dev/null || break
		sleep 0.1
	done
	kill -KILL "$watcher" 2>/dev/null || true
	wait "$watcher" 2>/dev/null || true
	watcher=
}

# User and system time of the watcher so far, in seconds.
watcher_cpu() {
	[ -n "$watcher" ] || {
		echo 0
		return
	}
	awk -v hz="$(getconf CLK_TCK)" '{ sub(/.*\) /, ""); print ($12 + $13) / hz }' \
		"/proc/$watcher/stat"
}

median() {
	sort -n | awk '{ v[NR] = $1 }
		END { print (NR % 2) ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# available NAME PROGRAM: whether PROGRAM can be run; prints a line when it cannot.
available() {
	command -v "$2" >/dev/null 2>&1 && return 0
	echo "peers: $1 is left out: $2 is not installed"
	return 1
}

# The command of a watcher, into the array `command`.
command_of() {
	case $1 in
	baseline) command=() ;;
	ebpftop-json) command=("$BINARY" stream opens --format json) ;;
	ebpftop-csv) command=("$BINARY" stream opens --format csv) ;;
	opensnoop) command=("$opensnoop") ;;
	ebpftop) command=("$BINARY" stream talkers --interface near --format json) ;;
	iftop) command=(iftop -t -n -N -i near) ;;
	nethogs) command=(nethogs -t near) ;;
	esac
}

opens() {
	local watchers=(baseline) name us pairs lost base
	opensnoop=$(command -v opensnoop || command -v opensnoop-libbpf || true)
	available ebpftop "$BINARY" && watchers+=(ebpftop-json ebpftop-csv)
	available opensnoop "${opensnoop:-opensnoop}" && watchers+=(opensnoop)
	for _ in $(seq "$ROUNDS"); do
		for name in "${watchers[@]}"; do
			command_of "$name"
			start_watcher "${command[@]}"
			read -r us pairs < <("$work/loader" opens "$files" "$LOAD_S")
			stop_watcher
			echo "$us" >>"$work/us.$name"
			echo "$pairs" >>"$work/pairs.$name"
			case $name in
			opensnoop) sed -n 's/^[Ll]ost \([0-9]*\) .*/\1/p' "$work/stderr" >>"$work/lost.$name" ;;
			ebpftop-csv) tail -n 1 "$work/stderr" >>"$work/summary" ;;
			esac
		done
	done
	base=$(median <"$work/us.baseline")
	printf '\nopens, %s rounds of %s s\n' "$ROUNDS" "$LOAD_S"
	printf '%-14s %9s %7s  %s\n' "tool" "us/pair" ratio lost
	for name in "${watchers[@]}"; do
		us=$(median <"$work/us.$name")
		lost=-
		if [ "$name" = opensnoop ]; then
			pairs=$(awk '{ n += $1 } END { print n }' "$work/pairs.$name")
			lost=$(awk -v pairs="$pairs" '{ n += $1 }
				END { printf "%d of %d (%.1f %%)", n, pairs, 100 * n / pairs }' "$work/lost.$name")
		fi
		awk -v name="$name" -v us="$us" -v base="$base" -v lost="$lost" \
			'BEGIN { printf "%-14s %9.2f %7.2f  %s\n", name, us, us / base, lost }'
	done
	if [ -s "$work/summary" ]; then
		echo "ebpftop-csv's own summaries, a round each:"
		cat "$work/summary"
	fi
}

traffic() {
	local watchers=(baseline) name before after far
	available ebpftop "$BINARY" && watchers+=(ebpftop)
	available iftop iftop && watchers+=(iftop)
	available nethogs nethogs && watchers+=(nethogs)
	# The far end's namespace lives as long as this process does.
	unshare --net sleep 3600 &
	far=$!
	helpers+=("$far")
	while [ "$(readlink "/proc/$far/ns/net")" = "$(readlink /proc/self/ns/net)" ]; do
		sleep 0.05
	done
	ip link add near type veth peer name far netns "$far"
	ip link set lo up
	ip address add 10.78.0.1/24 dev near
	ip link set near up
	nsenter --net="/proc/$far/ns/net" ip address add 10.78.0.2/24 dev far
	nsenter --net="/proc/$far/ns/net" ip link set far up
	"$work/loader" sink 3600 &
	helpers+=($!)
	sleep 1
	for _ in $(seq "$ROUNDS"); do
		for name in "${watchers[@]}"; do
			command_of "$name"
			start_watcher "${command[@]}"
			before=$(watcher_cpu)
			nsenter --net="/proc/$far/ns/net" "$work/loader" send 10.78.0.1 "$LOAD_S" \
				>>"$work/pps.$name"
			after=$(watcher_cpu)
			stop_watcher
			awk -v a="$before" -v b="$after" -v s="$LOAD_S" \
				'BEGIN { print 100 * (b - a) / s }' >>"$work/cpu.$name"
		done
	done
	printf '\ntraffic, %s rounds of %s s\n' "$ROUNDS" "$LOAD_S"
	printf '%-14s %12s %7s %14s\n' "tool" packets/s ratio "% of a core"
	base=$(median <"$work/pps.baseline")
	for name in "${watchers[@]}"; do
		awk -v name="$name" -v base="$base" \
			-v pps="$(median <"$work/pps.$name")" -v cpu="$(median <"$work/cpu.$name")" \
			'BEGIN { printf "%-14s %12d %7.2f %14.1f\n", name, pps, pps / base, cpu }'
	done
}

[ $# -gt 0 ] || set -- opens traffic
for part in "$@"; do
	case $part in
	opens | traffic) "$part" ;;
	*)
		echo "peers: $part is neither opens nor traffic" >&2
		exit 2
		;;
	esac
done
