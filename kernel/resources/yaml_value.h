/* SPDX-License-Identifier: Apache-2.0 */
/* Between yaml.c and yaml_value.c only. */
#ifndef RESOURCES_YAML_VALUE_H
#define RESOURCES_YAML_VALUE_H
#include "resources/yaml.h"

/* Whether a scalar's text is what its tag (!!int, !!bool, …) says; 1 where it has none or one we do not know. */
int yaml_tag_fits(const struct yaml_node *n);
#endif
