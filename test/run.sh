#!/bin/bash
# test/run.sh: all tests of crmio, for `make test`. Builds with warnings as errors,
# installs, starts a private cluster and runs, theme by theme: pg_regress (test/sql),
# isolation (test/specs), the scripts in test/t and the oracle (test/oracle).
# A failure shows its output; the last line counts them all.
#
# TESTS="regress progress.py" runs only these themes and scripts.
# Published cases are looked for beside the repository (../shared/cases), or in
# CRMIO_CASES; tests that want them are skipped when they are not there.

source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

passed=0
failed=0

# wanted NAME: is this theme or script to be run?
wanted() {
	[ -z "${TESTS:-}" ] || [[ " $TESTS " == *" $1 "* ]]
}

# quietly LOG COMMAND...: output into a file; a signal ends the wait at once.
quietly() {
	local log=$1
	shift
	set -m						# a process group of its own, to be killed as one
	"$@" >"$log" 2>&1 &
	set +m
	wait $!
}

# count THEME PASSED FAILED SECONDS LOG: one line for the theme, its output if it failed.
count() {
	passed=$((passed + $2))
	failed=$((failed + $3))
	[ "$3" -eq 0 ] || { say "---- $1"; cat "$5"; say "----"; }
	printf '%-16s %5d passed, %d failed  (%d s)\n' "$1" "$2" "$3" "$4"
	sed -n 's/^\(skip\|note\) - /  /p' "$5"
}

# run_tap THEME COMMAND...: a command that prints "ok" and "not ok" lines.
run_tap() {
	local theme=$1 log=$work/log.$1 start=$SECONDS status=0 good bad
	shift
	quietly "$log" as_user timeout 300 "$@" || status=$?
	good=$(grep -c '^ok' "$log") || true
	bad=$(grep -c '^not ok' "$log") || true
	[ "$status" -eq 0 ] || [ "$bad" -gt 0 ] || { bad=1; echo "exit status $status" >>"$log"; }
	count "$theme" "$good" "$bad" $((SECONDS - start)) "$log"
}

# run_pg_regress THEME OTHER: pg_regress or pg_isolation_regress by PGXS's installcheck;
# OTHER is the make variable of the tests that are not wanted now.
run_pg_regress() {
	local log=$work/log.$1 start=$SECONDS status=0 good bad
	quietly "$log" as_user make -C "$work/src" PG_CONFIG="$PG_CONFIG" with_llvm=no installcheck "$2=" || status=$?
	# "test x ... ok" up to 15, "ok 1 - x" since 16
	good=$(grep -cE '^(test .* \.\.\. ok|ok +[0-9]+ )' "$log") || true
	bad=$(grep -cE '^(test .* \.\.\. FAILED|not ok +[0-9]+ )' "$log") || true
	[ "$status" -eq 0 ] || [ "$bad" -gt 0 ] || bad=1
	[ "$status" -eq 0 ] || find "$work/src/test" -name regression.diffs -size +0 -exec cat {} + >>"$log"
	count "$1" "$good" "$bad" $((SECONDS - start)) "$log"
	find "$work/src/test" -name regression.diffs -delete
}

# run_oracle SEEDS: one test per seed.
run_oracle() {
	local log=$work/log.oracle start=$SECONDS status=0 good bad
	quietly "$log" as_user timeout 400 "$python" "$work/src/test/oracle/run.py" \
		--dsn "host=$PGHOST port=$PGPORT user=$PGUSER dbname=postgres" --seeds "$1" || status=$?
	good=$(sed -n 's/^oracle: \([0-9]*\) seeds passed.*/\1/p' "$log")
	bad=$(sed -n 's/^oracle: .* \([0-9]*\) failed.*/\1/p' "$log")
	[ "$status" -eq 0 ] || [ "${bad:-0}" -gt 0 ] || bad=1
	count oracle "${good:-0}" "${bad:-0}" $((SECONDS - start)) "$log"
}

# No test may crash the server; crash.py kills with signal 9 on purpose.
check_server_log() {
	local log=$work/log.server bad
	grep -E 'TRAP:|PANIC:|terminated by signal (4|6|7|8|11)|WARNING:.*(leak|not closed)' "$work/server.log" >"$log" || true
	bad=$(wc -l <"$log")
	count server $((bad == 0)) "$bad" 0 "$log"
}

# independent readers of archives, spreadsheets and PDF
install_packages "unzip ssconvert:gnumeric pdftotext:poppler-utils"
make_work test
clean_up_at_exit

start=$SECONDS
status=0
# PostgreSQL's own headers and idioms leave parameters unused, compare with lengthof()
# and begin an ErrorSaveContext by its tag alone
quietly "$work/log.build" build_and_install COPT="-Wall -Wextra -Werror \
	-Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers" || status=1
count build $((1 - status)) "$status" $((SECONDS - start)) "$work/log.build"
[ "$status" -eq 0 ] || { say "$passed passed, $failed failed"; exit 1; }

# The account may not be able to read the cases where they are.
cases=${CRMIO_CASES:-$root/../shared/cases}
if [ -d "$cases" ]; then
	cp -r "$cases" "$work/cases"
	as_root chown -R "$account" "$work/cases"
	export CRMIO_CASES=$work/cases
fi

start_cluster <<-END
	fsync = off
	shared_buffers = 256MB
	max_wal_size = 4GB
	max_prepared_transactions = 5
	log_line_prefix = '%m [%p] %d '
	restart_after_crash = on
END
export PATH="$bindir:$PATH" PYTHONDONTWRITEBYTECODE=1

if wanted regress; then run_pg_regress regress ISOLATION; fi
if wanted isolation; then run_pg_regress isolation REGRESS; fi
for file in "$work"/src/test/t/*; do
	name=${file##*/}
	wanted "$name" || continue
	case $name in
		support.py) ;;
		*.py) run_tap "$name" "$python" "$file" ;;
		*.pl) run_tap "$name" env PG_REGRESS="${pgxs%/makefiles/*}/test/regress/pg_regress" \
			perl -I "${pgxs%/makefiles/*}/test/perl" "$file" ;;
	esac
done
if wanted oracle; then run_oracle "${ORACLE_SEEDS:-300}"; fi
check_server_log

say "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
