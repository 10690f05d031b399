/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/retry.h"

#include "base/banned.h"
#include "base/random.h"

static int is_in(const struct resiliency_ranges *r, int code)
{
	size_t i;

	for (i = 0; i < r->n; i++)
		if (code >= r->p[i].first && code <= r->p[i].last)
			return 1;
	return !r->given;
}

int retry_matches(const struct retry *r, int code)
{
	if (code >= 0 && code <= 16)
		return is_in(&r->grpc, code);
	return code >= 100 && code <= 599 && is_in(&r->http, code);
}

/* Between half and one and a half of it. */
static int64_t spread(int64_t ns)
{
	uint32_t chance;

	random_bytes(&chance, sizeof(chance));
	return ns / 2 + (int64_t)((double)ns * ((double)chance / 4294967296.0));
}

int64_t retry_next(const struct retry *r, struct retry_state *s, int64_t now_ns)
{
	int64_t wait;

	if (r->max_retries >= 0 && s->retries >= r->max_retries)
		return -1;
	if (r->exponential) {
		if (s->current_ns == 0)
			s->current_ns = r->first_ns;
		wait = spread(s->current_ns);
		s->current_ns += s->current_ns / 2;
		if (s->current_ns > r->max_interval_ns)
			s->current_ns = r->max_interval_ns;
		if (r->max_elapsed_ns > 0 && now_ns - s->began_ns + wait > r->max_elapsed_ns)
			return -1;
	} else {
		wait = r->duration_ns > 0 ? r->duration_ns : 0;
	}
	if (s->retries < INT32_MAX)
		s->retries++;
	return wait;
}
