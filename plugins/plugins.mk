# SPDX-License-Identifier: Apache-2.0
# Each folder plugins/<block>/<name> becomes <type>/<version>/<type>.so below $(PLUGIN_DIR), its manifest beside it: one
# folder dropped in is a plugin. Its plugin.mk sets VERSION and, where it needs any, LIBRARIES (names for pkg-config) and
# COMMON (folders of plugins/common whose code is linked in).
PLUGIN_DIR := $(BUILD)/lib/davit/plugins
PLUGIN_LDFLAGS := -shared -Wl,-z,defs -Wl,-z,nodelete -Wl,-Bsymbolic -Wl,--exclude-libs,ALL
PLUGIN_INDEX := $(PLUGIN_DIR)/index.json
PLUGINS :=
PLUGIN_OBJ :=

.PHONY: plugins
plugins:

# $(1) the folder; $(2) the type; $(3) the version; $(4) what pkg-config is asked for; $(5) the parts of plugins/common.
define plugin
$(2)_OBJ := $(patsubst %,$(BUILD)/%.o,$(wildcard $(1)/*.c))
$(2)_DIR := $(PLUGIN_DIR)/$(2)/$(3)
PLUGINS += $$($(2)_DIR)/$(2)
PLUGIN_OBJ += $$($(2)_OBJ)

$$($(2)_OBJ): $(BUILD)/%.o: % $(1)/plugin.mk
	@mkdir -p $$(@D)
	$$(CC) $$(SDK_CPPFLAGS) -DPLUGIN_NAME='"$(2)"' -DPLUGIN_VERSION='"$(3)"' $$(PLUGIN_CFLAGS) \
		$(if $(4),$$(shell $$(PKG_CONFIG) --cflags $(4))) -Iplugins/common -MMD -MP -c -o $$@ $$<

$$($(2)_DIR)/$(2).so: $$($(2)_OBJ) $(5:%=$$(BUILD)/lib/libcommon-%.a) $$(BUILD)/lib/libdavit-sdk.a
	@mkdir -p $$(@D)
	$$(CC) $$(PLUGIN_CFLAGS) $$(LDFLAGS) $$(PLUGIN_LDFLAGS) -Wl,-soname,$(2).so -o $$@ $$^ \
		$(if $(4),$$(shell $$(PKG_CONFIG) --libs $(4))) -pthread

$$($(2)_DIR)/$(2).json: $(1:plugins/%=manifests/%).json manifests/tiers.json $$($(2)_DIR)/$(2).so $$(BUILD)/bin/davit-manifest
	@hash=$$$$(sha256sum $$($(2)_DIR)/$(2).so) && \
		$$(BUILD)/bin/davit-manifest fill manifests/tiers.json $$< $(3) $$$${hash%% *} > $$@.new && mv $$@.new $$@
endef

define plugin_of
VERSION :=
LIBRARIES :=
COMMON :=
include $(1)/plugin.mk
$$(eval $$(call plugin,$(1),$(subst /,.,$(1:plugins/%=%)),$$(VERSION),$$(LIBRARIES),$$(COMMON)))
endef

# $(1) the name of a folder of plugins/common; its common.mk sets LIBRARIES, which it is compiled with.
define common_of
LIBRARIES :=
include plugins/common/$(1)/common.mk
$$(eval $$(call common,$(1),$$(LIBRARIES)))
endef

define common
common-$(1)_OBJ := $(patsubst %,$(BUILD)/%.o,$(wildcard plugins/common/$(1)/*.c))
PLUGIN_OBJ += $$(common-$(1)_OBJ)

$$(common-$(1)_OBJ): $(BUILD)/%.o: % plugins/common/$(1)/common.mk
	@mkdir -p $$(@D)
	$$(CC) $$(SDK_CPPFLAGS) $$(PLUGIN_CFLAGS) $(if $(2),$$(shell $$(PKG_CONFIG) --cflags $(2))) -MMD -MP -c -o $$@ $$<

$(BUILD)/lib/libcommon-$(1).a: $$(common-$(1)_OBJ)
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(AR) rcsD $$@ $$^
endef

$(foreach folder,$(sort $(patsubst plugins/common/%/common.mk,%,$(wildcard plugins/common/*/common.mk))),$(eval $(call common_of,$(folder))))
$(foreach folder,$(sort $(patsubst %/plugin.mk,%,$(wildcard plugins/*/*/plugin.mk))),$(eval $(call plugin_of,$(folder))))

plugins: $(PLUGINS:=.so) $(PLUGINS:=.json) $(PLUGIN_INDEX)

# Made anew when a plugin comes or goes as well, hence the list.
$(PLUGIN_INDEX): $(PLUGINS:=.json) manifests/tiers.json $(BUILD)/bin/davit-manifest
	@$(BUILD)/bin/davit-manifest index manifests/tiers.json $(PLUGINS:=.json) > $@.new && mv $@.new $@

-include $(PLUGIN_OBJ:.o=.d)
