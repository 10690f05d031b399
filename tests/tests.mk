# SPDX-License-Identifier: Apache-2.0
# `make check` builds and runs every test, `make check T=label` those of one label (a unit's name, a component's type, a file
# of tests/api or tests/interop). See tests/README.md.
T ?=

CHECK_CFLAGS = $(shell $(PKG_CONFIG) --cflags check)
CHECK_LIBS = $(shell $(PKG_CONFIG) --libs check)
UNIT_SRC := $(wildcard tests/unit/*.c)
UNIT := $(UNIT_SRC:tests/unit/%.c=$(BUILD)/tests/%)
SHIM := $(BUILD)/tests/fault.so

MINORS := 0 1 2

.PHONY: check soak tests sanitize sanitize-address sanitize-thread layers measure format format-check bench fault
# Of the bench what needs no further package, so that it goes on compiling.
tests: $(UNIT) $(SHIM) $(BUILD)/tests/paced $(BUILD)/tests/paced_h2 $(BUILD)/tests/plugin_call $(MINORS:%=$(BUILD)/minor%/davitd)

# This kernel as one of an earlier SDK minor (kernel/plugin/minor.h): what the archive holds of these files is then not linked.
MINOR_FILES := host instance open_library records registry stream_plugin
define minor
$(BUILD)/minor$(1)/davitd: $(BUILD)/kernel/main/main.c.o $(MINOR_FILES:%=$(BUILD)/minor$(1)/%.o) $(BUILD)/libkernel.a $(BUILD)/libproto.a
	$$(CC) $$(CFLAGS) $$(LDFLAGS) -pie -o $$@ $$^ $$(KERNEL_LIBS)

$(BUILD)/minor$(1)/%.o: kernel/plugin/%.c | proto-headers
	@mkdir -p $$(@D)
	$$(CC) $$(CPPFLAGS) -DKERNEL_MINOR=$(1)u $$(CFLAGS) $$(KERNEL_CFLAGS) -MMD -MP -c -o $$@ $$<

-include $(MINOR_FILES:%=$(BUILD)/minor$(1)/%.d)
endef
$(foreach n,$(MINORS),$(eval $(call minor,$(n))))

# The archives once more: a room's hook may be defined in another one's archive.
$(UNIT): $(BUILD)/tests/%: $(BUILD)/tests/unit/%.o $(BUILD)/libkernel.a $(BUILD)/libproto.a $(BUILD)/lib/libdavit-sdk.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -pie -o $@ $^ $(CHECK_LIBS) $(KERNEL_LIBS)

$(BUILD)/tests/unit/%.o: tests/unit/%.c | proto-headers
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(KERNEL_CFLAGS) $(CHECK_CFLAGS) -MMD -MP -c -o $@ $<

$(SHIM): tests/fault/shim.c
	@mkdir -p $(@D)
	$(CC) -D_GNU_SOURCE -std=gnu11 -g -O2 -Wall -Wextra -fPIC -shared -o $@ $< -ldl -pthread

-include $(UNIT_SRC:tests/unit/%.c=$(BUILD)/tests/unit/%.d)

check: all sdk man tests $(VENV)/.stamp $(NODE)/.stamp
	@BUILD=$(BUILD) $(VENV)/bin/python tests/run.py $(T)

# The same tests with the sanitizers' eyes; a finding ends the process that has it, which fails its test. What measures time,
# memory or the tree itself has no place here.
SANITIZE_FLAGS := OPT=-O1 HARDEN=-fstack-protector-strong
LDFLAGS_THREAD = $(CURDIR)/build-tsan/tests/threads.o $(foreach p,thrd_* mtx_* cnd_* call_once,-Wl,--export-dynamic-symbol=$(p))
sanitize: sanitize-address sanitize-thread
sanitize-address: $(VENV)/.stamp $(NODE)/.stamp
	$(MAKE) BUILD=build-asan SANITIZE=address,undefined $(SANITIZE_FLAGS) all sdk man tests
	@BUILD=build-asan SANITIZE=address $(VENV)/bin/python tests/run.py $(T)
sanitize-thread: $(VENV)/.stamp $(NODE)/.stamp
	@mkdir -p build-tsan/tests
	$(CC) -D_GNU_SOURCE -std=gnu11 -g -O1 -Wall -Wextra -fPIC -fsanitize=thread -c -o build-tsan/tests/threads.o tests/tools/threads.c
	LDFLAGS="$(LDFLAGS_THREAD)" $(MAKE) BUILD=build-tsan SANITIZE=thread $(SANITIZE_FLAGS) all sdk man tests
	@BUILD=build-tsan SANITIZE=thread $(VENV)/bin/python tests/run.py $(T)

layers:
	@python3 tests/tools/layers.py
measure: $(VENV)/.stamp
	@$(VENV)/bin/python tests/tools/measure.py
# Headers of earlier minors stay as they were (tests/abi).
FORMATTED = $$(git ls-files '*.c' '*.h' ':!tests/abi')
format:
	clang-format -i $(FORMATTED)
format-check:
	clang-format --dry-run -Werror $(FORMATTED)

# A broker's promise under kills and freezes, then a subscriber that stands still for a minute; `make check` has the short form
# of both. SOAK="--help" and STILL="--help" list what they take.
SOAK ?=
STILL ?=
soak: all $(BUILD)/tests/paced $(VENV)/.stamp
	@BUILD=$(BUILD) $(VENV)/bin/python tests/soak/soak.py $(SOAK)
	@BUILD=$(BUILD) $(VENV)/bin/python tests/soak/still.py $(STILL)

# Every n there is, where `make check` takes a stride.
fault: all tests $(VENV)/.stamp
	@BUILD=$(BUILD) FAULT_STRIDE=1 $(VENV)/bin/python -m pytest -q -rs tests/fault

# DAPRD=path puts the same load on Dapr's sidecar as well.
BENCH := $(addprefix $(BUILD)/tests/,bare_mhd bare_nghttp2 paced paced_h2 plugin_call bare_streams bare_kafka)
$(BUILD)/tests/bare_mhd: BENCH_LIBS = $(shell $(PKG_CONFIG) --libs libmicrohttpd)
$(BUILD)/tests/bare_nghttp2 $(BUILD)/tests/paced_h2: BENCH_LIBS = $(shell $(PKG_CONFIG) --libs libnghttp2)
$(BUILD)/tests/bare_streams: BENCH_LIBS = $(shell $(PKG_CONFIG) --libs hiredis) -pthread
$(BUILD)/tests/bare_kafka: BENCH_LIBS = $(shell $(PKG_CONFIG) --libs rdkafka) -pthread
$(BUILD)/tests/paced: BENCH_LIBS = $(shell $(PKG_CONFIG) --libs libcurl)
$(BUILD)/tests/plugin_call: BENCH_LIBS = $(BUILD)/libkernel.a $(BUILD)/libproto.a $(KERNEL_LIBS)
$(BUILD)/tests/plugin_call: $(BUILD)/libkernel.a $(BUILD)/libproto.a
$(BENCH): $(BUILD)/tests/%: tests/bench/%.c tests/bench/timetable.h
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -pie -o $@ $< $(BENCH_LIBS)
bench: all $(BENCH) $(VENV)/.stamp
	@BUILD=$(BUILD) DAPRD="$(DAPRD)" T="$(T)" python3 tests/bench/bench.py

# Beside Dapr's own sidecar, in both directions. T: words that tests are chosen by.
.PHONY: interop daprd-given
daprd-given:
	@test -f "$(DAPRD)" -a -x "$(DAPRD)" || { echo "make interop: DAPRD=path names Dapr's own sidecar, which is not part of this tree" >&2; exit 2; }
interop: daprd-given all $(VENV)/.stamp $(NODE)/.stamp
	@BUILD=$(BUILD) DAPRD="$(abspath $(DAPRD))" $(VENV)/bin/python -m pytest -q -rs tests/interop/pairs $(if $(T),-k "$(T)")

# Spans through OpenTelemetry's own collector, built once by Go; `make check` decodes what the sidecar sends by itself.
OTELCOL := build/otelcol/otelcol
.PHONY: collector
$(OTELCOL): tests/otelcol.yaml
	@mkdir -p $(@D)
	GOBIN=$(CURDIR)/$(@D) go install go.opentelemetry.io/collector/cmd/builder@v0.150.0
	$(@D)/builder --config $<
collector: all $(VENV)/.stamp $(OTELCOL)
	@BUILD=$(BUILD) OTELCOL=$(CURDIR)/$(OTELCOL) $(VENV)/bin/python -m pytest -q tests/api/test_tracing.py

include tests/fuzz/fuzz.mk
