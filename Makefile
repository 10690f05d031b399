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

all: davitd plugins

include kernel/kernel.mk
include kernel/proto/proto.mk
-include plugins/plugins.mk
-include sdk/sdk.mk
-include tests/tests.mk
-include packaging/packaging.mk

.PHONY: all clean help
clean:
	rm -rf $(BUILD)
