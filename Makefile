# vbox-lda. One Makefile, no recursion; the link lines are the architecture:
#
#	base  <-  store  <-  lda
#	base  <-  filters <- lda
#
# make			build/<variant>/{vbox-deliver,vbox-lmtpd,vboxadm}
# make demo		a private site, delivered to by the real programs
# make check		everything that is tested; closes with the totals
# make check-roundcube	mail read and filters edited in a browser
# make check-dovecot24	full circle with the Dovecot of Debian 13
# make deps		what building needs, through apt
# make test-deps	what the tests need, through apt
# make install		DESTDIR= PREFIX= SYSCONFDIR=
#
# CC=gcc|clang   SANITIZE=1 (ASan and UBSan)   WERROR=1   V=1

ifeq ($(origin CC),default)
CC := gcc
endif
AR ?= ar
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
LIBDIR ?= $(PREFIX)/lib/vbox
MANDIR ?= $(PREFIX)/share/man
DATADIR ?= $(PREFIX)/share/vbox
VERSION := 0.1.0

VARIANT := $(notdir $(firstword $(CC)))$(if $(SANITIZE),-san)$(if $(FAULTS),-faults)$(if $(FUZZING),-fuzz)
B := build/$(VARIANT)
Q := $(if $(V),,@)

WARN := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes \
	-Wmissing-prototypes -Wformat=2 -Wundef -Wvla $(if $(WERROR),-Werror)
HARDEN := -fstack-protector-strong -fPIC -fstack-clash-protection
CPPFLAGS_ALL := -I. -D_GNU_SOURCE -DVBOX_VERSION='"$(VERSION)"' \
	-DVBOX_SYSCONFDIR='"$(SYSCONFDIR)"' -DVBOX_LIBDIR='"$(LIBDIR)"' \
	-DVBOX_DATADIR='"$(DATADIR)"' $(CPPFLAGS)
ifdef SANITIZE
CFLAGS ?= -O1 -g
CFLAGS_ALL := -std=gnu17 $(WARN) -fPIC -fno-omit-frame-pointer \
	-fsanitize=address,undefined -fno-sanitize-recover=undefined $(CFLAGS)
LDFLAGS_ALL := -fsanitize=address,undefined $(LDFLAGS)
else
CFLAGS ?= -O2 -g
CFLAGS_ALL := -std=gnu17 $(WARN) $(HARDEN) -D_FORTIFY_SOURCE=2 $(CFLAGS)
LDFLAGS_ALL := -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed $(LDFLAGS)
endif

# Small libraries that every delivery needs are linked in: each shared object
# costs an exec 0.04 to 0.4 ms (docs/ARCHITECTURE.md, "Process start").
STATIC := -Wl,-Bstatic
DYNAMIC := -Wl,-Bdynamic

# --- sources ---------------------------------------------------------------

BASE_SRC := $(wildcard store/base/*.c)
# Back-ends with a library of their own are modules, loaded when configured.
MODULE_SRC := $(wildcard store/directory/mod_*.c)
STORE_SRC := $(wildcard store/*.c) \
	$(filter-out $(MODULE_SRC),$(wildcard store/directory/*.c))
FILTERS_SRC := $(wildcard filters/*.c filters/message/*.c filters/sieve/*.c \
	filters/sieve/ext/*.c)
MAIN_SRC := $(wildcard lda/*_main.c)
LDA_SRC := $(filter-out $(MAIN_SRC),$(wildcard lda/*.c lda/lmtp/*.c \
	lda/server/*.c lda/maps/*.c lda/adm/*.c))

obj = $(patsubst %.c,$(B)/%.o,$(1))
LIB_BASE := $(B)/libbase.a
LIB_STORE := $(B)/libstore.a
LIB_FILTERS := $(B)/libfilters.a
LIB_LDA := $(B)/liblda.a

PROGRAMS := $(patsubst lda/%_main.c,%,$(MAIN_SRC))
BIN := $(patsubst deliver,$(B)/vbox-deliver,$(patsubst lmtpd,$(B)/vbox-lmtpd,\
	$(patsubst adm,$(B)/vboxadm,$(PROGRAMS))))
MODULES := $(patsubst store/directory/mod_%.c,$(B)/modules/directory_%.so,$(MODULE_SRC))

all: $(BIN) $(MODULES)

# --- what has to be there ----------------------------------------------------

# Debian packages. tests/tools/need asks dpkg first: nothing happens, and
# nobody needs root or a network, when all of them are there.
DEPS_PKGS := binutils gcc libc6-dev libconfuse-dev libcrypt-dev libidn2-dev \
	liblockfile-dev libmagic-dev libpcre2-dev libpq-dev libseccomp-dev \
	libsieve2-dev libsqlite3-dev libssl-dev libunistring-dev \
	linux-libc-dev zlib1g-dev
TEST_PKGS := adduser clang hostname iproute2 openssl dovecot-core dovecot-imapd dovecot-lmtpd \
	dovecot-managesieved dovecot-pgsql dovecot-sieve dovecot-sqlite file gnupg libclang-rt-14-dev libcmocka-dev \
	liblockfile-bin llvm m4 mandoc mutt perl postgresql procmail procps python3 \
	python3-prometheus-client python3-pytest sqlite3 strace util-linux \
	btrfs-progs e2fsprogs eatmydata maildrop xfsprogs
DEMO_PKGS := m4 python3
# MTAs are unpacked below build/roots, never installed (tests/tools/root), and
# so are prometheus and clamd, of which one program each is wanted.
ROOT_sendmail := sendmail-bin sendmail-cf
ROOT_postfix := postfix
ROOT_exim := exim4-daemon-light exim4-config
ROOT_prometheus := prometheus
ROOT_clamav := clamav-daemon
ROOT_postfix-sqlite := postfix postfix-sqlite
ROOT_roundcube := roundcube-core roundcube-plugins roundcube-sqlite3 \
	php-auth-sasl php-mail-mime php-masterminds-html5 php-net-sieve \
	php-net-smtp php-net-socket php-pear
ROUNDCUBE_PKGS := chromium chromium-driver fonts-dejavu-core php-cli php-intl \
	php-mbstring php-sqlite3 php-xml python3-selenium
# Debian 12 has no Dovecot 2.4; the one of Debian 13 runs in a chroot.
DOVECOT24_PKGS := dovecot-imapd dovecot-managesieved dovecot-pgsql dovecot-sqlite
DEMO_ROOTS := sendmail
BENCH_ROOTS := postfix-sqlite
TEST_ROOTS := sendmail postfix exim prometheus clamav
ROUNDCUBE_ROOTS := roundcube

roots = set -e; $(foreach r,$(1),tests/tools/root $(r) $(ROOT_$(r));)

deps:
	$(Q)tests/tools/need $(DEPS_PKGS)

demo-deps: deps
	$(Q)tests/tools/need $(DEMO_PKGS)
	$(Q)$(call roots,$(DEMO_ROOTS))

test-deps: deps
	$(Q)tests/tools/need $(TEST_PKGS)
	$(Q)$(call roots,$(TEST_ROOTS))

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CC $<")
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

define archive
$(1): $(call obj,$(2))
	@mkdir -p $$(@D)
	$$(Q)rm -f $$@ && $$(AR) rcs $$@ $$^
endef
$(eval $(call archive,$(LIB_BASE),$(BASE_SRC)))
$(eval $(call archive,$(LIB_STORE),$(STORE_SRC)))
$(eval $(call archive,$(LIB_FILTERS),$(FILTERS_SRC)))
$(eval $(call archive,$(LIB_LDA),$(LDA_SRC)))

# What each layer needs from outside.
STORE_LIBS := $(STATIC) -llockfile $(DYNAMIC)
# PCRE2 and zlib are linked in: they must not cost programs that use no filter
# an exec's share of one more shared object. libmagic is loaded when a policy or
# a script wants types (filters/attachment.c).
FILTERS_LIBS := $(STATIC) -lpcre2-8 -lz $(DYNAMIC)
LDA_LIBS := $(STATIC) -lconfuse $(DYNAMIC) -lssl -lcrypto -lseccomp -lcrypt

-include Makefile.local

LINK_LDA := $(LIB_LDA) $(LIB_FILTERS) $(LIB_STORE) $(LIB_BASE) \
	$(LDA_LIBS) $(FILTERS_LIBS) $(STORE_LIBS)
LINK_FILTERS := $(LIB_FILTERS) $(LIB_BASE) $(FILTERS_LIBS)
LINK_STORE := $(LIB_STORE) $(LIB_BASE) $(STORE_LIBS)
LINK_BASE := $(LIB_BASE)

$(B)/vbox-deliver: $(B)/lda/deliver_main.o
$(B)/vbox-lmtpd: $(B)/lda/lmtpd_main.o
$(B)/vboxadm: $(B)/lda/adm_main.o
$(BIN): $(LIB_LDA) $(LIB_FILTERS) $(LIB_STORE) $(LIB_BASE)
	$(if $(V),,@echo "  LD $@")
	$(Q)$(CC) $(LDFLAGS_ALL) -pie -o $@ $(filter %_main.o,$^) $(LINK_LDA)

# A module carries its own copy of the floor and nothing else of ours; its
# struct arguments belong to the program (store/directory/module.h).
MODLIBS_idn := -lidn2 -lunistring
MODLIBS_sqlite := -lsqlite3
MODLIBS_pgsql := -lpq
$(B)/store/directory/mod_pgsql.o: CPPFLAGS_ALL += -isystem /usr/include/postgresql
$(B)/store/directory/mod_pgsql.o: contrib/sql/postgresql.sql
$(B)/store/directory/mod_sqlite.o: contrib/sql/sqlite.sql
$(MODULES): $(B)/modules/directory_%.so: $(B)/store/directory/mod_%.o $(LIB_BASE)
	@mkdir -p $(@D)
	$(if $(V),,@echo "  LD $@")
	$(Q)$(CC) $(LDFLAGS_ALL) -shared -Wl,--exclude-libs,ALL -o $@ $^ $(MODLIBS_$*)

# --- tests -----------------------------------------------------------------

# tests/unit/LAYER/*.c links LAYER and those below it, nothing above.
UNIT_base := $(patsubst %.c,$(B)/%,$(wildcard tests/unit/base/*.c))
UNIT_store := $(patsubst %.c,$(B)/%,$(wildcard tests/unit/store/*.c))
UNIT_filters := $(patsubst %.c,$(B)/%,$(wildcard tests/unit/filters/*.c))
UNIT_lda := $(patsubst %.c,$(B)/%,$(wildcard tests/unit/lda/*.c))
# tests/sieve/cases/*.txt: each case counts as a unit test.
SIEVE_CASES := $(B)/tests/sieve/run_cases
UNIT := $(UNIT_base) $(UNIT_store) $(UNIT_filters) $(UNIT_lda) $(SIEVE_CASES)

define unit_link
$(UNIT_$(1)): $(B)/%: $(B)/%.o $(2)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(LDFLAGS_ALL) -o $$@ $$< $$(LINK_$(3)) -lcmocka
endef
$(eval $(call unit_link,base,$(LIB_BASE),BASE))
$(eval $(call unit_link,store,$(LIB_STORE) $(LIB_BASE),STORE))
$(eval $(call unit_link,filters,$(LIB_FILTERS) $(LIB_BASE),FILTERS))
$(eval $(call unit_link,lda,$(LIB_LDA) $(LIB_FILTERS) $(LIB_STORE) $(LIB_BASE),LDA))

$(SIEVE_CASES): $(B)/%: $(B)/%.o $(LIB_FILTERS) $(LIB_BASE)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $< $(LINK_FILTERS)

sieve-cases: $(SIEVE_CASES)
	$(Q)$(SIEVE_CASES) tests/sieve/cases/*.txt

# The same cases through Pigeonhole; disagreements have reasons.
second-opinion: test-deps
	$(Q)tests/sieve/second-opinion.py

# What Sieve costs, beside Pigeonhole.
$(B)/tests/bench/bench_sieve: %: %.o $(LIB_FILTERS) $(LIB_BASE)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $< $(LINK_FILTERS)

bench-sieve: $(B)/tests/bench/bench_sieve
	$(Q)tests/bench/sieve $<
	$(Q)tests/bench/bench_sieve_pairs.py $< $(PAIRS)
	$(Q)tests/bench/bench_sieve_lmtp.py $< $(BENCH)

unit-programs: $(UNIT) $(MODULES)

unit: unit-programs
	$(Q)tests/run-unit $(UNIT)

# Fuzz drivers: tests/fuzz/fuzz_NAME.c, seeds in tests/fuzz/seeds/NAME, inputs
# that once failed in tests/fuzz/finds/NAME. Not part of check, which replays
# both. `make fuzz FUZZ="header mime" FUZZ_SECONDS=600`.
FUZZ ?= $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_SECONDS ?= 60
ifdef FUZZING
CFLAGS_ALL += -fsanitize=fuzzer-no-link
endif
$(B)/fuzz/%: $(B)/tests/fuzz/fuzz_%.o $(LIB_LDA) $(LIB_FILTERS) $(LIB_STORE) $(LIB_BASE)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS_ALL) -fsanitize=fuzzer -o $@ $< $(LINK_LDA)

fuzz:
	$(Q)$(MAKE) --no-print-directory CC=clang SANITIZE=1 FUZZING=1 \
	    $(FUZZ:%=build/clang-san-fuzz/fuzz/%)
	$(Q)tests/fuzz/run build/clang-san-fuzz/fuzz $(FUZZ_SECONDS) $(FUZZ)

# What is tested by programs as a whole: tests/integration and its sisters,
# against the programs of one build.
integration: test-deps
	$(Q)$(MAKE) --no-print-directory all
	$(Q)VBOX_BUILD=$(B) tests/pytest $(TESTS)

# Roundcube in a headless Chromium, with contrib's configuration. Not part of
# check: it installs a browser. Pictures are left in build/roundcube.
check-roundcube: test-deps
	$(Q)tests/tools/need $(ROUNDCUBE_PKGS)
	$(Q)$(call roots,$(ROUNDCUBE_ROOTS))
	$(Q)$(MAKE) --no-print-directory all
	$(Q)VBOX_BUILD=$(B) tests/pytest tests/roundcube

# Full circle with Dovecot 2.4 and contrib's configuration for it. Not part of
# check: it fetches packages of another Debian.
check-dovecot24: test-deps
	$(Q)tests/tools/root -s trixie dovecot-2.4 $(DOVECOT24_PKGS)
	$(Q)$(MAKE) --no-print-directory all
	$(Q)VBOX_BUILD=$(B) tests/pytest tests/dovecot24

man-lint:
	$(Q)tests/man

# Load with reloads, restarts and kills, for as long as 10,000 messages take;
# the delivery log for long, and 50 power cuts under load of each kind.
soak-lmtp: test-deps
	$(Q)$(MAKE) --no-print-directory all
	$(Q)VBOX_SOAK=10000 VBOX_BUILD=$(B) tests/pytest tests/lmtp/test_load.py \
	    tests/lmtp/test_log.py tests/faults/test_power_log.py -s
	$(Q)$(MAKE) --no-print-directory $(B)/tests/unit/store/test_redo_many
	$(Q)VBOX_SOAK=10000 $(B)/tests/unit/store/test_redo_many

check: test-deps
	$(Q)MAKE="$(MAKE)" tests/check

# Deliveries by exec, ours beside the peers': minutes, wants a quiet machine.
# Look-ups per second of each kind of directory, with and without a cache.
$(B)/bench/directory: tests/bench/directory.c $(LIB_LDA) $(LIB_FILTERS) \
    $(LIB_STORE) $(LIB_BASE) $(MODULES)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $< $(LINK_LDA)

bench-directory: test-deps
	$(Q)$(MAKE) --no-print-directory $(B)/bench/directory
	$(Q)VBOX_BUILD=$(B) /usr/bin/python3 tests/bench/bench_directory.py $(BENCH)

# What quota adds to a delivery: minutes, on a disk that is quiet.
bench-quota: test-deps
	$(Q)$(MAKE) --no-print-directory all
	$(Q)VBOX_BUILD=$(B) /usr/bin/python3 tests/bench/bench_quota.py $(BENCH)

# What looking at attachments and the filter process cost.
$(B)/bench/content: tests/bench/bench_content.c $(LIB_LDA) $(LIB_FILTERS) \
    $(LIB_STORE) $(LIB_BASE)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $< $(LINK_LDA)

bench-content: test-deps
	$(Q)$(MAKE) --no-print-directory $(B)/bench/content
	$(Q)VBOX_BUILD=$(B) /usr/bin/python3 tests/bench/bench_content.py \
	    $(B)/bench/content

# Deliveries by LMTP, beside the peers': minutes, wants a quiet machine. A part of
# it: BENCH="--rounds 1 --only mbox:4:1:10000".
bench-lmtp: test-deps
	$(Q)$(MAKE) --no-print-directory all
	$(Q)VBOX_BUILD=$(B) /usr/bin/python3 tests/bench/bench_lmtp.py $(BENCH)

# Questions to the socket map per second, beside Postfix's own SQLite map.
$(B)/bench/mapload: tests/bench/mapload.c $(LIB_LDA) $(LIB_FILTERS) \
    $(LIB_STORE) $(LIB_BASE)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $< $(LINK_LDA)

bench-map: test-deps
	$(Q)$(call roots,$(BENCH_ROOTS))
	$(Q)$(MAKE) --no-print-directory all $(B)/bench/mapload
	$(Q)VBOX_BUILD=$(B) /usr/bin/python3 tests/bench/bench_map.py $(BENCH)

bench-exec: test-deps
	$(Q)$(MAKE) --no-print-directory all
	$(Q)VBOX_BUILD=$(B) /usr/bin/python3 tests/bench/bench_exec.py $(BENCH)

# The peers under the same fault sweep, for comparison.
faults-peers: test-deps
	$(Q)/usr/bin/python3 tests/faults/sweep.py --peers --storing --jobs 6 \
	    --wait 2.5 --limit 3

demo: demo-deps
	$(Q)$(MAKE) --no-print-directory all
	$(Q)VBOX_BUILD=$(B) tests/demo/run

# --- installation -----------------------------------------------------------

SBINDIR := $(DESTDIR)$(PREFIX)/sbin
MAN_SRC := $(wildcard docs/man/*.[1-8])

# The daemon and the agent are the MTA's and the administrator's: sbin. The
# name below LIBDIR is the one that contrib and the paper's .mc write down, and
# a place where sendmail's smrsh and AppArmor profiles can look. An existing
# vbox.conf is never touched; the example beside it is replaced.
install: all
	install -d $(SBINDIR) $(DESTDIR)$(LIBDIR) $(DESTDIR)$(DATADIR) \
	    $(DESTDIR)$(SYSCONFDIR)/vbox
	install -m 755 $(BIN) $(SBINDIR)/
	ln -sfn $(PREFIX)/sbin/vbox-deliver $(DESTDIR)$(LIBDIR)/vbox-deliver
	$(if $(MODULES),install -m 644 $(MODULES) $(DESTDIR)$(LIBDIR)/)
	for m in $(MAN_SRC); do \
	    d=$(DESTDIR)$(MANDIR)/man$${m##*.}; \
	    install -d $$d && install -m 644 $$m $$d/ || exit 1; done
	cd contrib && find . -type d -exec install -d \
	    '$(DESTDIR)$(DATADIR)/{}' ';'
	cd contrib && find . -type f -exec install -m 644 '{}' \
	    '$(DESTDIR)$(DATADIR)/{}' ';'
	install -m 644 contrib/vbox.conf \
	    $(DESTDIR)$(SYSCONFDIR)/vbox/vbox.conf.example

clean:
	rm -rf build

.PHONY: bench-directory bench-lmtp
.PHONY: all bench-quota unit unit-programs bench-sieve second-opinion soak-lmtp fuzz sieve-cases deps demo-deps test-deps integration man-lint check check-dovecot24 check-roundcube demo install clean
.SECONDARY:
-include $(shell find $(B) -name '*.d' 2>/dev/null)
