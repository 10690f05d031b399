/* SPDX-License-Identifier: Apache-2.0 */
#include "producer.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>

#define POLL_MS 500
#define PROBE_MS 200
#define DOWN_MS 1000 /* a broker may be a little late, but not when nobody listens */
#define PURGE_MS 2000

static void delivered(rd_kafka_t *rk, const rd_kafka_message_t *m, void *producer)
{
	struct producer *p = producer;
	struct delivery *d = m->_private;

	(void)rk;
	if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR)
		report_works(&p->report);
	d->done(d, m->err, rd_kafka_topic_name(m->rkt));
}

static void on_error(rd_kafka_t *rk, int err, const char *reason, void *producer)
{
	struct producer *p = producer;

	report_error(rk, err, reason, producer);
	if (err == RD_KAFKA_RESP_ERR__FATAL)
		__atomic_store_n(&p->dead, 1, __ATOMIC_RELEASE);
}

static rd_kafka_t *make_client(struct producer *p, char *ret_why, size_t n)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_dup(p->settings->producer);
	rd_kafka_t *rk = NULL;
	int bad;

	rd_kafka_conf_set_opaque(conf, p);
	rd_kafka_conf_set_dr_msg_cb(conf, delivered);
	rd_kafka_conf_set_error_cb(conf, on_error);
	rd_kafka_conf_set_log_cb(conf, report_log);
	/* Several requests at once reorder when one is sent again, unless the brokers count them. */
	if (p->settings->idempotent)
		bad = rd_kafka_conf_set(conf, "enable.idempotence", "true", ret_why, n) != RD_KAFKA_CONF_OK;
	else
		bad = rd_kafka_conf_set(conf, "max.in.flight", "1", ret_why, n) != RD_KAFKA_CONF_OK;
	if (!bad)
		rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, ret_why, n);
	if (rk == NULL)
		rd_kafka_conf_destroy(conf);
	return rk;
}

struct producer *producer_new(struct davit_instance *instance, struct settings *s, char *ret_why, size_t n)
{
	struct producer *p = calloc(1, sizeof(*p));

	snprintf(ret_why, n, "no memory left");
	if (p == NULL)
		return NULL;
	report_init(&p->report, instance);
	pthread_rwlock_init(&p->lock, NULL);
	p->settings = s;
	p->rk = make_client(p, ret_why, n);
	if (p->rk != NULL)
		return p;
	pthread_rwlock_destroy(&p->lock);
	report_release(&p->report);
	free(p);
	return NULL;
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000) + t.tv_nsec / 1000000;
}

/* Errors that do not go away by waiting. */
static int is_final(int err)
{
	return err == RD_KAFKA_RESP_ERR__AUTHENTICATION || err == RD_KAFKA_RESP_ERR__SSL ||
	       err == RD_KAFKA_RESP_ERR__RESOLVE || err == RD_KAFKA_RESP_ERR__FATAL;
}

davit_status producer_probe(struct producer *p, int within_ms, char *ret_why, size_t n)
{
	const struct rd_kafka_metadata *md;
	int64_t began = now_ms(), passed;
	char text[256];
	int err, all_down;

	for (;;) {
		if (rd_kafka_metadata(p->rk, 0, NULL, &md, PROBE_MS) == RD_KAFKA_RESP_ERR_NO_ERROR) {
			rd_kafka_metadata_destroy(md);
			report_works(&p->report);
			return DAVIT_OK;
		}
		rd_kafka_poll(p->rk, 0);
		err = report_last(&p->report, &all_down, text, sizeof(text));
		passed = now_ms() - began;
		if (is_final(err) || passed >= within_ms || (all_down && passed >= DOWN_MS))
			break;
	}
	snprintf(ret_why, n,
		 "failed to get latest Kafka clients for initialization: kafka: client has run out of available "
		 "brokers to "
		 "talk to: %s",
		 err ? text : "none has answered in time");
	return err == RD_KAFKA_RESP_ERR__AUTHENTICATION ? DAVIT_UNAUTHENTICATED : DAVIT_UNAVAILABLE;
}

davit_status producer_ping(struct producer *p, int within_ms, char *ret_why, size_t n)
{
	const struct rd_kafka_metadata *md;
	rd_kafka_resp_err_t err;
	char cause[256];
	int all_down;

	pthread_rwlock_rdlock(&p->lock);
	err = rd_kafka_metadata(p->rk, 0, NULL, &md, within_ms);
	pthread_rwlock_unlock(&p->lock);
	if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
		rd_kafka_metadata_destroy(md);
		return DAVIT_OK;
	}
	report_last(&p->report, &all_down, cause, sizeof(cause));
	snprintf(ret_why, n, "%s%s%s", rd_kafka_err2str(err), cause[0] ? ": " : "", cause);
	return DAVIT_UNAVAILABLE;
}

/* The messages that were with it fail; they may have got there all the same. */
static void replace(struct producer *p)
{
	rd_kafka_resp_err_t cause;
	char why[256];
	rd_kafka_t *old = p->rk, *fresh;

	cause = rd_kafka_fatal_error(old, why, sizeof(why));
	if (cause == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED) {
		davit_log(p->report.instance, DAVIT_LOG_WARN,
			  "the brokers do not let this user write idempotently: messages go one request at a time, and "
			  "one "
			  "that is sent again may arrive twice");
		p->settings->idempotent = 0;
	}
	fresh = make_client(p, why, sizeof(why));
	if (fresh == NULL) {
		davit_log(p->report.instance, DAVIT_LOG_ERROR, "no new producer could be made: %s", why);
		return; /* it is tried again at the next poll */
	}
	pthread_rwlock_wrlock(&p->lock);
	p->rk = fresh;
	pthread_rwlock_unlock(&p->lock);
	__atomic_store_n(&p->dead, 0, __ATOMIC_RELEASE);
	rd_kafka_purge(old, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
	rd_kafka_flush(old, PURGE_MS);
	rd_kafka_destroy(old);
}

static void *run(void *producer)
{
	struct producer *p = producer;

	while (!__atomic_load_n(&p->stopping, __ATOMIC_ACQUIRE)) {
		rd_kafka_poll(p->rk, POLL_MS);
		if (__atomic_load_n(&p->dead, __ATOMIC_ACQUIRE))
			replace(p);
	}
	return NULL;
}

int producer_start(struct producer *p)
{
	sigset_t all, before;
	int failed;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	failed = pthread_create(&p->thread, NULL, run, p);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return failed ? -1 : 0;
}

void producer_close(struct producer *p, int within_ms)
{
	rd_kafka_queue_t *queue;

	if (p->thread != 0) {
		__atomic_store_n(&p->stopping, 1, __ATOMIC_RELEASE);
		queue = rd_kafka_queue_get_main(p->rk);
		rd_kafka_queue_yield(queue);
		rd_kafka_queue_destroy(queue);
		pthread_join(p->thread, NULL);
	}
	if (rd_kafka_flush(p->rk, within_ms) != RD_KAFKA_RESP_ERR_NO_ERROR) {
		rd_kafka_purge(p->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
		rd_kafka_flush(p->rk, PURGE_MS);
	}
	rd_kafka_destroy(p->rk);
	pthread_rwlock_destroy(&p->lock);
	report_release(&p->report);
	free(p);
}

rd_kafka_resp_err_t producer_send(struct producer *p, const rd_kafka_vu_t *what, size_t n)
{
	rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_NO_ERROR;
	rd_kafka_error_t *error;

	pthread_rwlock_rdlock(&p->lock);
	error = rd_kafka_produceva(p->rk, what, n);
	pthread_rwlock_unlock(&p->lock);
	if (error != NULL) {
		err = rd_kafka_error_code(error);
		rd_kafka_error_destroy(error);
	}
	return err;
}

davit_status producer_explain(struct producer *p, rd_kafka_resp_err_t err, const char *topic, char *ret_why, size_t n)
{
	static const struct {
		rd_kafka_resp_err_t err;
		davit_status status;
		const char *text;
	} known[] = {
		{ RD_KAFKA_RESP_ERR__QUEUE_FULL, DAVIT_EXHAUSTED, "too many messages are on their way to the brokers" },
		{ RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, DAVIT_INVALID_ARGUMENT, "the message is too large" },
		{ RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, DAVIT_INVALID_ARGUMENT, "the topic has no such partition" },
		{ RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, DAVIT_NOT_FOUND, "the brokers know no such topic" },
		{ RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, DAVIT_NOT_FOUND, "the brokers know no such topic" },
		{ RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, DAVIT_INVALID_ARGUMENT, "no topic may have this name" },
		{ RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, DAVIT_PERMISSION_DENIED,
		  "this user may not write to it" },
		{ RD_KAFKA_RESP_ERR__MSG_TIMED_OUT, DAVIT_UNAVAILABLE,
		  "the brokers did not acknowledge the message in time" },
		{ RD_KAFKA_RESP_ERR__PURGE_QUEUE, DAVIT_UNAVAILABLE, "it was given up before it was sent" },
		{ RD_KAFKA_RESP_ERR__PURGE_INFLIGHT, DAVIT_UNAVAILABLE,
		  "it was given up before it was acknowledged: it may have arrived" },
	};
	const char *text = rd_kafka_err2str(err);
	davit_status status = DAVIT_UNAVAILABLE;
	char cause[256] = "";
	int all_down;
	size_t i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (known[i].err == err) {
			text = known[i].text;
			status = known[i].status;
		}
	}
	if (status == DAVIT_UNAVAILABLE)
		report_last(&p->report, &all_down, cause, sizeof(cause));
	snprintf(ret_why, n, "kafka: topic %s: %s%s%s", topic, text, cause[0] ? ": " : "", cause);
	return status;
}
