#!/usr/bin/env bash
# A private apt root that knows every suite with a kernel of ours, beside the machine's own:
# nothing under /etc/apt or /var/lib/apt is touched. Sourced by test-kernels.sh, which sets `cache`
# and what depends on the architecture.
# shellcheck disable=SC2154
#
# Debian's mirror is that of the machine's apt configuration.

KERNEL_SUITES=(bullseye bookworm bookworm-backports trixie trixie-backports)
SECURITY_SUITES=(bullseye-security bookworm-security trixie-security)

# The address that the machine's apt has for an archive ("Debian", "Debian-Security"), or Debian's own.
mirror_of() {
	apt-get indextargets --format "\$(LABEL)|\$(REPO_URI)" 'Created-By: Packages' |
		awk -F'|' -v label="$1" '$1 == label { print $2; found = 1; exit }
			END { if (!found) print "http://deb.debian.org/" tolower(label) }'
}

install_packages() {
	local sudo=
	[ "$(id -u)" = 0 ] || sudo=sudo
	warn "installing ${*: -1}"
	$sudo apt-get -qq -o DPkg::Lock::Timeout=120 install -y --no-install-recommends --no-remove \
		"$@" >"$cache/install.log" 2>&1 || die "it cannot be installed:
$(tail -5 "$cache/install.log")"
}

# Debian 12's own QEMU cannot be installed beside libraries from its backports: there it comes
# from the backports too. The list that names them is ours; the machine's stays as it is.
install_qemu() {
	local package=$1 list="$cache/apt/backports.list" lists="$cache/apt/backports" options
	if ! grep -qx 'VERSION_CODENAME=bookworm' /etc/os-release; then
		install_packages "$package"
		return
	fi
	mkdir -p "$lists/partial"
	{
		cat /etc/apt/sources.list 2>/dev/null || true
		echo "deb $(mirror_of Debian) bookworm-backports main"
	} >"$list"
	options=(-o Dir::Etc::sourcelist="$list" -o Dir::State::lists="$lists")
	apt-get -qq "${options[@]}" -o APT::Sandbox::User=root update >"$cache/install.log" 2>&1 ||
		die "bookworm-backports cannot be read:
$(tail -5 "$cache/install.log")"
	install_packages "${options[@]}" -t bookworm-backports "$package"
}

private_apt() {
	local tool=$1
	shift
	"$tool" -qq \
		-o Dir::Etc::sourcelist="$cache/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null \
		-o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
		-o Dir::State::lists="$cache/apt/lists" -o Dir::Cache="$cache/apt/cache" \
		-o Dir::Cache::pkgcache=pkgcache.bin -o Dir::Cache::srcpkgcache=srcpkgcache.bin \
		-o Acquire::GzipIndexes=false -o Acquire::Languages=none -o Acquire::Retries=2 \
		-o APT::Update::Error-Mode=any -o APT::Sandbox::User=root "${apt_options[@]}" "$@"
}

private_apt_update() {
	local debian security suite
	local keys=/usr/share/keyrings/debian-archive-keyring.gpg
	debian=$(mirror_of Debian)
	security=$(mirror_of Debian-Security)
	[ -r "$keys" ] || install_packages debian-archive-keyring
	mkdir -p "$cache/apt/lists/partial" "$cache/apt/cache/archives/partial"
	{
		for suite in "${KERNEL_SUITES[@]}"; do
			echo "deb [arch=$debian_arch signed-by=$keys] $debian $suite main"
		done
		for suite in "${SECURITY_SUITES[@]}"; do
			echo "deb [arch=$debian_arch signed-by=$keys] $security $suite main"
		done
	} >"$cache/apt/sources.list"
	private_apt apt-get update >"$cache/apt/update.log" 2>&1 ||
		warn "not every package list could be had:
$(grep '^[EW]:' "$cache/apt/update.log" | cut -c1-160)"
}

# Brings the list of kernels up to date, at most once an hour.
fetch_lists() {
	[ -n "$(find "$cache/apt/kernels" -mmin -60 -size +0 2>/dev/null)" ] && return
	private_apt_update
	list_kernels >"$cache/apt/kernels"
}

# Every cloud kernel there is, "series package version" a line, the newest last.
list_kernels() {
	local packages
	mapfile -t packages < <(private_apt apt-cache pkgnames linux-image- |
		grep -E "^linux-image-[0-9][^ ]*-cloud-$debian_arch\$")
	[ "${#packages[@]}" -gt 0 ] || return 0
	private_apt apt-cache madison "${packages[@]}" |
		awk -F' *[|] *' '{ sub(/^ +/, "", $1); split($2, v, /[.-]/); print v[1] "." v[2], $1, $2 }' |
		sort -u | sort -V -k3,3
}

# The newest cloud kernel of a series ("5.10"), or of all series above 6.16 ("newest"):
# "package version", or nothing. Reads what list_kernels wrote.
kernel_package() {
	awk -v want="$1" '{
		split($1, v, ".")
		if (want == "newest" ? v[1] > 6 || (v[1] == 6 && v[2] > 16) : $1 == want)
			newest = $2 " " $3
	} END { if (newest) print newest }' "$cache/apt/kernels"
}

# Downloads packages of one version once and unpacks them together: the folder they are in.
unpacked() {
	local version=$1 package into
	shift
	into="$cache/packages/$1_${version//[:~]/_}"
	if [ ! -e "$into/.whole" ]; then
		rm -rf "$into" && mkdir -p "$into"
		for package in "$@"; do
			(cd "$into" && private_apt apt-get download "$package=$version" >/dev/null) || return 1
			dpkg -x "$into"/*.deb "$into" || return 1
			rm -f "$into"/*.deb
		done
		touch "$into/.whole"
	fi
	echo "$into"
}

# A kernel's packages: image and modules are one package, or (6.19 and later) several.
kernel_parts() {
	local package=$1 name=${1#linux-image-}
	echo "$package"
	private_apt apt-cache depends "$package" | awk '$1 == "Depends:" { print $2 }' |
		grep -xF -e "linux-base-$name" -e "linux-binary-$name" -e "linux-modules-$name" || true
}
