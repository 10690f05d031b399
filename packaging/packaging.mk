# SPDX-License-Identifier: Apache-2.0
# Setting up a machine, `make run`, `make install`, and that two builds give the same bytes.
DESTDIR ?=
LIBDIR ?= $(PREFIX)/lib
BINDIR ?= $(PREFIX)/bin
INCLUDEDIR ?= $(PREFIX)/include
DATADIR ?= $(PREFIX)/share

# Python's and JavaScript's packages, shared by all builds (sanitizers' too).
VENV := build/python
NODE := build/node

# Where the program looks for plugins when there are none beside it; made anew when that is another place than last time.
PLACE := $(BUILD)/.libdir
$(shell mkdir -p $(BUILD); echo '$(LIBDIR) $(DATADIR)' | cmp -s - $(PLACE) || echo '$(LIBDIR) $(DATADIR)' > $(PLACE))
$(BUILD)/kernel/main/places.c.o $(BUILD)/kernel/cli/command.c.o: CPPFLAGS += -DDAVIT_PLUGINS='"$(LIBDIR)/davit/plugins"'
$(BUILD)/kernel/cli/new.c.o: CPPFLAGS += -DDAVIT_TEMPLATE='"$(DATADIR)/davit/template"'
$(BUILD)/kernel/main/places.c.o $(BUILD)/kernel/cli/command.c.o $(BUILD)/kernel/cli/new.c.o: $(PLACE)

.PHONY: run deps install uninstall reproducible
deps:
	@packaging/deps.sh build run check bench format

# ONCE=1 ends by itself after the tour.
run: all
	@python3 packaging/run/run.py --build $(BUILD) $(if $(ONCE),--once)

$(VENV)/.stamp: tests/requirements.txt
	@echo "davit: Python packages for the tests into $(VENV)"
	@rm -rf $(VENV) && python3 -m venv $(VENV)
	@packaging/again.sh 300 $(VENV)/bin/python -m pip install -q --disable-pip-version-check --timeout 30 -r $< || \
		{ echo "davit: pip could not install tests/requirements.txt (is its index reachable?)" >&2; exit 1; }
	@touch $@

$(NODE)/.stamp: tests/interop/package.json
	@echo "davit: JavaScript packages for the tests into $(NODE)"
	@rm -rf $(NODE) && mkdir -p $(NODE) && cp $< $(NODE)/
	@packaging/again.sh 120 npm install --prefix $(NODE) --no-package-lock --ignore-scripts --no-audit --no-fund --loglevel=error \
		--fetch-timeout=30000 || \
		{ echo "davit: npm could not install tests/interop/package.json (is its registry reachable?)" >&2; exit 1; }
	@touch $@

# Manual pages and completions, from what the programs say of themselves.
MAN := $(BUILD)/man/davit.1 $(BUILD)/man/davitd.8 $(BUILD)/man/davit-bench.1
COMPLETIONS := $(BUILD)/completions/davit $(BUILD)/completions/davitd
.PHONY: man
man: $(MAN) $(COMPLETIONS)

$(MAN): $(BUILD)/man/%: packaging/man/%.in packaging/man/make.sh $(DAVIT) $(DAVITD) $(BENCH)
	@mkdir -p $(@D)
	@packaging/man/make.sh $* $(BUILD)/bin/$(basename $*) > $@.new && mv $@.new $@

$(BUILD)/completions/davit: $(DAVIT)
	@mkdir -p $(@D)
	@$(DAVIT) completion bash > $@.new && mv $@.new $@

$(BUILD)/completions/davitd: $(DAVITD)
	@mkdir -p $(@D)
	@echo "complete -o default -W '$$($(DAVITD) --help 2>&1 | sed -n 's/^ *\(--[a-z0-9-]*\).*/\1/p' | tr '\n' ' ')' davitd daprd" > $@

# Installed: the program under both names, the plugins with their manifests and index, what a vendor builds against.
install: all sdk man
	@BUILD=$(BUILD) DESTDIR="$(DESTDIR)" PREFIX="$(PREFIX)" BINDIR="$(BINDIR)" LIBDIR="$(LIBDIR)" INCLUDEDIR="$(INCLUDEDIR)" \
		DATADIR="$(DATADIR)" \
		packaging/install.sh install
uninstall:
	@BUILD=$(BUILD) DESTDIR="$(DESTDIR)" PREFIX="$(PREFIX)" BINDIR="$(BINDIR)" LIBDIR="$(LIBDIR)" INCLUDEDIR="$(INCLUDEDIR)" \
		DATADIR="$(DATADIR)" \
		packaging/install.sh uninstall

reproducible:
	@packaging/reproducible.sh
