/* SPDX-License-Identifier: Apache-2.0 */
#include <davit/resolve.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "wait.h"

#define ADDRESSES 8 /* most of one name that are tried */
#define WORDS 64    /* settings, and a few of our own */

int64_t pg_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int pg_watch(struct pg_connection *c, struct pg_fault *f)
{
	pg_unwatch(c);
	c->fd = fcntl(PQsocket(c->pg), F_DUPFD_CLOEXEC, 0);
	if (c->fd < 0) {
		pg_fault_set(f, DAVIT_EXHAUSTED, NULL, "no descriptor left: %s", strerrordesc_np(errno));
		return -1;
	}
	if (c->service->open(c->instance, c->fd, &c->watch) == DAVIT_OK)
		return 0;
	pg_unwatch(c);
	pg_fault_no_memory(f);
	return -1;
}

void pg_unwatch(struct pg_connection *c)
{
	c->service->close(c->watch);
	c->watch = NULL;
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

davit_status pg_wait(struct pg_connection *c, struct davit_call *call, int what, int64_t until_ms, int *ret_ready,
		     struct pg_fault *f)
{
	int64_t left = until_ms - pg_now_ms();
	davit_status status = DAVIT_DEADLINE_EXCEEDED;
	int32_t ready = 0;

	if (left > 0)
		status = c->service->wait(c->watch, call, what, left, &ready);
	*ret_ready = ready;
	if (status == DAVIT_OK)
		return DAVIT_OK;
	return pg_fault_set(f, status, NULL,
			    status == DAVIT_DEADLINE_EXCEEDED ? "the server did not answer in time"
			    : status == DAVIT_CANCELLED	      ? "it was cancelled"
							      : "its socket cannot be waited for");
}

/* What a server says unasked: that it ends this connection is worth knowing, even before its end is seen. */
static void take_notice(void *arg, const PGresult *r)
{
	const char *code = PQresultErrorField(r, PG_DIAG_SQLSTATE);
	struct pg_connection *c = arg;

	if (code != NULL && strncmp(code, "57P", 3) == 0)
		c->broken = 1;
}

static davit_status shake_hands(struct pg_connection *c, struct davit_call *call, int64_t until_ms, struct pg_fault *f)
{
	PostgresPollingStatusType now = PGRES_POLLING_WRITING;
	davit_status status;
	int ready;

	while (now == PGRES_POLLING_WRITING || now == PGRES_POLLING_READING) {
		/* Anew each time: libpq may have another socket now. */
		if (pg_watch(c, f) < 0)
			return f->status;
		status = pg_wait(c, call, now == PGRES_POLLING_READING ? DAVIT_WATCH_READ : DAVIT_WATCH_WRITE, until_ms,
				 &ready, f);
		if (status != DAVIT_OK)
			return status;
		now = PQconnectPoll(c->pg);
	}
	if (now != PGRES_POLLING_OK)
		return pg_fault_connection(f, c->pg, "");
	return pg_watch(c, f) < 0 ? f->status : DAVIT_OK;
}

static davit_status begin(struct pg_connection *c, const struct pg_options *o, const struct pg_host *h,
			  const char *address, const char *target, struct pg_fault *f)
{
	const char *names[WORDS + 8], *values[WORDS + 8];
	size_t i, n = 0;

	for (i = 0; i < o->nsettings && n < WORDS; i++, n++) {
		names[n] = o->settings[i].name;
		values[n] = o->settings[i].value;
	}
	names[n] = "host", values[n++] = h->name;
	names[n] = "port", values[n++] = h->port;
	names[n] = "target_session_attrs", values[n++] = target;
	if (address != NULL)
		names[n] = "hostaddr", values[n++] = address;
	names[n] = values[n] = NULL;
	c->pg = PQconnectStartParams(names, values, 0);
	if (c->pg == NULL)
		return pg_fault_no_memory(f);
	if (PQstatus(c->pg) == CONNECTION_BAD)
		return pg_fault_connection(f, c->pg, "");
	PQsetErrorVerbosity(c->pg, PQERRORS_VERBOSE); /* for the SQLSTATE, which libpq tells no other way here */
	PQsetNoticeReceiver(c->pg, take_notice, c);
	return DAVIT_OK;
}

static davit_status settle(struct pg_connection *c, const struct pg_options *o, struct pg_fault *f)
{
	c->mode = o->mode;
	PQsetErrorContextVisibility(c->pg, PQSHOW_CONTEXT_NEVER);
	if (PQsetnonblocking(c->pg, 1) < 0 || (c->mode != PG_SIMPLE && PQenterPipelineMode(c->pg) != 1))
		return pg_fault_connection(f, c->pg, "");
	return DAVIT_OK;
}

static davit_status open_at(struct pg_connection *c, struct davit_call *call, const struct pg_options *o,
			    const struct pg_host *h, const char *address, const char *target, int64_t until_ms,
			    struct pg_fault *f)
{
	int64_t limit = pg_now_ms() + o->connect_ms;
	davit_status status = begin(c, o, h, address, target, f);

	if (status == DAVIT_OK)
		status = shake_hands(c, call, limit < until_ms ? limit : until_ms, f);
	if (status == DAVIT_OK)
		status = settle(c, o, f);
	if (status == DAVIT_OK)
		return DAVIT_OK;
	pg_unwatch(c);
	PQfinish(c->pg);
	c->pg = NULL;
	return status;
}

/* A folder of sockets and a server whose address is told need no resolver. */
static davit_status find(struct pg_connection *c, struct davit_call *call, const struct pg_host *h, int64_t until_ms,
			 struct davit_address *addresses, uint64_t *n, struct pg_fault *f)
{
	const struct davit_resolve_service *service = davit_resolve_service(c->instance);
	char why[256] = "";
	struct davit_resolve_in in = DAVIT_INIT(davit_resolve_in, .host = davit_str(h->name),
						.timeout_ms = until_ms - pg_now_ms(), .why = why, .nwhy = sizeof(why));
	davit_status status;

	*n = 0;
	if (h->name[0] == '/' || h->name[0] == '@' || h->address[0] != '\0')
		return DAVIT_OK;
	if (service == NULL)
		return pg_fault_set(f, DAVIT_UNIMPLEMENTED, NULL, "this kernel has no " DAVIT_RESOLVE);
	status = in.timeout_ms > 0 ? service->resolve(c->instance, call, &in, addresses, ADDRESSES, n)
				   : DAVIT_DEADLINE_EXCEEDED;
	if (status == DAVIT_OK)
		return DAVIT_OK;
	return pg_fault_set(f, status == DAVIT_NOT_FOUND ? DAVIT_UNAVAILABLE : status, NULL,
			    "the name %s cannot be resolved: %s", h->name, why[0] ? why : "no answer in time");
}

/* Whether another server may do better: the time is not over, and nobody has gone away. */
static int go_on(davit_status status, int64_t until_ms)
{
	return status != DAVIT_OK && status != DAVIT_CANCELLED && pg_now_ms() < until_ms;
}

/* One that does not answer must leave time for those after it. */
static int64_t share(int64_t until_ms, size_t rest)
{
	int64_t now = pg_now_ms();

	return now + (until_ms - now) / (int64_t)(rest > 0 ? rest : 1);
}

static davit_status open_host(struct pg_connection *c, struct davit_call *call, const struct pg_options *o, size_t at,
			      const char *target, int64_t until_ms, struct pg_fault *f)
{
	const struct pg_host *h = &o->hosts[at];
	struct davit_address addresses[ADDRESSES];
	uint64_t i, n;
	int64_t limit = share(until_ms, o->nhosts - at);
	davit_status status = find(c, call, h, limit, addresses, &n, f);
	char text[sizeof(f->text)];

	if (status == DAVIT_OK && n == 0)
		status = open_at(c, call, o, h, h->address[0] ? h->address : NULL, target, limit, f);
	for (i = 0; i < n && (i == 0 || go_on(status, until_ms)); i++)
		status = open_at(c, call, o, h, addresses[i].text, target, share(limit, n - i), f);
	/* Whose fault it is, unless libpq said so. */
	if (status != DAVIT_OK && strstr(f->text, "connection to server") == NULL) {
		snprintf(text, sizeof(text), "connection to %.200s:%s failed: %.700s", h->name, h->port, f->text);
		memcpy(f->text, text, sizeof(text));
	}
	return status;
}

static davit_status open_all(struct pg_connection *c, struct davit_call *call, const struct pg_options *o,
			     const char *target, int64_t until_ms, struct pg_fault *f)
{
	davit_status status = DAVIT_UNAVAILABLE;
	size_t i;

	for (i = 0; i < o->nhosts && (i == 0 || go_on(status, until_ms)); i++)
		status = open_host(c, call, o, i, target, until_ms, f);
	return status;
}

davit_status pg_connection_open(struct davit_instance *instance, struct davit_call *call, const struct pg_options *o,
				int64_t until_ms, struct pg_connection **ret_connection, struct pg_fault *f)
{
	int prefer = strcmp(o->target, "prefer-standby") == 0;
	struct pg_connection *c = calloc(1, sizeof(*c));
	davit_status status;

	if (c == NULL)
		return pg_fault_no_memory(f);
	c->fd = -1;
	c->instance = instance;
	c->service = davit_watch_service(instance);
	c->fiber = davit_fiber_service(instance);
	if (c->service == NULL || c->fiber == NULL) {
		free(c);
		return pg_fault_set(f, DAVIT_UNIMPLEMENTED, NULL, "this kernel has no " DAVIT_WATCH);
	}
	c->user = c->fiber->self(instance);
	*ret_connection = c; /* seen while it is being made, so that it can be given up */
	status = open_all(c, call, o, prefer ? "standby" : o->target, until_ms, f);
	if (prefer && go_on(status, until_ms))
		status = open_all(c, call, o, "any", until_ms, f);
	c->user = NULL;
	if (status == DAVIT_OK)
		return DAVIT_OK;
	*ret_connection = NULL;
	pg_connection_close(c);
	return status;
}

void pg_connection_close(struct pg_connection *c)
{
	size_t i;

	if (c == NULL)
		return;
	pg_unwatch(c);
	PQfinish(c->pg);
	for (i = 0; c->texts != NULL && i < c->nqueued; i++)
		free(c->texts[i]);
	free(c->texts);
	free(c->queued);
	free(c);
}

int pg_connection_lives(struct pg_connection *c)
{
	if (c->broken || PQconsumeInput(c->pg) != 1)
		return 0;
	PQisBusy(c->pg); /* reads what has come */
	return !c->broken && PQstatus(c->pg) == CONNECTION_OK;
}
