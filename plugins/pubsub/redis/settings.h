/* SPDX-License-Identifier: Apache-2.0 */
/* What the component's metadata says beyond what every Redis component has. */
#ifndef SETTINGS_H
#define SETTINGS_H
#include "redis/options.h"

struct settings {
	struct redis_options redis;
	char *group;	       /* the consumer ID: the group, and the one consumer that all sidecars are in it */
	int64_t redeliver_ms;  /* how often it is looked for what somebody has taken and not settled */
	int64_t processing_ms; /* and how old that must be; if either is 0 nothing is given again */
	int64_t depth;	       /* messages asked for at once */
	int64_t concurrency;   /* messages that may be unsettled at once, on one loop */
	int64_t most;	       /* messages that a stream keeps, about; 0: all */
	int64_t keep_ms;       /* how long a stream keeps them, about, if most is 0; 0: for ever */
};

/* 0; -1: why says what is wrong with which field. Release it either way. */
int settings_read(const struct davit_open *in, struct settings *ret_settings, char why[REDIS_WHY]);
void settings_release(struct settings *s);
#endif
