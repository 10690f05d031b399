/* SPDX-License-Identifier: Apache-2.0 */
#include "settings.h"

#include <davit/duration.h>
#include <stdlib.h>

#define MS 1000000	       /* nanoseconds */
#define SPAN_MOST 315360000000 /* ten years: what is subtracted from the clock stays a time */
#define DEPTH_MOST 10000

/* A whole number is milliseconds. */
static int span(const struct davit_open *in, const char *field, int64_t fallback_ms, int64_t *ret_ms,
		char why[REDIS_WHY])
{
	struct davit_str s = davit_prop(in, field);
	int64_t v = 0;

	*ret_ms = fallback_ms;
	if (s.n == 0)
		return 0;
	if (strspn(s.p, "0123456789") == s.n && s.n < 18)
		v = strtoll(s.p, NULL, 10);
	else if (davit_duration_parse(s, &v) < 0)
		v = -1;
	else
		v = v > 0 && v < MS ? 1 : v / MS - (v < 0);
	if (v < 0 || v > SPAN_MOST) {
		snprintf(why, REDIS_WHY, "redis client configuration error: invalid duration \"%.*s\" for %s",
			 (int)(s.n > 64 ? 64 : s.n), s.p, field);
		return -1;
	}
	*ret_ms = v;
	return 0;
}

int settings_read(const struct davit_open *in, struct settings *ret_settings, char why[REDIS_WHY])
{
	struct settings *s = ret_settings;
	struct davit_str group = davit_prop(in, "consumerID");

	memset(s, 0, sizeof(*s));
	if (redis_options_read(in, &s->redis, why) < 0)
		return -1;
	if (davit_prop(in, "redisMinRetryInterval").n == 0)
		s->redis.min_backoff_ms = 8; /* not the state store's */
	if (span(in, "processingTimeout", 60000, &s->processing_ms, why) < 0 ||
	    span(in, "redeliverInterval", 15000, &s->redeliver_ms, why) < 0 ||
	    span(in, "streamTTL", 0, &s->keep_ms, why) < 0 ||
	    redis_options_int(in, "queueDepth", 100, 0, DEPTH_MOST, &s->depth, why) < 0 ||
	    redis_options_int(in, "concurrency", 10, 1, DEPTH_MOST, &s->concurrency, why) < 0 ||
	    redis_options_int(in, "maxLenApprox", 0, 0, INT64_MAX, &s->most, why) < 0)
		return -1;
	if (s->depth == 0)
		s->depth = 1;
	if (group.n == 0)
		group = in->app_id;
	s->group = strndup(group.p ? group.p : "", group.n);
	if (s->group != NULL)
		return 0;
	snprintf(why, REDIS_WHY, "no memory left");
	return -1;
}

void settings_release(struct settings *s)
{
	redis_options_release(&s->redis);
	free(s->group);
	s->group = NULL;
}
