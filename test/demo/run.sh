#!/bin/bash
# test/demo/run.sh start|stop: builds and installs crmio, starts a private cluster that
# stays until stop, makes messy files and shows an import of them (demo.sql).
# demo/folder in the repository remembers where the cluster is.

source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

stop_demo() {
	[ -f "$root/demo/folder" ] || return 0
	work=$(cat "$root/demo/folder")
	find_postgres || die "no pg_config: set PG_CONFIG"
	[ ! -d "$work" ] || { stop_cluster fast; as_root rm -rf "$work"; }
	rm -rf "$root/demo"
	work=
}

start_demo() {
	install_packages
	stop_demo
	make_work demo
	clean_up_at_exit				# until everything stands
	say "building and installing crmio"
	build_and_install
	start_cluster <<-END
		log_line_prefix = '%m [%p] '
	END
	as_user mkdir "$work/files"
	as_user "$python" "$work/src/test/demo/make_contacts.py" "$work/files"
	as_user "$bindir/createdb" demo
	as_user "$bindir/psql" -X -q -d demo -v folder="$work/files" \
		-v open="psql -h $work -p $PGPORT -U postgres demo" <"$work/src/test/demo/demo.sql" 2>&1
	mkdir -p "$root/demo"
	echo "$work" >"$root/demo/folder"
	trap - EXIT
}

case ${1:-} in
	start) start_demo ;;
	stop) stop_demo ;;
	*) die "usage: $0 start|stop" ;;
esac
