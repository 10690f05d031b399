# SPDX-License-Identifier: Apache-2.0
# What a vendor gets besides the headers: libdavit-sdk.a, davit-manifest (completes a manifest, writes the index) and
# davit-bench (loads one plugin and puts it through the conformance suite of its block).
SDK_SRC := $(wildcard sdk/src/*.c)
SDK_OBJ := $(SDK_SRC:%=$(BUILD)/%.o)
SDK_LIB := $(BUILD)/lib/libdavit-sdk.a
BENCH_OBJ := $(patsubst %,$(BUILD)/%.o,$(wildcard sdk/bench/*.c))
BENCH := $(BUILD)/bin/davit-bench
MANIFEST_OBJ := $(BUILD)/sdk/tool/manifest.c.o $(BUILD)/sdk/tool/check.c.o
MANIFEST := $(BUILD)/bin/davit-manifest

# A plugin and its helpers see the SDK's headers and nothing of the kernel's.
SDK_CPPFLAGS := -D_GNU_SOURCE -Isdk/include
PLUGIN_CFLAGS = $(filter-out -fPIE,$(CFLAGS)) -fPIC -fvisibility=hidden

.PHONY: sdk davit-bench
sdk: $(SDK_LIB) $(MANIFEST) $(BENCH) $(BUILD)/share/davit/template

# Where `davit new` of this build looks, as of an installed one.
$(BUILD)/share/davit/template:
	@mkdir -p $(@D)
	@ln -sfn $(CURDIR)/sdk/template $@
davit-bench: $(BENCH)

$(SDK_LIB): $(SDK_OBJ)
	@mkdir -p $(@D)
	@rm -f $@
	$(AR) rcsD $@ $(SDK_OBJ)

$(SDK_OBJ): $(BUILD)/%.o: %
	@mkdir -p $(@D)
	$(CC) $(SDK_CPPFLAGS) $(PLUGIN_CFLAGS) -MMD -MP -c -o $@ $<

$(BENCH_OBJ) $(MANIFEST_OBJ): $(BUILD)/%.o: %
	@mkdir -p $(@D)
	$(CC) $(SDK_CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BENCH): $(BENCH_OBJ) $(SDK_LIB)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -pie -o $@ $(BENCH_OBJ) $(SDK_LIB) $(shell $(PKG_CONFIG) --libs openssl) -ldl -pthread

$(MANIFEST): $(MANIFEST_OBJ)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -pie -o $@ $(MANIFEST_OBJ) $(shell $(PKG_CONFIG) --libs jansson)

-include $(SDK_OBJ:.o=.d) $(BENCH_OBJ:.o=.d) $(MANIFEST_OBJ:.o=.d)

include sdk/abi/abi.mk
