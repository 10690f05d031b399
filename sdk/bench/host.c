/* SPDX-License-Identifier: Apache-2.0 */
#include "host.h"

#include <davit/names.h>
#include <davit/pubsub.h>
#include <davit/secrets.h>
#include <davit/state.h>
#include <stdlib.h>
#include <time.h>

#include "end.h"
#include "operation.h"
#include "report.h"

#define DEFAULT_WORKERS 4
#define FACES 4096     /* calls that are remembered */
#define RECORDS 100000 /* of one call */
#define OVER \
	"it %s for a call that is over: whoever has called davit_done(), or returned a status, touches the call no " \
	"more"
#define TWICE "it is completed twice: either return a status, or return DAVIT_PENDING and call davit_done() once"

static struct davit_host table;

struct kept {
	struct kept *next;
	void (*release)(void *arg);
	void *arg;
};

int64_t host_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* A free one of many, so that one that is over stays so for a while. */
static struct face *face_of(struct call *c)
{
	static struct face faces[FACES];
	static uint32_t last;
	struct face *f;
	struct call *none;

	do {
		f = &faces[__atomic_fetch_add(&last, 1, __ATOMIC_RELAXED) % FACES];
		none = NULL;
	} while (!__atomic_compare_exchange_n(&f->of, &none, c, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
	f->call.host = &table;
	f->name = NULL;
	return f;
}

static struct call *of(struct davit_call *call, const char *what)
{
	struct face *f = (struct face *)call;
	struct call *c = __atomic_load_n(&f->of, __ATOMIC_SEQ_CST);

	if (c == NULL)
		end_here(f->name, OVER, what);
	return c;
}

/* The same, where the call must not even be done. */
static struct call *unfinished(struct davit_call *call, const char *what)
{
	struct call *c = of(call, what);

	if (__atomic_load_n(&c->done, __ATOMIC_SEQ_CST))
		end_here(c->name, OVER, what);
	return c;
}

static void keep(struct call *c, void (*release)(void *arg), void *arg)
{
	struct kept *k = malloc(sizeof(*k));

	if (k == NULL)
		abort();
	k->release = release;
	k->arg = arg;
	k->next = c->kept;
	c->kept = k;
}

static void *keep_copy(struct call *c, const void *p, size_t n)
{
	char *copy = malloc(n + 1);

	if (copy == NULL)
		abort();
	if (n > 0)
		memcpy(copy, p, n);
	copy[n] = '\0';
	keep(c, free, copy);
	return copy;
}

const char *call_join(struct call *c, const char *a, const char *b)
{
	size_t n = strlen(a);
	char *text = malloc(n + strlen(b) + 1);

	if (text == NULL)
		abort();
	memcpy(text, a, n);
	memcpy(text + n, b, strlen(b) + 1);
	keep(c, free, text);
	return text;
}

static struct davit_str copy_str(struct call *c, struct davit_str s)
{
	if (s.p != NULL)
		s.p = keep_copy(c, s.p, s.n);
	return s;
}

/* A kind that this host does not know is the plugin's mistake. */
static void flatten(struct call *c, const void *from, struct record *r)
{
	const struct davit_state_item *item = from;
	const struct davit_state_page *page = from;
	const struct davit_secret_item *secret = from;
	const struct davit_publish_result *result = from;
	const struct davit_name_address *found = from;
	const struct davit_opened *opened = from;

	memset(r, 0, sizeof(*r));
	r->kind = item->kind;
	switch (r->kind) {
	case davit_opened_kind:
		c->opened = opened->self;
		c->opened_features = DAVIT_HAS(davit_opened, opened, features) ? opened->features : 0;
		break;
	case davit_state_item_kind:
		r->status = item->status;
		r->key = item->key;
		if (c->host->key_prefix != NULL &&
		    strncmp(r->key.p, c->host->key_prefix, strlen(c->host->key_prefix)) == 0) {
			r->key.p += strlen(c->host->key_prefix);
			r->key.n -= strlen(c->host->key_prefix);
		}
		r->value = item->value;
		r->etag = item->etag;
		r->expires_ms = item->expires_ms;
		break;
	case davit_state_page_kind:
		r->token = page->token;
		r->count = page->count;
		break;
	case davit_secret_item_kind:
		r->name = secret->name;
		r->key = secret->key;
		r->value = (struct davit_bytes){ secret->value.p, secret->value.n };
		break;
	case davit_publish_result_kind:
		r->status = result->status;
		r->name = result->entry_id;
		r->value = (struct davit_bytes){ result->error.p, result->error.n };
		break;
	case davit_name_address_kind: r->name = found->address; break;
	default: end_here(c->name, "it emits a record of the unknown kind %u: begin each with DAVIT_INIT", r->kind);
	}
}

static void append(struct call *c, const struct record *r)
{
	if (c->nrecords == RECORDS)
		end_here(c->name,
			 "it emits without end: %d records of one call, which the kernel keeps in memory until it "
			 "is over",
			 RECORDS);
	if (c->nrecords == c->room) {
		c->room = c->room ? c->room * 2 : 8;
		c->records = reallocarray(c->records, c->room, sizeof(*c->records));
		if (c->records == NULL)
			abort();
	}
	c->records[c->nrecords++] = *r;
}

/* What is to become of the next thing that the component asks for. */
static davit_status mischief(struct call *c)
{
	struct host *h = c->host;
	int64_t left = __atomic_load_n(&h->refuse_at, __ATOMIC_SEQ_CST);

	if (left > 1) /* the last one stays: all after it are refused as well */
		__atomic_fetch_sub(&h->refuse_at, 1, __ATOMIC_SEQ_CST);
	if (left != 1)
		return DAVIT_OK;
	__atomic_fetch_add(&h->refused, 1, __ATOMIC_SEQ_CST);
	return DAVIT_EXHAUSTED;
}

static davit_status refusal(struct call *c)
{
	if (c->host->nobody_waits || __atomic_load_n(&c->cancelled, __ATOMIC_SEQ_CST))
		return DAVIT_CANCELLED;
	if (mischief(c) == DAVIT_OK)
		return DAVIT_OK;
	__atomic_fetch_add(&c->host->refused_records, 1, __ATOMIC_SEQ_CST);
	return DAVIT_EXHAUSTED;
}

static davit_status on_emit(struct davit_call *call, const void *record)
{
	struct call *c = unfinished(call, "emits a record");
	davit_status refused = refusal(c);
	struct record r;

	if (refused != DAVIT_OK)
		return refused;
	flatten(c, record, &r);
	r.name = copy_str(c, r.name);
	r.key = copy_str(c, r.key);
	r.etag = copy_str(c, r.etag);
	r.token = copy_str(c, r.token);
	if (r.value.p != NULL)
		r.value.p = keep_copy(c, r.value.p, r.value.n);
	append(c, &r);
	return DAVIT_OK;
}

static davit_status on_emit_owned(struct davit_call *call, const void *record, void (*release)(void *arg), void *arg)
{
	struct call *c = unfinished(call, "emits a record");
	davit_status refused = refusal(c);
	struct record r;

	if (refused != DAVIT_OK) {
		release(arg);
		return refused;
	}
	flatten(c, record, &r);
	keep(c, release, arg);
	append(c, &r);
	return DAVIT_OK;
}

/* Until the function for the cancel has come back, unless it is that which calls. The lock is held. */
static void wait_for_calling(struct call *c)
{
	while (c->calling && !pthread_equal(pthread_self(), c->caller))
		pthread_cond_wait(&c->wake, &c->lock);
}

static void on_done(struct davit_call *call, davit_status status)
{
	struct call *c = of(call, "calls davit_done()");

	pthread_mutex_lock(&c->lock);
	wait_for_calling(c);
	if (c->done)
		end_here(c->name, TWICE);
	if (status == DAVIT_PENDING)
		end_here(c->name, "davit_done() is told DAVIT_PENDING, which only an operation returns");
	if (!c->host->unwatched)
		end_unwatch(c);
	c->status = status;
	c->done = 1;
	pthread_cond_broadcast(&c->wake);
	pthread_mutex_unlock(&c->lock);
}

static void on_fail(struct davit_call *call, davit_status status, const char *reason, const char *text, size_t n)
{
	struct call *c = unfinished(call, "fails");

	(void)status;
	snprintf(c->reason, sizeof(c->reason), "%s", reason ? reason : "");
	snprintf(c->text, sizeof(c->text), "%.*s", (int)n, text);
}

static int64_t on_remaining_ms(const struct davit_call *call)
{
	const struct call *c = of((struct davit_call *)call, "asks for its time");
	int64_t left;

	if (c->deadline_ms == 0)
		return INT64_MAX;
	left = c->deadline_ms - host_now_ms();
	return left > 0 ? left : 0;
}

static int32_t on_cancelled(const struct davit_call *call)
{
	const struct call *c = of((struct davit_call *)call, "asks whether it is cancelled");

	return on_remaining_ms(call) == 0 || __atomic_load_n(&c->cancelled, __ATOMIC_SEQ_CST);
}

static int32_t on_on_cancel(struct davit_call *call, void (*fn)(void *arg), void *arg)
{
	struct call *c = of(call, "calls davit_on_cancel()");
	int at_once;

	pthread_mutex_lock(&c->lock);
	if (fn == NULL)
		wait_for_calling(c);
	at_once = c->cancelled && fn != NULL;
	c->on_cancel = at_once ? NULL : fn;
	c->on_cancel_arg = arg;
	pthread_mutex_unlock(&c->lock);
	if (at_once)
		fn(arg);
	return 0;
}

void call_cancel(struct call *c)
{
	void (*fn)(void *arg);
	void *arg;

	pthread_mutex_lock(&c->lock);
	__atomic_store_n(&c->cancelled, 1, __ATOMIC_SEQ_CST);
	fn = c->done ? NULL : c->on_cancel;
	arg = c->on_cancel_arg;
	c->on_cancel = NULL;
	c->calling = fn != NULL;
	c->caller = pthread_self();
	pthread_mutex_unlock(&c->lock);
	if (fn != NULL)
		fn(arg);
	turns_cancel(&c->host->turns, c->call);
	pthread_mutex_lock(&c->lock);
	c->calling = 0;
	pthread_cond_broadcast(&c->wake);
	pthread_mutex_unlock(&c->lock);
}

static void *on_alloc(struct davit_call *call, size_t n)
{
	struct call *c = unfinished(call, "asks for memory");
	void *p = mischief(c) == DAVIT_OK ? malloc(n ? n : 1) : NULL;

	if (p != NULL)
		keep(c, free, p);
	return p;
}

static void on_log(struct davit_instance *instance, int32_t level, const char *text, size_t n)
{
	struct host *h = (struct host *)instance;

	__atomic_fetch_add(&h->logged, 1, __ATOMIC_RELAXED);
	if (h->verbose)
		fprintf(stderr, "# log %d: %.*s\n", level, (int)n, text);
}

static void on_count(struct davit_instance *instance, const char *name, int64_t n)
{
	(void)instance;
	(void)name;
	(void)n;
}

static const void *on_service(struct davit_instance *instance, const char *name)
{
	return ((struct host *)instance)->no_services ? NULL : service_find(name);
}

static struct davit_host table = DAVIT_INIT(davit_host, .abi = DAVIT_ABI, .minor = DAVIT_SDK_MINOR, .done = on_done,
					    .emit = on_emit, .emit_owned = on_emit_owned, .fail = on_fail,
					    .remaining_ms = on_remaining_ms, .cancelled = on_cancelled,
					    .on_cancel = on_on_cancel, .alloc = on_alloc, .log = on_log,
					    .count = on_count, .service = on_service);

void host_table_size(uint32_t size)
{
	table.size = size ? size : sizeof(table);
}

void call_init(struct call *c, struct host *h)
{
	memset(c, 0, sizeof(*c));
	c->face = face_of(c);
	c->call = &c->face->call;
	c->host = h;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->wake, NULL);
}

void call_release(struct call *c)
{
	struct kept *k;

	__atomic_store_n(&c->face->of, NULL, __ATOMIC_SEQ_CST);
	while ((k = c->kept) != NULL) {
		c->kept = k->next;
		k->release(k->arg);
		free(k);
	}
	free(c->records);
	pthread_mutex_destroy(&c->lock);
	pthread_cond_destroy(&c->wake);
}

void call_execute(struct call *c, davit_op *op, const void *in)
{
	struct turns *turns = &c->host->turns;
	struct davit_call *call = c->call;
	const char *before = end_inside(c->name);
	davit_status status;

	turns_take(turns);
	status = op(c->host->self, call, in);
	turns_give(turns); /* the call may be over and gone */
	end_inside(before);
	if (status != DAVIT_PENDING)
		on_done(call, status);
}

void call_begin(struct call *c, davit_op *op, const void *in)
{
	c->name = c->face->name = operation_name(c->host->component, op);
	if (op == NULL)
		end_here(NULL, "the table of %s has no %s", c->host->component->type, c->name);
	if (!c->host->unwatched)
		end_watch(c);
	if (c->host->lane != NULL)
		lane_run(c->host->lane, c, op, in);
	else
		call_execute(c, op, in);
}

int call_end(struct call *c, int within_ms)
{
	struct timespec t;
	int over = 0;

	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_sec += within_ms / 1000;
	pthread_mutex_lock(&c->lock);
	while (!c->done && !over)
		over = within_ms > 0 ? pthread_cond_timedwait(&c->wake, &c->lock, &t) != 0
				     : pthread_cond_wait(&c->wake, &c->lock);
	over = !c->done;
	pthread_mutex_unlock(&c->lock);
	if (!over)
		report_call(c);
	return over ? -1 : 0;
}

davit_status call_run(struct call *c, davit_op *op, const void *in)
{
	call_begin(c, op, in);
	call_end(c, 0);
	return c->status;
}

int host_open(struct host *h, const struct davit_component *c, const struct davit_pair *props, size_t nprops,
	      struct call *ret_call)
{
	struct davit_open in = DAVIT_INIT(davit_open, .instance = &h->instance, .name = davit_str("bench"),
					  .type = davit_str(c->type), .version = davit_str(c->version),
					  .app_id = davit_str("bench"), .name_space = davit_str("default"),
					  .props = props, .nprops = nprops);

	h->instance.host = &table;
	h->component = c;
	h->lane = NULL;
	h->self = NULL;
	turns_init(&h->turns, (c->flags & DAVIT_LOOP) && (c->flags & DAVIT_PER_LOOP));
	if (!(c->flags & DAVIT_LOOP))
		h->lane = lane_start(c->flags & DAVIT_SERIAL ? 1 : c->workers ? (int)c->workers : DEFAULT_WORKERS);
	call_init(ret_call, h);
	if (call_run(ret_call, (davit_op *)c->open, &in) != DAVIT_OK) {
		lane_stop(h->lane);
		if (turns_left(&h->turns) > 0)
			fprintf(stderr, "fibers of the component have outlived its failed open\n");
		return -1;
	}
	h->self = ret_call->opened;
	h->features = ret_call->opened_features;
	return 0;
}

davit_status host_close(struct host *h)
{
	struct call c;
	davit_status status;

	call_init(&c, h);
	status = call_run(&c, h->component->close, NULL);
	call_release(&c);
	lane_stop(h->lane);
	if (turns_left(&h->turns) > 0) {
		fprintf(stderr, "fibers of the component have outlived its close\n");
		return DAVIT_INTERNAL;
	}
	return status;
}
