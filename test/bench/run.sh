#!/bin/bash
# test/bench/run.sh: builds and installs crmio, starts a private cluster with sensible
# settings and runs run.py in it; see there for what is measured. Environment:
#   BENCH_ROWS   rows of the file (1000000)
#   BENCH_RUNS   rounds of all cases; the median counts (3)
#   BENCH_ONLY   only these cases, such as "crm_new copy" (all)

source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

install_packages
if ! command -v pgloader >/dev/null; then
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install pgloader >/dev/null 2>&1 ||
		say "pgloader can't be installed: its case is left out"
fi
make_work bench
clean_up_at_exit
say "building and installing crmio"
build_and_install

# The same for all cases; WAL is written and flushed as in production. Autovacuum
# and timed checkpoints would fall on some runs and not on others.
start_cluster <<-END
	shared_buffers = 1GB
	work_mem = 64MB
	maintenance_work_mem = 256MB
	effective_cache_size = 4GB
	wal_level = replica
	max_wal_size = 16GB
	checkpoint_timeout = 1h
	autovacuum = off
	jit = off
END
export PATH="$bindir:$PATH"
as_user mkdir "$work/files"
set -m							# killed as one when interrupted
as_user "$python" "$work/src/test/bench/run.py" speed "$work/files" "$work/data" &
wait $!
as_user "$bindir/pg_ctl" -D "$work/data" -o "-c shared_buffers=16MB" -l "$work/server.log" -w restart >/dev/null
as_user "$python" "$work/src/test/bench/run.py" memory "$work/files" "$work/data" &
wait $!
