/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <stdlib.h>
#include <strings.h>

static int text(struct davit_str s, char **ret_text, struct fault *f)
{
	*ret_text = strndup(s.p, s.n);
	if (*ret_text != NULL)
		return 0;
	fault_set(f, DAVIT_EXHAUSTED, NULL, "no memory left");
	return -1;
}

static int bad(struct fault *f, const char *field, const char *should)
{
	fault_set(f, DAVIT_INVALID_ARGUMENT, NULL, "invalid value for '%s': %s", field, should);
	return -1;
}

static int read_file(const struct davit_open *in, struct options *o, struct fault *f)
{
	size_t i;

	if (sqlite_file_read(in, &o->file, f) < 0)
		return -1;
	if (o->file.memory)
		return bad(f, "connectionString",
			   "nothing would outlast the sidecar: name a file, or use pubsub.in-memory");
	if (o->file.read_only)
		return bad(f, "connectionString",
			   "a file that may only be read takes no messages: leave out mode=ro and immutable");
	for (i = 0; i < o->file.npragmas; i++)
		o->own_synchronous |= strncasecmp(o->file.pragmas[i], "synchronous", 11) == 0;
	return 0;
}

static int read_group(const struct davit_open *in, struct options *o, struct fault *f)
{
	struct davit_str s = davit_prop(in, "consumerID");

	if (s.n == 0)
		s = in->app_id;
	if (s.n == 0)
		return bad(f, "consumerID", "there is no app id to take its place");
	return text(s, &o->group, f);
}

static int read_times(const struct davit_open *in, struct options *o, struct fault *f)
{
	if (sqlite_file_duration(in, "redeliverInterval", 5000, &o->redeliver_ms, f) < 0 ||
	    sqlite_file_duration(in, "processingTimeout", 30000, &o->processing_ms, f) < 0 ||
	    sqlite_file_duration(in, "busyTimeout", 10000, &o->busy_ms, f) < 0 ||
	    sqlite_file_duration(in, "retention", 168 * 3600000LL, &o->retention_ms, f) < 0 ||
	    sqlite_file_duration(in, "cleanupInterval", 60000, &o->cleanup_ms, f) < 0)
		return -1;
	if (o->processing_ms < 1000)
		return bad(f, "processingTimeout", "must be at least 1s");
	if (o->redeliver_ms < 0)
		return bad(f, "redeliverInterval", "must not be negative");
	if (o->retention_ms < 0)
		return bad(f, "retention", "must not be negative");
	if (o->busy_ms < 0)
		o->busy_ms = 0;
	if (o->cleanup_ms < 0)
		o->cleanup_ms = 0;
	return 0;
}

static int read_dead_letter(const struct davit_open *in, struct options *o, struct fault *f)
{
	struct davit_str s = davit_prop(in, "maxDeliveries"), topic = davit_prop(in, "deadLetterTopic");
	char *end = NULL;

	if (s.n > 0) {
		o->max_deliveries = strtoll(s.p, &end, 10);
		if (*end != '\0' || o->max_deliveries < 0 || o->max_deliveries > INT32_MAX)
			return bad(f, "maxDeliveries", "must be a whole number, 0 or more");
	}
	return topic.n > 0 ? text(topic, &o->dead_letter, f) : 0;
}

int options_read(const struct davit_open *in, struct options *ret_options, struct fault *ret_fault)
{
	struct options *o = ret_options;
	struct davit_str mode = davit_prop(in, "concurrencyMode");

	memset(o, 0, sizeof(*o));
	o->parallel = mode.n > 0 && strcasecmp(mode.p, "parallel") == 0;
	if (mode.n > 0 && !o->parallel && strcasecmp(mode.p, "single") != 0)
		return bad(ret_fault, "concurrencyMode", "must be single or parallel");
	if (read_file(in, o, ret_fault) < 0 || read_group(in, o, ret_fault) < 0 || read_times(in, o, ret_fault) < 0)
		return -1;
	return read_dead_letter(in, o, ret_fault);
}

void options_release(struct options *o)
{
	sqlite_file_release(&o->file);
	free(o->group);
	free(o->dead_letter);
}
