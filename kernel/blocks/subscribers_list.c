/* SPDX-License-Identifier: Apache-2.0 */
/* Which subscriptions there are: read from resources, asked of the application, shown to the metadata API. */
#include "base/banned.h"
#include "base/log.h"
#include "blocks/subscribers_inside.h"
#include "policy/run.h"

#define LOG_SCOPE "dapr.runtime.processor.subscription"

/* ---- Resources ---- */

/* Two of one name: the later takes the place of the earlier, at the end. */
static size_t drop_same_names(struct subscription *list, size_t n)
{
	size_t i, k, kept = 0;

	for (i = 0; i < n; i++) {
		for (k = i + 1; k < n && !str_eq(list[k].name, list[i].name); k++)
			;
		if (k == n)
			list[kept++] = list[i];
	}
	return kept;
}

int subscribers_read(struct subscribers *all, struct str *ret_message)
{
	struct subscription *list;
	struct declared *d;
	size_t i, n;

	log_write(LOG_INFO, "dapr.runtime", "Loading Declarative Subscriptions…");
	list = subscriptions_read(all->o.resources, all->arena, &n);
	for (i = 0; i < n; i++)
		log_write(LOG_INFO, "dapr.runtime", "Found Subscription: " STR_FMT, STR_ARG(list[i].name));
	n = drop_same_names(list, n);
	all->declared.p = arena_zalloc(all->arena, (n + 1) * sizeof(*all->declared.p));
	for (i = 0; i < n; i++) {
		d = &all->declared.p[all->declared.n++];
		d->about = &list[i];
		d->routing = routing_new(all->arena, &list[i], ret_message);
		if (d->routing == NULL)
			return -1;
	}
	return 0;
}

/* ---- The application ---- */

/* Tried again as Dapr's initialization is, which a resource may define anew. */
static struct error ask_until_it_answers(struct subscribers *all, struct arena *a, struct subscription **ret_list,
					 size_t *ret_n)
{
	struct policy retries = policies_built_in(all->blocks->o.policies, POLICY_INITIALIZATION_RETRIES);
	struct scope *scope = arena_zalloc(a, sizeof(*scope));
	enum policy_verdict v;
	struct policy_run run;
	struct error e, refusal;
	int again = 0;

	scope->arena = a;
	all->asking.scope = scope;
	policy_start(&run, &retries, scope);
	do {
		if (!policy_enter(&run, &refusal)) {
			e = refusal;
			break;
		}
		e = topic_list(all->app, a, run.until_ns, &all->asking, ret_list, ret_n, &again);
		v = !error_is(&e) ? POLICY_WELL : again && !all->closing ? POLICY_FAILED : POLICY_FAILED_FOR_GOOD;
	} while (policy_again(&run, v, POLICY_NO_CODE));
	all->asking.scope = NULL;
	return e;
}

/* One line a component, in Dapr's words. */
static void tell(const struct subscription *list, size_t n)
{
	size_t i, k;

	for (i = 0; i < n; i++) {
		struct buf b = buf_init();

		for (k = 0; k < i && !str_eq(list[k].pubsub, list[i].pubsub); k++)
			;
		if (k < i)
			continue;
		for (; k < n; k++)
			if (str_eq(list[k].pubsub, list[i].pubsub))
				buf_printf(&b, "%s" STR_FMT, b.n ? " " : "", STR_ARG(list[k].topic));
		log_info("app is subscribed to the following topics: [[" STR_FMT "]] through pubsub=" STR_FMT,
			 STR_ARG(buf_str(&b)), STR_ARG(list[i].pubsub));
		buf_free(&b);
	}
}

static void take(struct subscribers *all, struct arena *a, const struct subscription *list, size_t n)
{
	struct declared_list own = { arena_zalloc(a, (n + 1) * sizeof(*own.p)), 0 };
	struct str why;
	size_t i;

	for (i = 0; i < n; i++) {
		own.p[own.n].about = &list[i];
		own.p[own.n].routing = routing_new(a, &list[i], &why);
		if (own.p[own.n].routing != NULL)
			own.n++;
		else
			log_error("failed to subscribe to topic " STR_FMT ": " STR_FMT, STR_ARG(list[i].topic),
				  STR_ARG(why));
	}
	tell(list, n);
	pthread_mutex_lock(&all->lock);
	all->own = own;
	pthread_mutex_unlock(&all->lock);
}

static void ask(struct subscribers *all, struct arena *a)
{
	struct subscription *list = NULL;
	size_t n = 0;
	struct error e = ask_until_it_answers(all, a, &list, &n);

	if (error_is(&e) && !all->closing)
		log_write(LOG_WARN, "dapr.runtime", "failed to subscribe to topics: " STR_FMT, STR_ARG(e.message));
	else if (!error_is(&e))
		take(all, a, list, n);
}

void subscribers_ask(struct subscribers *all)
{
	jmp_buf oom;

	if (all->asked || all->app == NULL || all->blocks->pubsub.n == 0)
		return;
	all->asked = 1;
	if (all->o.skip_list) {
		log_warn("Skipping programmatic subscription loading (see 'disable-init-endpoints' flag/annotation)");
		return;
	}
	all->own_arena = arena_new();
	if (all->own_arena == NULL || setjmp(oom) != 0) {
		log_error("failed to subscribe to topics: out of memory");
		return;
	}
	arena_on_oom(all->own_arena, &oom);
	ask(all, all->own_arena);
	arena_on_oom(all->own_arena, NULL);
}

/* ---- All of them ---- */

static ptrdiff_t same_topic(const struct subscriber_shown *list, size_t n, const struct subscription *s)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (str_eq(list[i].about->topic, s->topic) && str_eq(list[i].about->pubsub, s->pubsub))
			return (ptrdiff_t)i;
	return -1;
}

/* list has room for all. */
static size_t merge(const struct declared_list *declared, const struct declared_list *own,
		    struct subscriber_shown *list, const struct declared **from)
{
	size_t i, n = 0;
	ptrdiff_t at;

	for (i = 0; i < declared->n; i++) {
		if (same_topic(list, n, declared->p[i].about) >= 0)
			continue;
		from[n] = &declared->p[i];
		list[n++] = (struct subscriber_shown){ SUBSCRIBER_DECLARATIVE, declared->p[i].about };
	}
	for (i = 0; i < own->n; i++) {
		at = same_topic(list, n, own->p[i].about);
		if (at < 0)
			at = (ptrdiff_t)n++;
		from[at] = &own->p[i];
		list[at] = (struct subscriber_shown){ SUBSCRIBER_PROGRAMMATIC, own->p[i].about };
	}
	return n;
}

static struct declared_list own_list(struct subscribers *all)
{
	struct declared_list own;

	pthread_mutex_lock(&all->lock);
	own = all->own;
	pthread_mutex_unlock(&all->lock);
	return own;
}

struct declared_list subscribers_wanted(struct subscribers *all, struct arena *a)
{
	struct declared_list own = own_list(all), wanted;
	size_t i, room = all->declared.n + own.n + 1;
	struct subscriber_shown *list = arena_alloc(a, room * sizeof(*list));
	const struct declared **from = arena_alloc(a, room * sizeof(*from));

	wanted.n = merge(&all->declared, &own, list, from);
	wanted.p = arena_alloc(a, room * sizeof(*wanted.p));
	for (i = 0; i < wanted.n; i++)
		wanted.p[i] = *from[i];
	return wanted;
}

static struct str try_copy(struct arena *a, struct str s)
{
	char *p = arena_try(a, s.n + 1);

	if (p == NULL)
		return STR("");
	if (s.n > 0)
		memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	return (struct str){ p, s.n };
}

/* Under the lock. NULL: no memory. A stream may be gone when the copy is looked at. */
static struct subscription *copy_stream(struct arena *a, const struct subscriber_stream *s)
{
	struct subscription *c = arena_try(a, sizeof(*c));
	struct error_pair *pairs = arena_try(a, (s->about.metadata.n + 1) * sizeof(*pairs));
	size_t i;

	if (c == NULL || pairs == NULL)
		return NULL;
	*c = s->about;
	c->pubsub = try_copy(a, c->pubsub);
	c->topic = try_copy(a, c->topic);
	c->dead_letter_topic = try_copy(a, c->dead_letter_topic);
	for (i = 0; i < c->metadata.n; i++)
		pairs[i] = (struct error_pair){ try_copy(a, c->metadata.p[i].key),
						try_copy(a, c->metadata.p[i].value) };
	c->metadata.p = pairs;
	return c;
}

/* A room that was large enough a moment ago may not be now: then the newest are left out. */
static size_t add_streams(struct subscribers *all, struct arena *a, struct subscriber_shown *list, size_t n,
			  size_t room)
{
	const struct subscriber_stream *s;
	const struct subscription *c;

	pthread_mutex_lock(&all->lock);
	for (s = all->streams; s != NULL && n < room; s = s->next)
		if (s->shown && (c = copy_stream(a, s)) != NULL)
			list[n++] = (struct subscriber_shown){ SUBSCRIBER_STREAMING, c };
	pthread_mutex_unlock(&all->lock);
	return n;
}

const struct subscriber_shown *subscribers_list(struct subscribers *all, struct arena *a, size_t *ret_n)
{
	struct subscriber_shown *list;
	const struct declared **from;
	struct declared_list own;
	size_t room;

	*ret_n = 0;
	if (all == NULL)
		return NULL;
	own = own_list(all);
	pthread_mutex_lock(&all->lock);
	room = all->declared.n + own.n + all->nstreams + 1;
	pthread_mutex_unlock(&all->lock);
	list = arena_alloc(a, room * sizeof(*list));
	from = arena_alloc(a, room * sizeof(*from));
	*ret_n = add_streams(all, a, list, merge(&all->declared, &own, list, from), room);
	return list;
}
