# SPDX-License-Identifier: Apache-2.0
# `make fuzz` runs every target of tests/fuzz for FUZZ_SECONDS under ASan and UBSan (T=cel: that one alone). What is found is
# left in build-fuzz/found; a corpus grows in build-fuzz/corpus. Needs clang with its runtime (libclang-rt-14-dev).
FUZZ_SECONDS ?= 60
FUZZ_CC ?= clang
FUZZ_FLAGS := BUILD=build-fuzz CC=$(FUZZ_CC) WARN=-w OPT=-O1 HARDEN= SANITIZE=address,undefined,fuzzer-no-link
FUZZ := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))

.PHONY: fuzz fuzz-targets
fuzz:
	@packaging/deps.sh build fuzz
	$(MAKE) $(FUZZ_FLAGS) fuzz-targets
	@mkdir -p build-fuzz/found
	@for t in $(if $(T),$(T),$(FUZZ)); do \
		mkdir -p build-fuzz/corpus/$$t; \
		[ ! -x tests/fuzz/seeds_$$t.py ] || tests/fuzz/seeds_$$t.py build-fuzz/seeds/$$t || exit 1; \
		mkdir -p build-fuzz/seeds/$$t; \
		nice build-fuzz/tests/fuzz_$$t -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2000 -max_len=4096 \
			-artifact_prefix=build-fuzz/found/$$t- build-fuzz/corpus/$$t build-fuzz/seeds/$$t || exit 1; \
	done

fuzz-targets: $(FUZZ:%=$(BUILD)/tests/fuzz_%)

$(BUILD)/tests/fuzz_%: tests/fuzz/fuzz_%.c tests/fuzz/fuzz_stack.h $(BUILD)/libkernel.a
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -Itests/unit $(CFLAGS) $(KERNEL_CFLAGS) $(LDFLAGS) -fsanitize=fuzzer -pie -o $@ $< $(BUILD)/libkernel.a \
		$(KERNEL_LIBS)
