# SPDX-License-Identifier: Apache-2.0
# `make abi`: the public headers against what is committed beside this file: every size, offset, type and constant as C and
# C++ compilers see them (layout.txt), and the same by an ABI differ that reads debug information (line.abi, abigail-tools).
# What is new passes and is told; `make abi-accept` writes it down. What breaks fails, unless BREAK=yes says that it may.
ABI_BUILD := $(BUILD)/abi
ABI_LIB := $(ABI_BUILD)/line.so
ABIDW := abidw --no-corpus-path --no-comp-dir-path --no-show-locs --short-locs --no-elf-needed
BREAK ?=

.PHONY: abi abi-accept
abi: $(ABI_BUILD)/layout.txt $(ABI_LIB)
	@python3 sdk/abi/layout.py compare sdk/abi/layout.txt $<
	@abidiff --no-added-syms sdk/abi/line.abi $(ABI_LIB)

$(ABI_BUILD)/line.c: sdk/abi/layout.py $(wildcard sdk/include/davit/*.h)
	@mkdir -p $(@D)
	@python3 sdk/abi/layout.py generate sdk/include > $@

# The same by both languages.
$(ABI_BUILD)/layout.txt: $(ABI_BUILD)/line.c
	@$(CC) -std=gnu11 -Isdk/include -o $(ABI_BUILD)/layout $< && $(ABI_BUILD)/layout > $@.new
	@$(CXX) -x c++ -std=c++17 -Isdk/include -o $(ABI_BUILD)/layout++ $< && $(ABI_BUILD)/layout++ | cmp - $@.new
	@mv $@.new $@

$(ABI_LIB): $(ABI_BUILD)/line.c
	@$(CC) -std=gnu11 -g -Isdk/include -ffile-prefix-map=$(CURDIR)=. -shared -fPIC -o $@ $<

abi-accept: $(ABI_BUILD)/layout.txt $(ABI_LIB)
	@test -n "$(BREAK)" || test ! -e sdk/abi/layout.txt || python3 sdk/abi/layout.py compare sdk/abi/layout.txt $<
	@cp $< sdk/abi/layout.txt
	@$(ABIDW) $(ABI_LIB) > sdk/abi/line.abi
