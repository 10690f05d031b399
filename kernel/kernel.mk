# SPDX-License-Identifier: Apache-2.0
# The programs davitd and davit; every room's sources in one library, so that tests link what the programs do.
KERNEL_SRC := $(filter-out kernel/main/main.c kernel/cli/main.c,$(wildcard kernel/*/*.c kernel/*/*.S))
KERNEL_OBJ := $(patsubst %,$(BUILD)/%.o,$(KERNEL_SRC))
DAVITD := $(BUILD)/bin/davitd
DAVIT := $(BUILD)/bin/davit

.PHONY: davitd
davitd: $(DAVITD) $(DAVIT)

$(DAVITD): $(BUILD)/kernel/main/main.c.o $(BUILD)/libkernel.a $(BUILD)/libproto.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -pie -o $@ $^ $(KERNEL_LIBS)

$(DAVIT): $(BUILD)/kernel/cli/main.c.o $(BUILD)/libkernel.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -pie -o $@ $^ $(KERNEL_LIBS)

$(BUILD)/libkernel.a: $(KERNEL_OBJ)
	@rm -f $@
	$(AR) rcsD $@ $^

# Every object may include what protoc-c makes.
$(BUILD)/kernel/%.o: kernel/% | proto-headers
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(KERNEL_CFLAGS) -MMD -MP -c -o $@ $<

-include $(KERNEL_OBJ:.o=.d) $(BUILD)/kernel/main/main.c.d $(BUILD)/kernel/cli/main.c.d
