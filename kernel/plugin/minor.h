/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SDK minor that this kernel is of: the header's own, or an earlier one that a build asks for (KERNEL_MINOR), so that the
 * promise can be tested that the same plugins load in all of them. An earlier kernel has the smaller host table and record,
 * and not the later blocks.
 *	0.1 davit_opened.features   0.2 credit and on_credit of the host table; pubsub and names   0.3 davit_open.loops
 */
#ifndef PLUGIN_MINOR_H
#define PLUGIN_MINOR_H
#include <davit/plugin.h>

#ifndef KERNEL_MINOR
#define KERNEL_MINOR DAVIT_SDK_MINOR
#endif

#define MINOR_HOST_SIZE ((uint32_t)(KERNEL_MINOR < 2 ? offsetof(struct davit_host, credit) : sizeof(struct davit_host)))
#define MINOR_OPEN_SIZE ((uint32_t)(KERNEL_MINOR < 3 ? offsetof(struct davit_open, loops) : sizeof(struct davit_open)))
#define MINOR_OPENED_SIZE (KERNEL_MINOR < 1 ? offsetof(struct davit_opened, features) : sizeof(struct davit_opened))
#endif
