# crmio: a PostgreSQL extension (PGXS). `make demo` and `make test` install what they need by themselves.
EXTENSION = crmio
EXTVERSION = $(shell sed -n "s/^default_version = '\(.*\)'/\1/p" $(dir $(firstword $(MAKEFILE_LIST)))crmio.control)

MODULE_big = crmio
OBJS = $(patsubst $(srcdir_or_dot)/%.c,%.o,$(sort $(wildcard $(srcdir_or_dot)/src/*.c $(srcdir_or_dot)/src/*/*.c)))
srcdir_or_dot = $(if $(srcdir),$(srcdir),.)

DATA_built = sql/$(EXTENSION)--$(EXTVERSION).sql
DATA = $(wildcard sql/crmio--*--*.sql)
EXTRA_CLEAN = sql/$(EXTENSION)--$(EXTVERSION).sql

PG_CPPFLAGS = -I$(srcdir_or_dot)/src
SHLIB_LINK = -lcsv -lcurl -lzip -lxlsxwriter -lhpdf -lfribidi

REGRESS = $(patsubst $(srcdir_or_dot)/test/sql/%.sql,%,$(sort $(wildcard $(srcdir_or_dot)/test/sql/*.sql)))
REGRESS_OPTS = --inputdir=$(srcdir_or_dot)/test --outputdir=test
ISOLATION = $(patsubst $(srcdir_or_dot)/test/specs/%.spec,%,$(sort $(wildcard $(srcdir_or_dot)/test/specs/*.spec)))
ISOLATION_OPTS = --inputdir=$(srcdir_or_dot)/test --outputdir=test/output_iso

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

sql/$(EXTENSION)--$(EXTVERSION).sql: sql/$(EXTENSION).sql
	@mkdir -p $(@D)
	cp $< $@

# a build outside of the source tree finds no folders for its objects
$(OBJS): | object_folders
object_folders:
	@mkdir -p $(sort $(dir $(OBJS)))
.PHONY: object_folders

# The project's own checks, on Debian 12 or 13 as root or with sudo: each installs the packages
# it misses and crmio itself, and uses a private PostgreSQL. `make installcheck` is PGXS's.
.PHONY: test demo demo-stop bench

test:
	@test/run.sh

demo:
	@test/demo/run.sh start

demo-stop:
	@test/demo/run.sh stop

bench:
	@test/bench/run.sh

# PGXS does not know which file includes which header
$(OBJS): $(wildcard $(srcdir_or_dot)/src/*.h $(srcdir_or_dot)/src/*/*.h)
