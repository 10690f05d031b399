# SPDX-License-Identifier: Apache-2.0
# Davit: `make run` builds and starts the main job, `make check` builds and runs every test. `make help` lists the rest.
BUILD ?= build
PREFIX ?= /usr/local
CC ?= cc
PKG_CONFIG ?= pkg-config

PACKAGES := libnghttp2 libprotobuf-c libcurl jansson openssl libuv yaml-0.1 zlib

# Debian's hardening flags; O2 by default, replaced by SANITIZE builds.
OPT ?= -O2
HARDEN ?= -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fstack-clash-protection
WARN := -Wall -Wextra -Werror -Wno-missing-field-initializers -Wvla -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wformat=2
SANITIZE ?=
CPPFLAGS += -D_GNU_SOURCE -Ikernel -Isdk/include -I$(BUILD)/proto
CFLAGS += -std=gnu11 -g $(OPT) $(HARDEN) $(WARN) -fPIE -fno-omit-frame-pointer \
	-ffile-prefix-map=$(CURDIR)=. $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all)
LDFLAGS += -Wl,-z,relro -Wl,-z,now -Wl,--as-needed $(if $(SANITIZE),-fsanitize=$(SANITIZE))
KERNEL_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(PACKAGES) 2>/dev/null)
KERNEL_LIBS = $(shell $(PKG_CONFIG) --libs $(PACKAGES)) -lhttp_parser -ldl -pthread

# These see first that the machine has what they need (packaging/packages.txt), then start over: pkg-config is asked while
# this file is read.
ON_ITS_OWN := run check interop soak sanitize sanitize-address sanitize-thread measure fault bench format format-check
ifneq ($(and $(filter $(ON_ITS_OWN),$(MAKECMDGOALS)),$(if $(PACKAGES_SEEN),,yes)),)

.PHONY: $(MAKECMDGOALS)
$(firstword $(MAKECMDGOALS)):
	@packaging/deps.sh build run $(if $(filter check interop soak sanitize% fault measure,$(MAKECMDGOALS)),check) \
		$(filter bench,$(MAKECMDGOALS)) $(if $(filter format%,$(MAKECMDGOALS)),format)
	@+$(MAKE) --no-print-directory $(if $(findstring j,$(filter -j%,$(MAKEFLAGS))),,-j$(shell nproc)) PACKAGES_SEEN=yes $(MAKECMDGOALS)
$(wordlist 2,99,$(MAKECMDGOALS)): $(firstword $(MAKECMDGOALS)) ;

else

all: davitd plugins

include kernel/kernel.mk
include kernel/proto/proto.mk
include plugins/plugins.mk
include sdk/sdk.mk
include packaging/packaging.mk
include tests/tests.mk

.PHONY: all clean help
clean:
	rm -rf $(BUILD) build-asan build-tsan

help:
	@sed -n 's/^#: //p' Makefile

#: make run          builds, starts two sample applications with their sidecars; Ctrl-C ends all (ONCE=1: by itself)
#: make check        builds and runs every test (T=label: one unit, component type or file of tests)
#: make sanitize     the same under ASan and UBSan, then under TSan
#: make layers       which room includes which; the licence line of each file
#: make abi          the plugin line's layout against what is committed (make abi-accept writes down what is new)
#: make measure      lengths of files and functions, complexity
#: make format       clang-format
#: make fault        the n-th allocation, read, write and open fails, for every n
#: make soak         100,000 events while sidecars and applications are killed and frozen (SOAK="--help"); then subscribers
#:                   that stand still for a minute (STILL="--help")
#: make fuzz         every fuzz target for FUZZ_SECONDS (T=cel: one); make fuzz-proof: a planted fault is found
#: make collector    spans through OpenTelemetry's own collector
#: make interop      invocation, state and events between Davit and Dapr's own sidecar (DAPRD=path; T=http: some)
#: make bench        figures beside their bounds (T=state: one table; DAPRD=path: the same load on Dapr's sidecar)
#: make reproducible builds twice in different folders and compares
#: make install      DESTDIR, PREFIX, LIBDIR; make uninstall
#: make deps         only installs the Debian packages of packaging/packages.txt

endif
