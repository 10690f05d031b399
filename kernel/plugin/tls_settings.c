/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the system's trust anchors costs 10 ms and a megabyte, so contexts are shared where settings are the same. Who
 * makes one holds the lock meanwhile: others who want it wait on their threads, and find it.
 */
#include "plugin/tls_settings.h"

#include <pthread.h>

#include "base/banned.h"
#include "base/clock.h"
#include "base/mem.h"

#define KEPT 32 /* shared contexts; another takes the place of the one made first */
#define FILE_AGE (INT64_C(60) * 1000000000)
#define SYSTEM_AGE (INT64_C(3600) * 1000000000)

struct kept {
	struct davit_tls *settings; /* NULL: free */
	struct tls_context *context;
	int64_t made_ns;
};

static struct kept kept[KEPT];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static const struct davit_tls defaults = DAVIT_INIT(davit_tls, .flags = 0);

#define TEXTS 7

/* All texts of the settings, to treat them alike. Zero, where a plugin's struct is too old to have one. */
static void texts_of(const struct davit_tls *t, struct davit_str ret[TEXTS])
{
	struct davit_tls all = { .size = 0 };

	memcpy(&all, t, t->size < sizeof(all) ? t->size : sizeof(all));
	ret[0] = all.server_name;
	ret[1] = all.ca_pem;
	ret[2] = all.ca_file;
	ret[3] = all.cert_pem;
	ret[4] = all.key_pem;
	ret[5] = all.key_password;
	ret[6] = all.alpn;
}

static int same_text(struct davit_str a, struct davit_str b)
{
	if (a.p == NULL || b.p == NULL)
		return a.p == b.p;
	return a.n == b.n && memcmp(a.p, b.p, a.n) == 0;
}

int tls_settings_equal(const struct davit_tls *a, const struct davit_tls *b)
{
	struct davit_str ta[TEXTS], tb[TEXTS];
	int i, same;

	a = a ? a : &defaults;
	b = b ? b : &defaults;
	same = a->flags == b->flags;
	texts_of(a, ta);
	texts_of(b, tb);
	for (i = 0; i < TEXTS && same; i++)
		same = same_text(ta[i], tb[i]);
	return same;
}

struct davit_tls *tls_settings_copy(const struct davit_tls *t)
{
	struct davit_str texts[TEXTS];
	struct davit_tls *c;
	size_t n = sizeof(*c);
	char *at;
	int i;

	t = t ? t : &defaults;
	texts_of(t, texts);
	for (i = 0; i < TEXTS; i++)
		n += texts[i].p ? texts[i].n + 1 : 0;
	c = mem_zalloc(n);
	if (c == NULL)
		return NULL;
	at = (char *)(c + 1);
	for (i = 0; i < TEXTS; i++) {
		if (texts[i].p == NULL)
			continue;
		memcpy(at, texts[i].p, texts[i].n);
		texts[i].p = at;
		at += texts[i].n + 1;
	}
	*c = (struct davit_tls)DAVIT_INIT(davit_tls, .flags = t->flags, .server_name = texts[0], .ca_pem = texts[1],
					  .ca_file = texts[2], .cert_pem = texts[3], .key_pem = texts[4],
					  .key_password = texts[5], .alpn = texts[6]);
	return c;
}

int tls_settings_old(const struct davit_tls *t, int64_t made_ns)
{
	int64_t age = clock_ns() - made_ns;

	return age > (t != NULL && t->ca_file.n > 0 ? FILE_AGE : SYSTEM_AGE);
}

/* A context is made on one of libuv's threads. */
struct making {
	uv_work_t req;
	const struct davit_tls *tls;
	struct str alpn;
	int shared;
	struct fiber *fiber;
	struct tls_context *context;
	char *why;
	size_t nwhy;
	int done;
};

static struct str as_str(struct davit_str s)
{
	return (struct str){ s.p, s.p ? s.n : 0 };
}

static struct tls_context *make(struct making *m)
{
	struct davit_str t[TEXTS];
	struct tls_options o = {
		.insecure = (m->tls->flags & DAVIT_TLS_INSECURE) != 0,
		.only_own = (m->tls->flags & DAVIT_TLS_ONLY_OWN) != 0,
		.any_name = (m->tls->flags & DAVIT_TLS_ANY_NAME) != 0,
	};

	texts_of(m->tls, t);
	o.ca_pem = as_str(t[1]);
	o.ca_file = as_str(t[2]);
	o.cert_pem = as_str(t[3]);
	o.key_pem = as_str(t[4]);
	o.key_password = as_str(t[5]);
	o.alpn = m->alpn.p ? m->alpn : as_str(t[6]);
	return tls_context_new(&o, m->why, m->nwhy);
}

static void let_go(struct kept *k)
{
	tls_context_unref(k->context);
	mem_free(k->settings);
	*k = (struct kept){ .settings = NULL };
}

/* Under the lock: the settings with the ALPN they are used with. */
static struct tls_context *find(const struct davit_tls *key)
{
	int i;

	for (i = 0; i < KEPT; i++) {
		if (kept[i].settings == NULL || !tls_settings_equal(kept[i].settings, key))
			continue;
		if (!tls_settings_old(kept[i].settings, kept[i].made_ns))
			return tls_context_ref(kept[i].context);
		let_go(&kept[i]);
	}
	return NULL;
}

static void keep(const struct davit_tls *key, struct tls_context *c)
{
	struct kept *at = &kept[0];
	int i;

	for (i = 0; i < KEPT && at->settings != NULL; i++)
		if (kept[i].settings == NULL || kept[i].made_ns < at->made_ns)
			at = &kept[i];
	let_go(at);
	at->settings = tls_settings_copy(key);
	if (at->settings == NULL)
		return;
	at->context = tls_context_ref(c);
	at->made_ns = clock_ns();
}

static void make_shared(struct making *m)
{
	struct davit_tls key = { .size = 0 };

	memcpy(&key, m->tls, m->tls->size < sizeof(key) ? m->tls->size : sizeof(key));
	key.size = sizeof(key);
	key.server_name = davit_str(NULL); /* of a session, not of a context */
	if (m->alpn.p != NULL)
		key.alpn = (struct davit_str){ m->alpn.p, m->alpn.n };
	pthread_mutex_lock(&lock);
	m->context = find(&key);
	if (m->context == NULL && (m->context = make(m)) != NULL)
		keep(&key, m->context);
	pthread_mutex_unlock(&lock);
}

static void make_on_thread(uv_work_t *r)
{
	struct making *m = r->data;

	if (m->shared)
		make_shared(m);
	else
		m->context = make(m);
	tls_thread_done();
}

static void made(uv_work_t *r, int status)
{
	struct making *m = r->data;

	(void)status;
	m->done = 1;
	fiber_wake(m->fiber);
}

davit_status tls_settings_context(struct service_work *w, const struct davit_tls *t, struct str alpn, int shared,
				  struct tls_context **ret_context, char *why, size_t nwhy)
{
	struct making m = { .tls = t ? t : &defaults,
			    .alpn = alpn,
			    .shared = shared,
			    .fiber = fiber_self(),
			    .why = why,
			    .nwhy = nwhy };

	m.req.data = &m;
	if (uv_queue_work(loop_uv(w->loop), &m.req, make_on_thread, made) < 0) {
		service_say(why, nwhy, "out of memory");
		return DAVIT_EXHAUSTED;
	}
	while (!m.done)
		fiber_park();
	if (m.context == NULL)
		return DAVIT_INVALID_ARGUMENT;
	*ret_context = m.context;
	return DAVIT_OK;
}
