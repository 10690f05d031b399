/* SPDX-License-Identifier: Apache-2.0 */
#include "report.h"

#include <syslog.h>
#include <time.h>

#define AGAIN_NS (60 * INT64_C(1000000000))

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

void report_init(struct report *r, struct davit_instance *instance)
{
	r->instance = instance;
	pthread_mutex_init(&r->lock, NULL);
}

void report_release(struct report *r)
{
	pthread_mutex_destroy(&r->lock);
}

void report_works(struct report *r)
{
	pthread_mutex_lock(&r->lock);
	r->err = r->all_down = 0;
	pthread_mutex_unlock(&r->lock);
}

int report_last(struct report *r, int *ret_all_down, char *ret_text, size_t n)
{
	int err;

	pthread_mutex_lock(&r->lock);
	err = r->err;
	*ret_all_down = r->all_down;
	snprintf(ret_text, n, "%s", err ? r->text : "");
	pthread_mutex_unlock(&r->lock);
	return err;
}

/* "All broker connections are down" tells less than what came before it. */
static void keep(struct report *r, int err, const char *reason)
{
	pthread_mutex_lock(&r->lock);
	if (err != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || r->err == 0)
		snprintf(r->text, sizeof(r->text), "%s", reason);
	r->err = err;
	r->all_down |= err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN;
	pthread_mutex_unlock(&r->lock);
}

void report_error(rd_kafka_t *rk, int err, const char *reason, void *report)
{
	struct report *r = report;
	int64_t now = now_ns();
	char why[256];

	if (err == RD_KAFKA_RESP_ERR__FATAL && rd_kafka_fatal_error(rk, why, sizeof(why)) != RD_KAFKA_RESP_ERR_NO_ERROR)
		reason = why;
	keep(r, err, reason);
	if (err == r->said && now - r->said_ns < AGAIN_NS)
		return;
	r->said = err;
	r->said_ns = now;
	davit_log(r->instance, DAVIT_LOG_WARN, "%s: %s", rd_kafka_name(rk), reason);
}

/* Its errors come as such as well, see above. */
void report_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
	const struct report *r = rd_kafka_opaque(rk);

	if (r != NULL)
		davit_log(r->instance, level <= LOG_CRIT ? DAVIT_LOG_ERROR : DAVIT_LOG_DEBUG, "%s: %s", facility, text);
}
