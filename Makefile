# loyalty - points programs inside PostgreSQL
#
#   make, make install          build and install the extension (PGXS)
#   make check                  all tests, on private servers; see CHECKING below
#   make demo                   a running system and a tour of its API
#   make up, make down          the same system without the tour, and its end
#   make bench                  the benchmarks, on a private durable server
#
# All but the first line work on a machine that has nothing but git and make:
# test/deps.sh installs what is missing.
#
# CHECKING
#   make check T=regress        one suite: tidy, regress, pgtap, isolation or tap
#   make check F="points phone" only the tests of these names, whatever the suite
#   make check SAVE=1           keep what the tests printed, in results/

PG_CONFIG ?= pg_config

OUR_TARGETS = bench check demo deps down tidy up

ifneq ($(filter $(OUR_TARGETS),$(MAKECMDGOALS)),)

# These may run before there is a pg_config.  What needs one is left to a make
# of its own, which starts after the packages are there.
OTHER_TARGETS = $(filter-out $(OUR_TARGETS),$(MAKECMDGOALS))

.NOTPARALLEL:
.PHONY: $(OUR_TARGETS) $(OTHER_TARGETS) build

deps:
	@exec env PG_CONFIG='$(PG_CONFIG)' test/deps.sh

build: deps
	@$(MAKE) -s --no-print-directory all

check: build
	@exec env PG_CONFIG='$(PG_CONFIG)' T='$(T)' F='$(F)' SAVE='$(SAVE)' test/check.sh

bench: build
	@exec env PG_CONFIG='$(PG_CONFIG)' T=bench F='$(F)' SAVE='$(SAVE)' test/check.sh

up: build
	@exec env PG_CONFIG='$(PG_CONFIG)' test/stack.sh up

demo: up
	@test/demo.sh

down:
	@test/stack.sh down

tidy:
	@test/tidy.sh

$(OTHER_TARGETS):
	@$(MAKE) --no-print-directory $@

else

EXTENSION = loyalty
EXTVERSION := $(shell sed -n "s/^default_version *= *'\([^']*\)'.*/\1/p" loyalty.control)
MODULE_big = loyalty
OBJS = $(patsubst %.c,%.o,$(wildcard src/*.c))
SQL_PARTS = $(sort $(wildcard sql/parts/*.sql))
DATA = $(wildcard sql/loyalty--*--*.sql)
DATA_built = sql/loyalty--$(EXTVERSION).sql
SHLIB_LINK = -ljansson
PG_CFLAGS = -Wall -Wextra
ifneq ($(findstring clang,$(CC)),)
# The server's own options, and its attribute of what is like printf(), may be gcc's.
PG_CFLAGS += -Wno-unknown-warning-option -Wno-ignored-optimization-argument -Wno-ignored-attributes
endif
# PostgreSQL's own headers have parameters that are not used.
PG_CPPFLAGS = -isystem $(includedir_server)
EXTRA_CLEAN = sql/loyalty--$(EXTVERSION).sql.new results

# Transcripts of both kinds of regression test are in expected/.
REGRESS = $(patsubst test/sql/%.sql,%,$(filter-out test/sql/tap_%,$(sort $(wildcard test/sql/*.sql))))
REGRESS_OPTS = --inputdir=test --load-extension=loyalty
ISOLATION = $(patsubst test/specs/%.spec,%,$(sort $(wildcard test/specs/*.spec)))
ISOLATION_OPTS = --inputdir=test --outputdir=. --load-extension=loyalty

# No clang is needed: bitcode for the JIT gains nothing here.
override with_llvm = no

PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
ifeq ($(wildcard $(PGXS)),)
$(error $(PG_CONFIG) finds no PostgreSQL to build against; install postgresql-server-dev-15, or run "make deps")
endif
include $(PGXS)

$(OBJS): $(wildcard src/*.h) src/errcodes.txt Makefile

# The folder itself is named too, so that a part that was removed counts.
sql/loyalty--$(EXTVERSION).sql: $(SQL_PARTS) sql/parts Makefile loyalty.control
	{ printf '%s\n' '\echo Use "CREATE EXTENSION loyalty" to load this file. \quit'; \
	  for part in $(SQL_PARTS); do echo; cat "$$part" || exit 1; done; } > $@.new
	mv $@.new $@

endif
