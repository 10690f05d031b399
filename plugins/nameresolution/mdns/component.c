/* SPDX-License-Identifier: Apache-2.0 */
/* nameresolution.mdns: multicast DNS, so that sidecars of one segment need no registry. Works with Dapr's. */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "resolver.h"

#define WAIT_MS 2000 /* for an application that was never heard of, as in Dapr */
#define WORKERS 16   /* who waits occupies one */

static void service_name(char ret[NAME_MOST], struct davit_str id)
{
	size_t i;

	snprintf(ret, NAME_MOST, "%.*s.local", (int)id.n, id.p);
	for (i = 0; ret[i] != '\0'; i++)
		ret[i] = (char)tolower((unsigned char)ret[i]);
}

static struct app *app_of(struct resolver *r, struct davit_str id)
{
	struct app *a;

	for (a = r->apps; a != NULL; a = a->next)
		if (davit_str_is(id, a->id))
			return a;
	if (r->napps == APPS_MOST || (a = calloc(1, sizeof(*a))) == NULL)
		return NULL;
	snprintf(a->id, sizeof(a->id), "%.*s", (int)id.n, id.p);
	service_name(a->service, id);
	a->next = r->apps;
	r->apps = a;
	r->napps++;
	return a;
}

/* The next one in turn; IPv6 only where there is no other. */
static const struct address *choose(struct app *a, int64_t now)
{
	const struct address *list[ADDRESSES_MOST];
	size_t i, n = 0;
	int v6;

	for (i = 0; i < a->naddresses;)
		if (a->addresses[i].until_ms <= now)
			a->addresses[i] = a->addresses[--a->naddresses];
		else
			i++;
	for (v6 = 0; v6 < 2 && n == 0; v6++)
		for (i = 0; i < a->naddresses; i++)
			if (a->addresses[i].v6 == v6)
				list[n++] = &a->addresses[i];
	return n > 0 ? list[a->turn++ % n] : NULL;
}

static void wait_for(struct resolver *r, struct app *a, struct davit_call *call)
{
	int64_t until = resolver_now_ms() + WAIT_MS, now, left = davit_remaining_ms(call);
	struct timespec t;

	if (left < WAIT_MS)
		until += left - WAIT_MS;
	if (a->waiting++ == 0) {
		a->ask_at_ms = 0;
		a->pause_ms = 200;
		resolver_wake(r);
	}
	while (!r->stopping && !davit_cancelled(call) && a->naddresses == 0 && (now = resolver_now_ms()) < until) {
		left = until - now < 100 ? until - now : 100; /* so that it is noticed when nobody waits any more */
		clock_gettime(CLOCK_MONOTONIC, &t);
		t.tv_nsec += left * 1000000;
		t.tv_sec += t.tv_nsec / 1000000000;
		t.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&r->found, &r->lock, &t);
	}
	a->waiting--;
}

static davit_status resolve(void *self, struct davit_call *call, const struct davit_name_query *in)
{
	struct davit_name_address record = DAVIT_INIT(davit_name_address);
	const struct address *found = NULL;
	char text[ADDRESS_TEXT] = "";
	struct resolver *r = self;
	struct app *a = NULL;
	int64_t now;

	if (in->app_id.n == 0 || in->app_id.n > 200)
		return davit_fail(call, DAVIT_INVALID_ARGUMENT, NULL, "an app id has 1 to 200 bytes");
	pthread_mutex_lock(&r->lock);
	now = resolver_now_ms();
	a = app_of(r, in->app_id);
	if (a != NULL) {
		a->used_ms = now;
		found = choose(a, now);
		if (found == NULL) {
			wait_for(r, a, call);
			found = choose(a, resolver_now_ms());
		}
		if (found != NULL)
			memcpy(text, found->text, sizeof(text));
	}
	pthread_mutex_unlock(&r->lock);
	if (a == NULL)
		return davit_fail(call, DAVIT_EXHAUSTED, NULL, "no memory, or too many app ids were asked for");
	if (text[0] == '\0')
		return davit_fail(call, DAVIT_NOT_FOUND, NULL, "couldn't find service: %.*s", (int)in->app_id.n,
				  in->app_id.p);
	record.address = davit_str(text);
	return davit_emit(call, &record);
}

static davit_status announce(void *self, struct davit_call *call, const struct davit_name_entry *in)
{
	struct resolver *r = self;
	char machine[128] = "localhost";

	if (in->app_id.n == 0 || in->app_id.n > 200)
		return davit_fail(call, DAVIT_INVALID_ARGUMENT, NULL, "an app id has 1 to 200 bytes");
	gethostname(machine, sizeof(machine) - 1);
	pthread_mutex_lock(&r->lock);
	r->family = inet_pton(AF_INET, in->host.p, r->address) == 1    ? AF_INET
		    : inet_pton(AF_INET6, in->host.p, r->address) == 1 ? AF_INET6
								       : 0;
	if (r->family == 0 && davit_str_is(in->host, "localhost")) {
		inet_pton(AF_INET, "127.0.0.1", r->address);
		r->family = AF_INET;
	}
	service_name(r->service, in->app_id);
	snprintf(r->entry, sizeof(r->entry), "%.40s:%d.%.*s.local", machine, (int)getpid(), (int)in->app_id.n,
		 in->app_id.p);
	snprintf(r->host, sizeof(r->host), "%s.local", machine);
	r->port = (uint16_t)in->port;
	snprintf(r->id, sizeof(r->id), "%.*s", (int)in->app_id.n, in->app_id.p);
	r->announcements = 2;
	r->announce_at_ms = 0;
	pthread_mutex_unlock(&r->lock);
	resolver_wake(r);
	davit_log(r->instance, DAVIT_LOG_INFO, "local service entry announced: %s -> %.*s:%u", r->id, (int)in->host.n,
		  in->host.p, in->port);
	return DAVIT_OK;
}

static void release(struct resolver *r)
{
	struct app *a;

	while ((a = r->apps) != NULL) {
		r->apps = a->next;
		free(a);
	}
	if (r->v4 >= 0)
		close(r->v4);
	if (r->v6 >= 0)
		close(r->v6);
	if (r->wake[0] >= 0) {
		close(r->wake[0]);
		close(r->wake[1]);
	}
	pthread_cond_destroy(&r->found);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static int start(struct resolver *r)
{
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&r->thread, NULL, resolver_run, r);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc;
}

static davit_status names_open(void *none, struct davit_call *call, const struct davit_open *in)
{
	struct resolver *r = calloc(1, sizeof(*r));
	pthread_condattr_t steady;
	davit_status status;
	char why[256];
	int rc;

	(void)none;
	if (r == NULL)
		return davit_fail(call, DAVIT_EXHAUSTED, NULL, "no memory left");
	r->instance = in->instance;
	r->v4 = r->v6 = r->wake[0] = -1;
	pthread_mutex_init(&r->lock, NULL);
	pthread_condattr_init(&steady);
	pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
	pthread_cond_init(&r->found, &steady);
	pthread_condattr_destroy(&steady);
	if (pipe2(r->wake, O_CLOEXEC | O_NONBLOCK) < 0) {
		r->wake[0] = -1;
		status = davit_fail(call, DAVIT_EXHAUSTED, NULL, "no descriptors left: %s", strerror(errno));
	} else if (resolver_sockets(r, why, sizeof(why)) < 0) {
		status = davit_fail(call, DAVIT_UNAVAILABLE, NULL, "%s", why);
	} else if ((rc = start(r)) != 0) {
		status = davit_fail(call, DAVIT_EXHAUSTED, NULL, "no thread: %s", strerror(rc));
	} else {
		status = davit_emit_self(call, r);
		if (status == DAVIT_OK)
			return status;
		r->stopping = 1;
		resolver_wake(r);
		pthread_join(r->thread, NULL);
	}
	release(r);
	return status;
}

static davit_status names_close(void *self, struct davit_call *call, const void *none)
{
	struct resolver *r = self;

	(void)call;
	(void)none;
	pthread_mutex_lock(&r->lock);
	r->stopping = 1;
	pthread_cond_broadcast(&r->found);
	pthread_mutex_unlock(&r->lock);
	resolver_wake(r);
	pthread_join(r->thread, NULL);
	release(r);
	return DAVIT_OK;
}

static const struct davit_names_ops names_ops = DAVIT_INIT(davit_names_ops, .resolve = resolve, .announce = announce);

static const struct davit_component names = DAVIT_NAMES("nameresolution.mdns", "v1", &names_ops, .workers = WORKERS,
							.open = names_open, .close = names_close);

DAVIT_PLUGIN(PLUGIN_NAME, PLUGIN_VERSION, "Davit", &names);
