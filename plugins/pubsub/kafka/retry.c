/* SPDX-License-Identifier: Apache-2.0 */
#include "retry.h"

#include <davit/duration.h>
#include <davit/uuid.h>
#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#define MS INT64_C(1000000)
#define SECOND (1000 * MS)

/* A whole number is milliseconds here, unlike in Dapr's other durations. */
static int read_span(const struct davit_open *in, const char *name, int64_t *ns)
{
	struct davit_str s = davit_prop(in, name);
	char *end;
	long long ms;

	if (s.p == NULL || s.n == 0)
		return 0;
	errno = 0;
	ms = strtoll(s.p, &end, 10);
	if (*end == '\0' && errno == 0 && ms < INT64_MAX / MS && ms > -(INT64_MAX / MS)) {
		*ns = ms * MS;
		return 0;
	}
	return davit_duration_parse(s, ns);
}

static int read_fraction(const struct davit_open *in, const char *name, double *value)
{
	struct davit_str s = davit_prop(in, name);
	char *end;
	double d;

	if (s.p == NULL || s.n == 0)
		return 0;
	d = strtod(s.p, &end);
	if (*end != '\0' || !(d >= 0) || d > 1e6)
		return -1;
	*value = d;
	return 0;
}

static int read_most(const struct davit_open *in, int64_t *most)
{
	struct davit_str s = davit_prop(in, "backOffMaxRetries");
	char *end;

	if (s.p == NULL || s.n == 0)
		return 0;
	errno = 0;
	*most = strtoll(s.p, &end, 10);
	return *end == '\0' && errno == 0 ? 0 : -1;
}

static int read_policy(const struct davit_open *in, int *exponential)
{
	struct davit_str s = davit_prop(in, "backOffPolicy");

	*exponential = s.n > 0 && strcasecmp(s.p, "exponential") == 0;
	return s.n == 0 || *exponential || strcasecmp(s.p, "constant") == 0 ? 0 : -1;
}

int retry_read(const struct davit_open *in, struct retry *ret, const char **ret_why)
{
	struct retry r = { .constant_ns = 5 * SECOND,
			   .first_ns = 500 * MS,
			   .most_ns = 60 * SECOND,
			   .elapsed_ns = 15 * 60 * SECOND,
			   .factor = 1.5,
			   .scatter = 0.5,
			   .most = -1 };

#define TRY(call, name) \
	if ((call) < 0) { \
		*ret_why = name; \
		return -1; \
	}
	TRY(read_policy(in, &r.exponential), "backOffPolicy")
	TRY(read_span(in, "backOffDuration", &r.constant_ns), "backOffDuration")
	TRY(read_span(in, "backOffInitialInterval", &r.first_ns), "backOffInitialInterval")
	TRY(read_span(in, "backOffMaxInterval", &r.most_ns), "backOffMaxInterval")
	TRY(read_span(in, "backOffMaxElapsedTime", &r.elapsed_ns), "backOffMaxElapsedTime")
	TRY(read_fraction(in, "backOffMultiplier", &r.factor), "backOffMultiplier")
	TRY(read_fraction(in, "backOffRandomizationFactor", &r.scatter), "backOffRandomizationFactor")
	TRY(read_most(in, &r.most), "backOffMaxRetries")
#undef TRY
	*ret = r;
	return 0;
}

/* Between 0 and 1. */
static double chance(void)
{
	uint32_t n = 0;

	davit_random(&n, sizeof(n));
	return (double)n / (double)UINT32_MAX;
}

int64_t retry_pause(const struct retry *r, unsigned n, int64_t since_ns)
{
	double pause = (double)r->first_ns;
	unsigned i;

	if (r->most >= 0 && (int64_t)n > r->most)
		return -1;
	if (!r->exponential)
		return r->constant_ns > 0 ? r->constant_ns : 0;
	for (i = 1; i < n && pause < (double)r->most_ns; i++)
		pause *= r->factor;
	if (pause > (double)r->most_ns)
		pause = (double)r->most_ns;
	pause *= 1 - r->scatter + 2 * r->scatter * chance();
	if (r->elapsed_ns > 0 && since_ns + (int64_t)pause > r->elapsed_ns)
		return -1;
	return pause > 0 ? (int64_t)pause : 0;
}
