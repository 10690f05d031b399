# SPDX-License-Identifier: Apache-2.0
# From the .proto files: C by protobuf-c, and the descriptors that reflection serves.
#
# In:  BUILD, PROTOC, PKG_CONFIG, CC, CFLAGS, AR.
# Out: PROTO_LIB       the archive to link, before PROTO_LIBS
#      PROTO_LIBS      what it needs in turn
#      PROTO_CPPFLAGS  for whoever includes a generated header; the define in it goes into
#                      CPPFLAGS by itself
#      PROTO_HEADERS   the generated headers
# The target `proto` makes it all, `proto-headers` the headers only: an order-only prerequisite of
# every object whose source includes one, since a first build has no .d file to tell so.

BUILD      ?= build
PROTOC     ?= protoc
PKG_CONFIG ?= pkg-config

PROTO_ROOT := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))
PROTO_GEN  := $(BUILD)/proto
PROTO_LIB  := $(BUILD)/libproto.a
PROTO_BLOB := $(PROTO_GEN)/descriptors.bin
# Copies without services, see PROTO_C_PLAIN.
PROTO_PLAIN := $(BUILD)/proto-plain

# The distribution's google/protobuf/*.proto.
PROTOBUF_INCLUDE ?= $(or $(shell $(PKG_CONFIG) --variable=includedir protobuf),/usr/include)

# What the kernel serves or calls; C is generated for these.
PROTO_C := \
	dapr/proto/common/v1/common.proto \
	dapr/proto/components/v1/bindings.proto \
	dapr/proto/components/v1/common.proto \
	dapr/proto/components/v1/pubsub.proto \
	dapr/proto/components/v1/secretstore.proto \
	dapr/proto/components/v1/state.proto \
	dapr/proto/internals/v1/apiversion.proto \
	dapr/proto/internals/v1/reminders.proto \
	dapr/proto/internals/v1/service_invocation.proto \
	dapr/proto/internals/v1/status.proto \
	dapr/proto/operator/v1/operator.proto \
	dapr/proto/placement/v1/placement.proto \
	dapr/proto/runtime/v1/actors.proto \
	dapr/proto/runtime/v1/ai.proto \
	dapr/proto/runtime/v1/appcallback.proto \
	dapr/proto/runtime/v1/binding.proto \
	dapr/proto/runtime/v1/configuration.proto \
	dapr/proto/runtime/v1/crypto.proto \
	dapr/proto/runtime/v1/dapr.proto \
	dapr/proto/runtime/v1/invoke.proto \
	dapr/proto/runtime/v1/jobs.proto \
	dapr/proto/runtime/v1/lock.proto \
	dapr/proto/runtime/v1/metadata.proto \
	dapr/proto/runtime/v1/pubsub.proto \
	dapr/proto/runtime/v1/secret.proto \
	dapr/proto/runtime/v1/state.proto \
	dapr/proto/runtime/v1/workflow.proto \
	dapr/proto/scheduler/v1/scheduler.proto \
	dapr/proto/sentry/v1/sentry.proto \
	google/rpc/error_details.proto \
	google/rpc/status.proto \
	grpc/health/v1/health.proto \
	grpc/reflection/v1/reflection.proto \
	grpc/reflection/v1alpha/reflection.proto \
	protos/attestation.proto \
	protos/backend_service.proto \
	protos/history_events.proto \
	protos/orchestration.proto \
	protos/orchestrator_actions.proto \
	protos/orchestrator_service.proto

# Those whose C is made without their services: protobuf-c names the function that sets up a
# service x as x__init(), and the one that calls a method Init just the same.
PROTO_C_PLAIN := \
	dapr/proto/components/v1/bindings.proto \
	dapr/proto/components/v1/pubsub.proto \
	dapr/proto/components/v1/secretstore.proto \
	dapr/proto/components/v1/state.proto

# The well-known types, and descriptor.proto to read the descriptors with.
PROTO_C_GOOGLE := \
	google/protobuf/any.proto \
	google/protobuf/descriptor.proto \
	google/protobuf/duration.proto \
	google/protobuf/empty.proto \
	google/protobuf/struct.proto \
	google/protobuf/timestamp.proto \
	google/protobuf/wrappers.proto

# Not sent or received by a sidecar, but of the interface: only described and checked.
PROTO_OTHER := \
	dapr/proto/internals/v1/jobs.proto \
	dapr/proto/operator/v1/resource.proto \
	dapr/proto/placement/v1/state.proto \
	dapr/proto/workflows/v1/mcp.proto \
	protos/runtime_state.proto

PROTO_DESCRIBED := $(sort $(PROTO_C) $(PROTO_OTHER))

PROTO_HEADERS := $(patsubst %.proto,$(PROTO_GEN)/%.pb-c.h,$(PROTO_C) $(PROTO_C_GOOGLE))
PROTO_OBJS    := $(PROTO_HEADERS:.h=.o)
PROTO_DEPS    := $(PROTO_HEADERS:.pb-c.h=.proto.d) $(PROTO_OBJS:.o=.d)

# Fields that are deprecated must still be served, hence without protobuf-c's attribute.
CPPFLAGS       += -DPROTOBUF_C__NO_DEPRECATED
PROTO_CPPFLAGS := -I$(PROTO_GEN) -DPROTOBUF_C__NO_DEPRECATED \
	$(shell $(PKG_CONFIG) --cflags libprotobuf-c)
PROTO_LIBS := $(shell $(PKG_CONFIG) --libs libprotobuf-c)

proto_goal := $(.DEFAULT_GOAL)

.PHONY: proto proto-headers
proto: $(PROTO_LIB)
proto-headers: $(PROTO_HEADERS)

# $(1) the file below a root, without .proto; $(2) the root. One file a run: only so does protoc
# write down what a file imports.
define proto_generate
$(PROTO_GEN)/$(1).pb-c.c $(PROTO_GEN)/$(1).pb-c.h &: $(2)/$(1).proto
	@mkdir -p $$(@D)
	$(PROTOC) -I$(2) -I$(PROTO_ROOT) -I$(PROTOBUF_INCLUDE) --c_out=$(PROTO_GEN) \
		--dependency_out=$(PROTO_GEN)/$(1).proto.d $(2)/$(1).proto
endef

$(foreach f,$(basename $(filter-out $(PROTO_C_PLAIN),$(PROTO_C))), \
	$(eval $(call proto_generate,$(f),$(PROTO_ROOT))))
$(foreach f,$(basename $(PROTO_C_PLAIN)), \
	$(eval $(call proto_generate,$(f),$(PROTO_PLAIN))))
$(foreach f,$(basename $(PROTO_C_GOOGLE)), \
	$(eval $(call proto_generate,$(f),$(PROTOBUF_INCLUDE))))

$(addprefix $(PROTO_PLAIN)/,$(PROTO_C_PLAIN)): $(PROTO_PLAIN)/%: $(PROTO_ROOT)/%
	@mkdir -p $(@D)
	sed '/^service /,/^}/d' $< > $@

# An import that is gone from the tree makes its importers anew instead of stopping make.
$(PROTO_ROOT)/%.proto: ;

# -w: what a generator wrote is not ours to mend.
$(PROTO_OBJS): %.o: %.c | $(PROTO_HEADERS)
	$(CC) $(PROTO_CPPFLAGS) $(CFLAGS) -w -MMD -MP -c -o $@ $<

$(PROTO_BLOB): $(addprefix $(PROTO_ROOT)/,$(PROTO_DESCRIBED)) \
		$(addprefix $(PROTOBUF_INCLUDE)/,$(PROTO_C_GOOGLE)) $(PROTO_ROOT)/proto.mk
	@mkdir -p $(@D)
	$(PROTOC) -I$(PROTO_ROOT) -I$(PROTOBUF_INCLUDE) --include_imports \
		--descriptor_set_out=$@ $(PROTO_DESCRIBED)

# Only what picks the machine: other flags may be for C alone, such as -include.
$(PROTO_GEN)/descriptors.o: $(PROTO_ROOT)/descriptors.asm $(PROTO_BLOB)
	$(CC) $(filter -m% --target=%,$(CFLAGS)) -DPROTO_BLOB='"$(PROTO_BLOB)"' \
		-x assembler-with-cpp -c -o $@ $<

# Made anew each time, so that no member stays whose source is gone.
$(PROTO_LIB): $(PROTO_OBJS) $(PROTO_GEN)/descriptors.o $(PROTO_ROOT)/proto.mk
	@rm -f $@
	$(AR) rcsD $@ $(filter %.o,$^)

-include $(PROTO_DEPS)

.DEFAULT_GOAL := $(proto_goal)
