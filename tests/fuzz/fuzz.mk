# SPDX-License-Identifier: Apache-2.0
# `make fuzz` runs every target of tests/fuzz for FUZZ_SECONDS under ASan and UBSan (T=cel: that one alone) and says how many
# inputs it ran and edges it saw. Seeds are seeds.py's (or seeds_<target>.py's), what was found once lies in corpus/<target>.
# What is found is left in build-fuzz/found; a corpus grows in build-fuzz/corpus. `make fuzz-proof` builds each target with a
# fault planted behind a condition (FUZZ_PLANTED), which must be found within a minute. Needs clang with its runtime
# (libclang-rt-14-dev). An empty text may have no place, and clang 14 calls NULL + 0 an overflow: that one check is off.
FUZZ_SECONDS ?= 60
FUZZ_CC ?= clang
FUZZ_FLAGS := BUILD=build-fuzz CC=$(FUZZ_CC) WARN=-w OPT=-O1 HARDEN= \
	SANITIZE='address,undefined,fuzzer-no-link -fno-sanitize=pointer-overflow'
FUZZ := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_PLANT := $(filter-out cel,$(FUZZ))
FUZZ_OPTIONS := -timeout=10 -rss_limit_mb=2000 -max_len=4096 -print_final_stats=1 -close_fd_mask=1

.PHONY: fuzz fuzz-proof fuzz-targets fuzz-planted
# $(1) the program, $(2) where what is found goes; t is the target.
define run_fuzz
mkdir -p build-fuzz/corpus/$$t build-fuzz/seeds/$$t build-fuzz/found; \
if [ -x tests/fuzz/seeds_$$t.py ]; then tests/fuzz/seeds_$$t.py build-fuzz/seeds/$$t; \
else tests/fuzz/seeds.py $$t build-fuzz/seeds/$$t; fi || exit 1; \
more=; [ ! -d tests/fuzz/corpus/$$t ] || more=tests/fuzz/corpus/$$t; \
nice $(1) $(FUZZ_OPTIONS) -artifact_prefix=$(2)$$t-
endef

fuzz:
	@packaging/deps.sh build fuzz
	$(MAKE) $(FUZZ_FLAGS) $(if $(T),build-fuzz/tests/fuzz_$(T),fuzz-targets)
	@for t in $(if $(T),$(T),$(FUZZ)); do \
		$(call run_fuzz,build-fuzz/tests/fuzz_$$t,build-fuzz/found/) -max_total_time=$(FUZZ_SECONDS) \
			build-fuzz/corpus/$$t build-fuzz/seeds/$$t $$more > build-fuzz/$$t.log 2>&1 || { tail -n 60 build-fuzz/$$t.log; exit 1; }; \
		echo "$$t: $$(sed -n 's/^stat::number_of_executed_units: *//p' build-fuzz/$$t.log) executions," \
			"$$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' build-fuzz/$$t.log | tail -n 1) edges"; \
	done

fuzz-proof:
	@packaging/deps.sh build fuzz
	$(MAKE) $(FUZZ_FLAGS) fuzz-planted
	@mkdir -p build-fuzz/proof build-fuzz/none
	@for t in $(filter $(if $(T),$(T),%),$(FUZZ_PLANT)); do \
		$(call run_fuzz,build-fuzz/tests/planted_$$t,build-fuzz/proof/) -max_total_time=60 build-fuzz/seeds/$$t \
			> build-fuzz/proof/$$t.log 2>&1; \
		grep -q 'deadly signal' build-fuzz/proof/$$t.log || { echo "$$t: the planted fault was not found"; exit 1; }; \
		echo "$$t: found after $$(sed -n 's/^stat::number_of_executed_units: *//p' build-fuzz/proof/$$t.log) executions"; \
	done

fuzz-targets: $(FUZZ:%=$(BUILD)/tests/fuzz_%)
fuzz-planted: $(FUZZ_PLANT:%=$(BUILD)/tests/planted_%)

# Files of plugins that a target needs beside those that it includes.
FUZZ_MORE_redis := plugins/common/redis/client.c plugins/common/redis/connection.c plugins/common/redis/options.c \
	plugins/state/redis/fault.c plugins/pubsub/redis/held.c plugins/pubsub/redis/acknowledge.c plugins/pubsub/redis/streams.c \
	plugins/pubsub/redis/subscription.c plugins/pubsub/redis/settings.c plugins/state/redis/scripts.c
FUZZ_FLAGS_redis := -Iplugins/common -DPLUGIN_NAME='"pubsub.redis"' -DPLUGIN_VERSION='"0"'
FUZZ_NEEDS_redis := hiredis
FUZZ_MORE_azure := $(wildcard plugins/common/azure/*.c) plugins/state/azure.blobstorage/blob.c \
	plugins/state/azure.blobstorage/properties.c
FUZZ_FLAGS_azure := -Iplugins/common -DPLUGIN_NAME='"state.azure.blobstorage"' -DPLUGIN_VERSION='"0"'
FUZZ_LIBS := $(BUILD)/libkernel.a $(BUILD)/libproto.a $(BUILD)/lib/libdavit-sdk.a
FUZZ_LINK = $(CC) $(CPPFLAGS) -Itests/unit $(FUZZ_FLAGS_$*) $(CFLAGS) $(KERNEL_CFLAGS) $(LDFLAGS) -fsanitize=fuzzer -pie -o $@ \
	$< $(FUZZ_MORE_$*) $(FUZZ_LIBS) $(FUZZ_LIBS) $(KERNEL_LIBS) $(if $(FUZZ_NEEDS_$*),$(shell $(PKG_CONFIG) --libs $(FUZZ_NEEDS_$*)))

$(BUILD)/tests/fuzz_%: tests/fuzz/fuzz_%.c $(wildcard tests/fuzz/*.h) $(FUZZ_LIBS)
	@mkdir -p $(@D)
	$(FUZZ_LINK)
$(BUILD)/tests/planted_%: tests/fuzz/fuzz_%.c $(wildcard tests/fuzz/*.h) $(FUZZ_LIBS)
	@mkdir -p $(@D)
	$(FUZZ_LINK) -DFUZZ_PLANT
