# vbox-lda. One Makefile, no recursion; the link lines are the architecture:
#
#	base  <-  store  <-  lda
#	base  <-  filters <- lda
#
# make			build/<variant>/{vbox-deliver,vbox-lmtpd,vboxadm}
# make demo		a private site, delivered to by the real programs
# make check		everything that is tested; closes with the totals
# make deps		what building needs, through apt
# make test-deps	what the tests need, through apt
# make install		DESTDIR= PREFIX=
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

VARIANT := $(notdir $(firstword $(CC)))$(if $(SANITIZE),-san)$(if $(FAULTS),-faults)
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
FILTERS_LIBS :=
LDA_LIBS := $(STATIC) -lconfuse $(DYNAMIC)

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

# --- tests -----------------------------------------------------------------

# tests/unit/LAYER/*.c links LAYER and those below it, nothing above.
UNIT_base := $(patsubst %.c,$(B)/%,$(wildcard tests/unit/base/*.c))
UNIT_store := $(patsubst %.c,$(B)/%,$(wildcard tests/unit/store/*.c))
UNIT_filters := $(patsubst %.c,$(B)/%,$(wildcard tests/unit/filters/*.c))
UNIT_lda := $(patsubst %.c,$(B)/%,$(wildcard tests/unit/lda/*.c))
UNIT := $(UNIT_base) $(UNIT_store) $(UNIT_filters) $(UNIT_lda)

define unit_link
$(UNIT_$(1)): $(B)/%: $(B)/%.o $(2)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(LDFLAGS_ALL) -o $$@ $$< $$(LINK_$(3)) -lcmocka
endef
$(eval $(call unit_link,base,$(LIB_BASE),BASE))
$(eval $(call unit_link,store,$(LIB_STORE) $(LIB_BASE),STORE))
$(eval $(call unit_link,filters,$(LIB_FILTERS) $(LIB_BASE),FILTERS))
$(eval $(call unit_link,lda,$(LIB_LDA) $(LIB_FILTERS) $(LIB_STORE) $(LIB_BASE),LDA))

unit: $(UNIT)
	$(Q)tests/run-unit $(UNIT)

clean:
	rm -rf build

.PHONY: all unit clean
.SECONDARY:
-include $(shell find $(B) -name '*.d' 2>/dev/null)
