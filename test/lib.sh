# test/lib.sh: what `make test`, `make demo` and `make bench` share, to be sourced
# by bash: missing Debian packages, an unprivileged account, a build in a folder
# that account can read, and a private PostgreSQL cluster in that same folder.
#
# The caller sets $work (see make_work) before it builds or starts anything.

set -euo pipefail
unset MAKEFLAGS MAKELEVEL MFLAGS
unset PGDATABASE PGSERVICE PGOPTIONS PGHOST PGHOSTADDR PGPORT PGUSER PGPASSWORD PGDATA
export LC_ALL=C.UTF-8

# Debian's, for its psycopg; another may stand before it in the path
python=/usr/bin/python3

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# PostgreSQL refuses to run as root: then the account "postgres" does the work.
if [ "$(id -u)" -eq 0 ]; then
	as_root() { "$@"; }
	as_user() { runuser -u postgres -- env HOME="$work" "$@"; }
	account=postgres
else
	as_root() { sudo "$@"; }
	as_user() { "$@"; }
	account=$(id -un)
fi

say() { printf '%s\n' "$*"; }
die() { printf '%s\n' "$*" >&2; exit 1; }

# The directories of the PostgreSQL that $PG_CONFIG stands for.
find_postgres() {
	PG_CONFIG=${PG_CONFIG:-pg_config}
	command -v "$PG_CONFIG" >/dev/null || return 1
	bindir=$("$PG_CONFIG" --bindir)
	pgxs=$("$PG_CONFIG" --pgxs)
	[ -x "$bindir/initdb" ] && [ -f "$pgxs" ]
}

# Names of the Debian packages that are missing. $1: further commands that must exist,
# with their packages if these have other names: "ssconvert:gnumeric".
missing_packages() {
	local version command
	if ! find_postgres; then
		version=$("$PG_CONFIG" --version 2>/dev/null | sed 's/^PostgreSQL \([0-9]*\).*/\1/') || true
		[ -n "$version" ] || version=$(apt-cache depends postgresql |
			sed -n 's/.*Depends: postgresql-\([0-9]*\)$/\1/p')
		echo "postgresql-${version:-15} postgresql-server-dev-${version:-15}"
	fi
	for command in gcc make $1; do
		command -v "${command%:*}" >/dev/null || echo "${command#*:}"
	done
	[ -f /usr/include/csv.h ] || echo libcsv-dev
	[ -f /usr/include/zip.h ] || echo libzip-dev
	[ -f /usr/include/xlsxwriter.h ] || echo libxlsxwriter-dev
	[ -f /usr/include/hpdf.h ] || echo libhpdf-dev
	[ -f /usr/include/fribidi/fribidi.h ] || echo libfribidi-dev
	[ -f /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf ] || echo fonts-dejavu-core
	command -v curl-config >/dev/null || echo libcurl4-openssl-dev
	command -v openssl >/dev/null || echo openssl
	"$python" -c 'import psycopg' 2>/dev/null || echo python3-psycopg
	"$python" -c 'import aiosmtpd' 2>/dev/null || echo python3-aiosmtpd
	perl -MIPC::Run -e 1 2>/dev/null || echo libipc-run-perl
}

# Installs what is missing; a machine that has everything needs no network.
install_packages() {
	local missing
	missing=$(missing_packages "${1:-}")
	[ -z "$missing" ] || install_missing "${1:-}"
	find_postgres || die "no PostgreSQL server with development files; set PG_CONFIG"
}

install_missing() {
	local missing output conf=/etc/postgresql-common/createcluster.conf
	say "installing Debian packages"
	output=$(as_root apt-get -qq update 2>&1) || die "$output"
	missing=$(missing_packages "$1" | tr '\n' ' ')
	say "  $missing"
	# No cluster of the system's: only private ones are used here.
	if ! [ -e "$conf" ]; then
		as_root mkdir -p "${conf%/*}"
		echo 'create_main_cluster = false' | as_root tee "$conf" >/dev/null
	fi
	# shellcheck disable=SC2086
	output=$(as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends \
		-o Dpkg::Options::=--force-confold install $missing 2>&1) || die "$output"
}

# A folder for everything that this run leaves; the account owns it, nobody else looks in.
make_work() {
	work=$(mktemp -d "/tmp/crmio-$1-XXXXXX")
	as_root chown "$account" "$work"
	cd "$work"
}

# Copies the working tree (the account may not be able to read it), builds the
# copy and installs it. Arguments go to make.
build_and_install() {
	mkdir "$work/src"
	tar -C "$root" --exclude=./.git --exclude=./demo --exclude='*.o' --exclude='*.bc' --exclude='*.so' \
		-cf - . | tar -C "$work/src" --no-same-owner -xf -
	as_root chown -R "$account" "$work/src"
	as_user make -s -C "$work/src" -j"$(nproc)" PG_CONFIG="$PG_CONFIG" with_llvm=no "$@" || return 1
	as_root make -s -C "$work/src" PG_CONFIG="$PG_CONFIG" with_llvm=no install "$@" >/dev/null
}

# Starts a cluster in $work that listens only on a socket there. Standard input: settings.
start_cluster() {
	as_user "$bindir/initdb" -D "$work/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync \
		>"$work/initdb.log" 2>&1 || { cat "$work/initdb.log"; exit 1; }
	export PGHOST=$work PGPORT=54320 PGUSER=postgres
	{
		echo "listen_addresses = ''"
		echo "unix_socket_directories = '$work'"
		echo "port = $PGPORT"
		cat
	} | as_user tee -a "$work/data/postgresql.conf" >/dev/null
	as_user "$bindir/pg_ctl" -D "$work/data" -l "$work/server.log" -w start >/dev/null ||
		{ cat "$work/server.log"; exit 1; }
}

stop_cluster() {
	[ -f "$work/data/postmaster.pid" ] || return 0
	as_user "$bindir/pg_ctl" -D "$work/data" -m "${1:-immediate}" -w stop >/dev/null 2>&1 || true
}

# Removes the folder, and the cluster in it; for traps, so it never fails.
remove_work() {
	local group
	for group in $(jobs -p); do
		kill -- "-$group" 2>/dev/null || true
	done
	[ -n "${work:-}" ] || return 0
	cd /
	stop_cluster
	as_root rm -rf "$work"
}

# Cleans up at the end, also when interrupted.
clean_up_at_exit() {
	trap remove_work EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
}
