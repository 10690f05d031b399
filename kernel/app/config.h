/* SPDX-License-Identifier: Apache-2.0 */
/* What an application says of itself at GET /dapr/config: the actor types it hosts and how they are to be treated. */
#ifndef APP_CONFIG_H
#define APP_CONFIG_H
#include "base/arena.h"

struct app_actors {
	size_t nentities;
	const struct str *entities; /* actor types */
	struct str idle_timeout;    /* Go durations as given, "" when not; nobody has looked at them yet */
	struct str drain_ongoing_call_timeout;
	int drain_rebalanced_actors; /* -1: not said */
	int reentrancy_enabled;
	int64_t reentrancy_max_stack_depth;   /* -1: not said */
	int64_t reminders_storage_partitions; /* deprecated: only warned of */
};

struct app_config {
	struct app_actors all;
	size_t nof;
	const struct app_actors *of; /* for the entities that each of them names */
};

/* In the arena, as encoding/json reads it: names in any case, what is unknown is skipped, what follows the first value is
 * not looked at. NULL: no JSON, or a value of another type. */
struct app_config *app_config_read(struct arena *a, struct str body);
#endif
