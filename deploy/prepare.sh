# SPDX-License-Identifier: MIT
# prepare.sh -- what deploy/quickstart and tests/run do first: install what is
# missing, and keep one build directory in order.  Sourced by bash, never run.
#
# A package is asked for only where its file is missing, so what somebody has
# installed in another way (a newer Node, Valkey) stays as it is.  Where a need
# goes by several names, the first that this release of Debian knows is taken.
#
# The caller sets: top (the source tree), install (yes or no).

# need FILE-OR-COMMAND PACKAGE[|PACKAGE]...: "=lib.pc" asks pkg-config's
# directories, "/path" a file, anything else a command on PATH.
needs_build() {
	need cc gcc
	need /usr/include/stdio.h libc6-dev
	need meson meson
	need ninja ninja-build
	need pkg-config pkg-config
	need python3 python3
	need =libevent.pc libevent-dev
	need =libevent_openssl.pc libevent-dev
	need =hiredis.pc libhiredis-dev
	need =openssl.pc libssl-dev
	need '=msgpack-c.pc|=msgpack.pc' 'libmsgpack-c-dev|libmsgpack-dev'
	need =inih.pc libinih-dev
	need =zlib.pc zlib1g-dev
}

needs_run() {
	need 'redis-server|valkey-server' redis-server
	need 'redis-cli|valkey-cli' redis-tools
}

# needs_tests SUITE: what that suite needs besides.  All are built at once.
needs_tests() {
	need =check.pc check
	need =jansson.pc libjansson-dev
	case $1 in
	unit | fuzz) needs_run ;;
	rules) need clang-format clang-format ;;
	e2e | faults | docs)
		needs_run
		need curl curl
		need node nodejs
		need openssl openssl
		need systemd-analyze systemd
		need /usr/lib/python3/dist-packages/pytest python3-pytest
		need /usr/lib/python3/dist-packages/xdist python3-pytest-xdist
		need /usr/lib/python3/dist-packages/redis python3-redis
		need /usr/lib/python3/dist-packages/websockets python3-websockets
		need /usr/lib/python3/dist-packages/cryptography python3-cryptography
		;;
	client)
		needs_run
		need node nodejs
		need npm npm
		need "${CHROMIUM:-chromium}" chromium
		need ps procps
		;;
	esac
}

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { say "$*"; exit 1; }

is_there() {
	local what
	for what in ${1//|/ }; do
		case $what in
		=*) compgen -G "/usr/lib/*/pkgconfig/${what#=}" ||
			compgen -G "/usr/local/lib*/pkgconfig/${what#=}" ||
			compgen -G "/usr/local/lib/*/pkgconfig/${what#=}" ||
			compgen -G "/usr/share/pkgconfig/${what#=}" ||
			compgen -G "/usr/lib*/pkgconfig/${what#=}" ;;
		/*) [[ -e $what ]] ;;
		*) command -v "$what" ;;
		esac >/dev/null 2>&1 && return 0
	done
	return 1
}

missing=()
need() {
	is_there "$1" || [[ " ${missing[*]} " == *" $2 "* ]] || missing+=("$2")
}

as_root() {
	if [[ $(id -u) == 0 ]]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo -- "$@"
	else
		die "needs root to install packages: install sudo, run as root," \
			"or install by hand: ${missing[*]}"
	fi
}

# The first of the names that apt knows.
choose_package() {
	local name
	for name in ${1//|/ }; do
		[[ $(LC_ALL=C apt-cache policy "$name" 2>/dev/null) == *'Candidate: '[0-9]* ]] &&
			break
	done
	echo "$name"
}

# Silent, unless it fails.
apt_quietly() {
	local log status=0
	log=$(mktemp)
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y "$@" \
		>"$log" 2>&1 </dev/null || status=$?
	((status == 0)) || cat "$log" >&2
	rm -f "$log"
	return "$status"
}

# Installs what need() found missing.
install_missing() {
	local packages=() each
	((${#missing[@]})) || return 0
	if [[ $install == no ]]; then
		say "missing: ${missing[*]}"
		return 0
	fi
	command -v apt-get >/dev/null ||
		die "there is no apt-get here; install by hand: ${missing[*]}"
	# Of a sudo that asks for a password the question must be seen.
	[[ $(id -u) == 0 ]] || as_root true
	say "apt-get update"
	# One source that does not answer need not be the one that is needed.
	apt_quietly update || say "apt-get update has failed, which may not matter"
	for each in "${missing[@]}"; do
		packages+=("$(choose_package "$each")")
	done
	say "apt-get install ${packages[*]}: usually half a minute"
	apt_quietly install --no-install-recommends "${packages[@]}" ||
		die "apt-get install has failed; its words stand above"
	missing=()
}

# The source tree that a build directory was made for; nothing for none.
built_from() {
	local file=$1/meson-info/meson-info.json
	[[ ! -f $file ]] || sed -n 's/.*"source": *"\([^"]*\)".*/\1/p' "$file"
}

# configure DIR [MESON-OPTION]...: makes the build directory, or keeps it, with
# these options.  One that was made for another place (a copied tree) is made
# anew.
configure() {
	local dir=$1 log from how=setup
	shift
	from=$(built_from "$dir")
	[[ -z $from || $from == "$top" ]] || rm -rf -- "$dir"
	if [[ -f $dir/build.ninja ]]; then
		(($#)) || return 0
		how=configure
		set -- "$@" "$dir"
	else
		set -- "$@" "$dir" "$top"
	fi
	log=$(mktemp)
	if ! meson "$how" "$@" >"$log" 2>&1; then
		tail -n 25 "$log" >&2
		rm -f "$log"
		die "meson $how has failed; its words stand above"
	fi
	rm -f "$log"
}
