# loyalty - points programs inside PostgreSQL
#
#   make, make install          build and install the extension (PGXS)
#   make check                  all tests, on private servers; see CHECKING below
#   make check-all              all tests on every supported server; see there too
#   make demo                   a running system and a tour of its API
#   make up, make down          the same system without the tour, and its end
#   make bench                  the benchmarks, on a private durable server
#   make bench-instructions     what the server does for a call, counted by valgrind
#   make liability ENTRIES=200000
#                               a random ledger of so many entries, and its months
#   make reports ENTRIES=1000000
#                               what reports take of so large a ledger
#   make soak SEEDS=60 MINUTES=30
#                               the engine against the model, longer than a test
#   make clocks ROUNDS=20 MINUTES=30
#                               the clock back and forth under load of all APIs
#   make deb                    the Debian packages, for this Debian, in dist/
#   make dist                   the archive of PGXN, in dist/
#   make check-packages SUITES="bookworm trixie sid"
#                               the packages, built and installed in bare Debians
#   make fuzz CALLS=20000 MINUTES=30 SEED=1
#                               every function in C, on a server with sanitizers
#   make plans ROWS=100000      what each statement reads of tables so full
#   make caches SECONDS=60      sessions post so long while settings change
#   make release                the version that is being made is released
#   make next VERSION=1.2.3     the one that is made from now on
#
# All but the first line work on a machine that has nothing but git and make:
# test/deps.sh installs what is missing.
#
# CHECKING
#   make check T=regress        suites: tidy, regress, pgtap, isolation or tap
#   make check F="points phone" only the tests of these names, whatever the suite
#   make check SAVE=1           keep what the tests printed, in results/
#   make check LIMIT=90         minutes after which it is stopped
#   make check JOBS=1           tests that run at a time
#   make check DEFAULTS=foreign on servers with unusual defaults
#   make check DEFAULTS=mexican on servers with the locale of Mexico
#   make check-all PG_CONFIGS="/opt/pg16/bin/pg_config"
#                               further servers
#
# DEMO
#   make demo FRESH=1           a new one instead of the one that runs
#   make demo LOYALTY_HTTP_PORT=8080 LOYALTY_POSTGREST_PORT=3000 LOYALTY_POSTGRES_PORT=5433
#
# LOYALTY_TMP names the folder for private servers, where that is not /tmp.

PG_CONFIG ?= pg_config

OUR_TARGETS = bench bench-instructions caches check check-all check-packages clocks deb demo deps dist down fuzz liability next plans release reports soak tidy up

ifneq ($(filter $(OUR_TARGETS),$(MAKECMDGOALS)),)

# These may run before there is a pg_config, so their scripts build what they
# need.  What else was asked for is left to a make of its own.
OTHER_TARGETS = $(filter-out $(OUR_TARGETS),$(MAKECMDGOALS))

.NOTPARALLEL:
.PHONY: $(OUR_TARGETS) $(OTHER_TARGETS)

export PG_CONFIG

define ABOUT_DEMO
make demo installs what is missing, builds, starts a private PostgreSQL, PostgREST
and nginx on 127.0.0.1, loads a sandbox, and shows a tour of it.  It takes half a
minute, and some minutes more where packages are missing.  Your own servers are
left alone, and so is a demo that runs already.  make down ends it.

endef

deps:
	@test/deps.sh tests >/dev/null

check:
	@exec test/check.sh

check-all:
	@exec test/check_all.sh

check-packages:
	@exec test/packages.sh

deb:
	@exec test/deb.sh

dist:
	@exec test/dist.sh

bench:
	@T=bench exec test/check.sh

bench-instructions:
	@T=bench F=instructions exec test/check.sh

# The limit is there to end a hang only.
SEEDS ?= 60
MINUTES ?= 30
soak:
	@T=tap F=45_model LIMIT=$$(($(MINUTES) + 30)) LOYALTY_MODEL_SEEDS=$(SEEDS) LOYALTY_MODEL_MINUTES=$(MINUTES) exec test/check.sh

ENTRIES ?= 200000
liability:
	@T=tap F=81_liability LIMIT=60 LIABILITY_ENTRIES=$(ENTRIES) exec test/check.sh

reports:
	@T=tap F=85_large LIMIT=120 LARGE_ENTRIES=$(ENTRIES) exec test/check.sh

ROUNDS ?= 20
clocks:
	@T=tap F=54_clock_load LIMIT=$$(($(MINUTES) + 30)) LOYALTY_CLOCK_ROUNDS=$(ROUNDS) LOYALTY_CLOCK_MINUTES=$(MINUTES) exec test/check.sh

# A seed is another search.  What a sanitizer finds ends the process.
CALLS ?= 20000
SEED ?= 1
fuzz: export ASAN_OPTIONS = detect_leaks=0:abort_on_error=1:disable_coredump=1
fuzz: export UBSAN_OPTIONS = abort_on_error=1:print_stacktrace=1
fuzz:
	@PG_CONFIG=$$(test/sanitized.sh) && export PG_CONFIG && T=tap F=34_calls LIMIT=$$(($(MINUTES) + 30)) LOYALTY_FUZZ_CALLS=$(CALLS) LOYALTY_FUZZ_BINARY=2000 \
		LOYALTY_FUZZ_SEED=$(SEED) LOYALTY_FUZZ_MINUTES=$(MINUTES) exec test/check.sh

# The table has what each statement reads: of empty tables, of full ones by the
# same plans, and by those made after ANALYZE.
ROWS ?= 100000
plans:
	@T=tap F=57_plans LIMIT=120 LOYALTY_PLANS_ROWS=$(ROWS) LOYALTY_PLANS_TABLE=$(TABLE) exec test/check.sh

SECONDS ?= 60
caches:
	@T=tap F=56_caches LIMIT=$$(($(SECONDS) / 60 + 30)) LOYALTY_CACHES_SECONDS=$(SECONDS) exec test/check.sh

demo:
	@: $(info $(ABOUT_DEMO))
	@flock -o test test/stack.sh up
	@exec test/demo.sh

# One at a time: the lock is the folder's, and none that is started keeps it.
up:
	@exec flock -o test test/stack.sh up

down:
	@exec flock -o test test/stack.sh down

tidy:
	@exec test/tidy.sh

release:
	@exec test/release.sh release

next:
	@exec test/release.sh next "$(VERSION)"

$(OTHER_TARGETS):
	@$(MAKE) --no-print-directory $@

else

EXTENSION = loyalty
EXTVERSION := $(shell sed -n "s/^default_version *= *'\([^']*\)'.*/\1/p" loyalty.control)
MODULE_big = loyalty
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c src/*/*.c)))
SQL_PARTS = $(sort $(wildcard sql/parts/*.sql))
# What users have is installed as they have it; a version that is being made is built.
RELEASED := $(addprefix sql/,$(shell sed -n 's/^[0-9a-f]\{64\}  //p' sql/released.sha256))
DATA = $(sort $(wildcard sql/loyalty--*--*.sql) $(RELEASED))
DATA_built = $(filter-out $(RELEASED),sql/loyalty--$(EXTVERSION).sql)
# What is not for SQL is hidden.  Servers from 16 on say so themselves.
PG_CFLAGS = -Wall -Wextra $(if $(CFLAGS_SL_MODULE),,-fvisibility=hidden)
ifneq ($(findstring clang,$(CC)),)
# The server's own options, and its attribute of what is like printf(), may be gcc's.
PG_CFLAGS += -Wno-unknown-warning-option -Wno-ignored-optimization-argument -Wno-ignored-attributes
endif
# PostgreSQL's own headers have parameters that are not used.
PG_CPPFLAGS = -I$(srcdir)/src -isystem $(includedir_server) -DLOYALTY_VERSION='"$(EXTVERSION)"'
EXTRA_CLEAN = sql/loyalty--$(EXTVERSION).sql.new src/.built-for results

# Transcripts of both kinds of regression test are in expected/.
REGRESS = $(patsubst test/sql/%.sql,%,$(filter-out test/sql/tap_%,$(sort $(wildcard test/sql/*.sql))))
REGRESS_OPTS = --inputdir=test --load-extension=loyalty
ISOLATION = $(patsubst test/specs/%.spec,%,$(sort $(wildcard test/specs/*.spec)))
ISOLATION_OPTS = --inputdir=test --outputdir=. --load-extension=loyalty

# No clang is needed: bitcode for the JIT gains nothing here.
override with_llvm = no

# pgxs.mk comes with the client, the headers do not.
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
ifeq ($(wildcard $(shell $(PG_CONFIG) --includedir-server 2>/dev/null)/postgres.h),)
$(error $(PG_CONFIG) finds no server headers (postgres.h); "make deps" installs them, on Debian they are in postgresql-server-dev-NN)
endif
include $(PGXS)

# What was built for another server, or by another compiler, is built anew.
BUILT_FOR := $(shell $(PG_CONFIG) --version) $(CC)
src/.built-for: FORCE
	@echo '$(BUILT_FOR)' | cmp -s - $@ || { rm -f $@ && echo '$(BUILT_FOR)' >$@; }
FORCE:
.PHONY: FORCE

$(OBJS): $(wildcard src/*.h src/*/*.h) src/base/errcodes.txt src/.built-for Makefile
src/loyalty.o src/db/version.o: loyalty.control

# The script of a version, of its parts.
script:
	@printf '%s\n' '\echo Use "CREATE EXTENSION loyalty" to load this file. \quit'
	@for part in $(SQL_PARTS); do echo; cat "$$part" || exit 1; done
.PHONY: script

# The folder itself is named too, so that a part that was removed counts.
$(DATA_built): $(SQL_PARTS) sql/parts Makefile loyalty.control
	@$(MAKE) -s --no-print-directory script > $@.new
	mv -f $@.new $@

endif
