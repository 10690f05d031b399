/* SPDX-License-Identifier: Apache-2.0 */
/* nameresolution.sqlite: the sidecars of one host, in a table that they all renew their entry in. */
#include <davit/uuid.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "database.h"

#define TEXT_MOST 512

struct names {
	struct davit_instance *instance;
	struct settings settings;
	pthread_mutex_t turn; /* whoever uses db; taken before no other lock */
	sqlite3 *db;

	pthread_t renewer;
	int renewing;
	pthread_mutex_t lock; /* guards stopping */
	pthread_cond_t changed;
	int stopping;
	char id[DAVIT_UUID_TEXT], address[TEXT_MOST], app_id[TEXT_MOST]; /* as announced */
};

static void renew(struct names *n)
{
	char why[256] = "";
	int rc;

	pthread_mutex_lock(&n->turn);
	rc = database_renew(n->db, &n->settings, n->id, n->address, why, sizeof(why));
	if (rc == 0) {
		snprintf(why, sizeof(why), "host registration lost, registering again");
		database_register(n->db, &n->settings, n->id, n->address, n->app_id, why, sizeof(why));
	}
	if (rc > 0 && n->settings.cleanup_ms > 0)
		rc = database_clean(n->db, &n->settings, why, sizeof(why)) < 0 ? -1 : 1;
	pthread_mutex_unlock(&n->turn);
	if (rc <= 0)
		davit_log(n->instance, DAVIT_LOG_ERROR, "%s", why);
}

static void *keep_renewing(void *arg)
{
	struct names *n = arg;
	int64_t ms = n->settings.update_ms - n->settings.timeout_ms;
	struct timespec until;

	pthread_mutex_lock(&n->lock);
	while (!n->stopping) {
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += ms / 1000;
		until.tv_nsec += ms % 1000 * 1000000;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		while (!n->stopping && pthread_cond_timedwait(&n->changed, &n->lock, &until) == 0)
			;
		if (n->stopping)
			break;
		pthread_mutex_unlock(&n->lock);
		renew(n);
		pthread_mutex_lock(&n->lock);
	}
	pthread_mutex_unlock(&n->lock);
	return NULL;
}

struct finding {
	struct davit_call *call;
	davit_status status;
};

static void emit_one(void *finding, const char *address)
{
	struct davit_name_address record = DAVIT_INIT(davit_name_address,
						      .address = davit_str(address != NULL ? address : ""));
	struct finding *f = finding;

	if (f->status == DAVIT_OK)
		f->status = davit_emit(f->call, &record);
}

static davit_status resolve(void *self, struct davit_call *call, const struct davit_name_query *in)
{
	struct finding f = { call, DAVIT_OK };
	struct names *n = self;
	char why[256];
	int rc;

	pthread_mutex_lock(&n->turn);
	rc = database_find(n->db, &n->settings, in->app_id, emit_one, &f, why, sizeof(why));
	pthread_mutex_unlock(&n->turn);
	if (rc < 0)
		return davit_fail(call, DAVIT_UNAVAILABLE, NULL, "%s", why);
	if (rc == 0)
		return davit_fail(call, DAVIT_NOT_FOUND, NULL, "no host found with the given ID");
	return f.status;
}

static int start_renewing(struct names *n)
{
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&n->renewer, NULL, keep_renewing, n);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc;
}

static davit_status announce(void *self, struct davit_call *call, const struct davit_name_entry *in)
{
	struct names *n = self;
	struct davit_uuid id;
	char why[256];
	int rc;

	if (davit_uuid4(&id) < 0)
		return davit_fail(call, DAVIT_INTERNAL, NULL, "failed to generate registration ID");
	davit_uuid_text(&id, n->id);
	snprintf(n->address, sizeof(n->address), memchr(in->host.p, ':', in->host.n) ? "[%.*s]:%u" : "%.*s:%u",
		 (int)in->host.n, in->host.p, in->port);
	snprintf(n->app_id, sizeof(n->app_id), "%.*s", (int)in->app_id.n, in->app_id.p);
	pthread_mutex_lock(&n->turn);
	rc = database_register(n->db, &n->settings, n->id, n->address, n->app_id, why, sizeof(why));
	pthread_mutex_unlock(&n->turn);
	if (rc < 0)
		return davit_fail(call, DAVIT_UNAVAILABLE, NULL, "%s", why);
	if (start_renewing(n) != 0)
		return davit_fail(call, DAVIT_EXHAUSTED, NULL, "no thread left");
	n->renewing = 1;
	return DAVIT_OK;
}

static void release(struct names *n)
{
	sqlite3_close(n->db);
	pthread_cond_destroy(&n->changed);
	pthread_mutex_destroy(&n->lock);
	pthread_mutex_destroy(&n->turn);
	free(n);
}

static davit_status names_open(void *none, struct davit_call *call, const struct davit_open *in)
{
	struct names *n = calloc(1, sizeof(*n));
	pthread_condattr_t steady;
	davit_status status;
	char why[512] = "";

	(void)none;
	if (n == NULL)
		return davit_fail(call, DAVIT_EXHAUSTED, NULL, "no memory left");
	n->instance = in->instance;
	pthread_mutex_init(&n->turn, NULL);
	pthread_mutex_init(&n->lock, NULL);
	pthread_condattr_init(&steady);
	pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
	pthread_cond_init(&n->changed, &steady);
	pthread_condattr_destroy(&steady);
	if (settings_read(in, &n->settings, why, sizeof(why)) < 0)
		status = davit_fail(call, DAVIT_INVALID_ARGUMENT, NULL, "%s", why);
	else if (database_open(&n->settings, &n->db, why, sizeof(why)) < 0)
		status = davit_fail(call, DAVIT_UNAVAILABLE, NULL, "%s", why);
	else
		status = davit_emit_self(call, n);
	if (status != DAVIT_OK)
		release(n);
	else if (n->settings.memory)
		davit_log(in->instance, DAVIT_LOG_WARN,
			  "Configuring name resolution with an in-memory SQLite database. Service "
			  "invocation across different apps will not work.");
	return status;
}

static davit_status names_close(void *self, struct davit_call *call, const void *none)
{
	struct names *n = self;
	char why[256];

	(void)call;
	(void)none;
	if (n->renewing) {
		pthread_mutex_lock(&n->lock);
		n->stopping = 1;
		pthread_cond_broadcast(&n->changed);
		pthread_mutex_unlock(&n->lock);
		pthread_join(n->renewer, NULL);
		if (database_leave(n->db, &n->settings, n->id, n->address, why, sizeof(why)) < 0)
			davit_log(n->instance, DAVIT_LOG_WARN, "%s", why);
	}
	release(n);
	return DAVIT_OK;
}

static const struct davit_names_ops names_ops = DAVIT_INIT(davit_names_ops, .resolve = resolve, .announce = announce);

static const struct davit_component names = DAVIT_NAMES("nameresolution.sqlite", "v1", &names_ops, .workers = 2,
							.open = names_open, .close = names_close);

DAVIT_PLUGIN(PLUGIN_NAME, PLUGIN_VERSION, "Davit", &names);
