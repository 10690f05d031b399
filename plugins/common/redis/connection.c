/* SPDX-License-Identifier: Apache-2.0 */
#include "connection.h"

#include <stdlib.h>
#include <time.h>

#define BATCH 128 /* commands in one write */

enum state { DOWN, MAKING, UP };

struct queue {
	struct redis_request *first, **end;
	size_t n, bytes;
};

struct redis_connection {
	struct redis_connection_options o;
	const struct davit_fiber_service *fiber;
	struct redis_link link;
	enum state state;
	struct queue waiting, sent;
	struct davit_fiber *keeper, *writer, *closer; /* NULL: there is none */
	int idle;				      /* the writer waits for something to write */
	int fibers;				      /* reader and writer that live */
	int lost, retiring, closing;
	davit_status status; /* why it was lost */
	char why[REDIS_WHY];
	int64_t made_ms, used_ms;
	int64_t look_ms; /* when the keeper looks next; 0: when it is woken */
};

int64_t redis_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void queue_add(struct queue *q, struct redis_request *r)
{
	r->next = NULL;
	*q->end = r;
	q->end = &r->next;
	q->n++;
	q->bytes += r->n;
}

static struct redis_request *queue_take(struct queue *q)
{
	struct redis_request *r = q->first;

	if (r == NULL)
		return NULL;
	q->first = r->next;
	if (q->first == NULL)
		q->end = &q->first;
	q->n--;
	q->bytes -= r->n;
	return r;
}

struct redis_request *redis_request_new(int argc, const char **argv, const size_t *lengths)
{
	struct redis_request *r = calloc(1, sizeof(*r));
	int n;

	if (r == NULL)
		return NULL;
	n = redisFormatCommandArgv(&r->text, argc, argv, lengths);
	if (n < 0) {
		free(r);
		return NULL;
	}
	r->n = (size_t)n;
	r->references = 1;
	return r;
}

struct redis_request *redis_request_ref(struct redis_request *r)
{
	r->references++;
	return r;
}

void redis_request_unref(struct redis_request *r)
{
	if (r == NULL || --r->references > 0)
		return;
	if (r->reply != NULL)
		freeReplyObject(r->reply);
	redisFreeCommand(r->text);
	free(r);
}

void redis_request_again(struct redis_request *r)
{
	if (r->reply != NULL)
		freeReplyObject(r->reply);
	r->reply = NULL;
	r->done = r->sent = r->asking = 0;
	r->status = DAVIT_OK;
}

static void finish(struct redis_connection *c, struct redis_request *r)
{
	r->done = 1;
	if (r->waiter != NULL)
		c->fiber->wake(r->waiter);
	redis_request_unref(r);
}

static void fail_queue(struct redis_connection *c, struct queue *q)
{
	struct redis_request *r;

	while ((r = queue_take(q)) != NULL) {
		r->status = c->status;
		r->why = c->why;
		finish(c, r);
	}
}

static void wake_keeper(struct redis_connection *c)
{
	if (c->keeper != NULL)
		c->fiber->wake(c->keeper);
}

static void lose(struct redis_connection *c, davit_status status, const char *why)
{
	if (!c->lost) {
		c->lost = 1;
		c->status = status;
		snprintf(c->why, sizeof(c->why), "%s", why);
	}
	wake_keeper(c);
}

static void run_reader(void *arg)
{
	struct redis_connection *c = arg;
	struct redis_request *r;
	redisReply *reply;
	davit_status status;

	while ((status = redis_link_read(&c->link, NULL, 0, &reply)) == DAVIT_OK) {
		r = c->sent.first;
		if (r == NULL) {
			freeReplyObject(reply);
			lose(c, DAVIT_DATA_LOSS, "the server said something without being asked");
			break;
		}
		if (r->asking) { /* that was the answer to ASKING */
			r->asking = 0;
			freeReplyObject(reply);
			continue;
		}
		queue_take(&c->sent);
		r->reply = reply;
		finish(c, r);
		if (c->retiring && c->sent.first == NULL)
			wake_keeper(c);
	}
	lose(c, status, c->link.why);
	c->fibers--;
}

/* What waits, in pieces for one write; each has a reference more until that is over. */
static uint64_t gather(struct redis_connection *c, struct redis_request **batch, struct davit_bytes *pieces,
		       int64_t now)
{
	static const char asking[] = "*1\r\n$6\r\nASKING\r\n";
	struct redis_request *r;
	uint64_t n = 0;
	size_t k = 0;

	while (k < BATCH && (r = queue_take(&c->waiting)) != NULL) {
		if (r->dropped) {
			finish(c, r);
			continue;
		}
		if (r->asking)
			pieces[n++] = (struct davit_bytes){ asking, sizeof(asking) - 1 };
		pieces[n++] = (struct davit_bytes){ r->text, r->n };
		r->sent = 1;
		r->sent_ms = now;
		queue_add(&c->sent, r);
		batch[k++] = redis_request_ref(r);
	}
	batch[k] = NULL;
	return n;
}

static davit_status write_batch(struct redis_connection *c)
{
	struct redis_request *batch[BATCH + 1];
	struct davit_bytes pieces[2 * BATCH];
	int64_t now = redis_now_ms();
	davit_status status = DAVIT_OK;
	uint64_t n = gather(c, batch, pieces, now);
	size_t i;

	c->used_ms = now;
	/* The keeper looks later than the first of these must be answered: it has to look earlier. */
	if (c->o.options->read_ms > 0 && (c->look_ms == 0 || c->look_ms > now + c->o.options->read_ms))
		wake_keeper(c);
	if (n > 0)
		status = c->link.dial->write(c->link.stream, NULL, pieces, n, c->o.options->write_ms);
	for (i = 0; batch[i] != NULL; i++)
		redis_request_unref(batch[i]);
	return status;
}

static void run_writer(void *arg)
{
	struct redis_connection *c = arg;
	davit_status status = DAVIT_OK;

	c->writer = c->fiber->self(c->o.instance);
	while (!c->lost && !c->closing && status == DAVIT_OK) {
		if (c->waiting.first == NULL || c->retiring) {
			c->idle = 1;
			c->fiber->park(c->o.instance, NULL, 0);
			c->idle = 0;
			continue;
		}
		status = write_batch(c);
	}
	c->writer = NULL;
	if (status != DAVIT_OK)
		lose(c, status, c->link.dial->why(c->link.stream));
	c->fibers--;
	wake_keeper(c);
}

/* When something has to happen if nothing else does; 0: never. */
static int64_t next_look(struct redis_connection *c)
{
	const struct redis_options *o = c->o.options;
	int64_t at = INT64_MAX;

	if (c->sent.first != NULL && o->read_ms > 0)
		at = c->sent.first->sent_ms + o->read_ms;
	if (o->idle_ms > 0 && o->idle_check_ms > 0 && o->min_idle == 0 && at > c->used_ms + o->idle_ms)
		at = c->used_ms + o->idle_ms;
	if (o->age_ms > 0 && !c->retiring && at > c->made_ms + o->age_ms)
		at = c->made_ms + o->age_ms;
	return at == INT64_MAX ? 0 : at;
}

static void look(struct redis_connection *c, int64_t now)
{
	const struct redis_options *o = c->o.options;

	if (c->sent.first != NULL && o->read_ms > 0 && now >= c->sent.first->sent_ms + o->read_ms)
		lose(c, DAVIT_DEADLINE_EXCEEDED, "the server did not reply in time");
	if (o->age_ms > 0 && now >= c->made_ms + o->age_ms)
		c->retiring = 1;
	if (o->idle_ms > 0 && o->idle_check_ms > 0 && o->min_idle == 0 && now >= c->used_ms + o->idle_ms &&
	    c->sent.first == NULL && c->waiting.first == NULL)
		c->retiring = 1;
}

static void watch(struct redis_connection *c)
{
	int64_t now = redis_now_ms();

	while (!c->lost && !c->closing && !(c->retiring && c->sent.first == NULL)) {
		c->look_ms = next_look(c);
		if (c->look_ms == 0 || c->look_ms > now)
			c->fiber->park(c->o.instance, NULL, c->look_ms ? c->look_ms - now : 0);
		now = redis_now_ms();
		look(c, now);
	}
}

static void start_fibers(struct redis_connection *c)
{
	static void (*const mains[])(void *arg) = { run_reader, run_writer };
	int i;

	for (i = 0; i < 2; i++) {
		if (c->fiber->start(c->o.instance, mains[i], c) == DAVIT_OK)
			c->fibers++;
		else
			lose(c, DAVIT_EXHAUSTED, "no fiber left");
	}
}

static void end_fibers(struct redis_connection *c)
{
	c->link.dial->shutdown(c->link.stream);
	if (c->idle && c->writer != NULL)
		c->fiber->wake(c->writer);
	while (c->fibers > 0)
		c->fiber->park(c->o.instance, NULL, 0);
	redis_link_close(&c->link);
}

static davit_status open_link(struct redis_connection *c)
{
	davit_status status = DAVIT_OK;

	if (c->o.find != NULL)
		status = c->o.find(c->o.arg, &c->o.to, c->link.why);
	if (status == DAVIT_OK && !c->closing)
		status = redis_link_open(&c->link, c->o.instance, NULL, c->o.options, &c->o.to, &c->o.login);
	return status;
}

/* From dialling to the end of the connection. 1: it was retired, and who waits gets the next one. */
static int keep_one(struct redis_connection *c)
{
	davit_status status;
	int retired = 0;

	c->state = MAKING;
	c->lost = c->retiring = 0;
	status = open_link(c);
	if (status == DAVIT_OK && c->link.stream != NULL) {
		c->state = UP;
		c->made_ms = c->used_ms = redis_now_ms();
		start_fibers(c);
		watch(c);
		retired = !c->lost && !c->closing;
		end_fibers(c);
	} else {
		lose(c, status, c->link.why);
	}
	if (retired)
		return c->waiting.first != NULL;
	if (c->closing) {
		c->status = DAVIT_CANCELLED;
		snprintf(c->why, sizeof(c->why), "the component is being closed");
	}
	fail_queue(c, &c->sent);
	fail_queue(c, &c->waiting);
	return 0;
}

static void run_keeper(void *arg)
{
	struct redis_connection *c = arg;

	c->keeper = c->fiber->self(c->o.instance);
	while (keep_one(c))
		continue;
	c->keeper = NULL;
	c->state = DOWN;
	if (c->closer != NULL)
		c->fiber->wake(c->closer);
}

struct redis_connection *redis_connection_new(const struct redis_connection_options *o)
{
	struct redis_connection *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->o = *o;
	c->fiber = davit_fiber_service(o->instance);
	c->waiting.end = &c->waiting.first;
	c->sent.end = &c->sent.first;
	if (c->fiber != NULL)
		return c;
	free(c);
	return NULL;
}

davit_status redis_connection_send(struct redis_connection *c, struct redis_request *r)
{
	davit_status status;

	if (c->closing)
		return DAVIT_CANCELLED;
	if (c->waiting.n + c->sent.n >= REDIS_QUEUE || c->waiting.bytes + c->sent.bytes + r->n > REDIS_QUEUE_BYTES)
		return DAVIT_EXHAUSTED;
	if (c->state == DOWN) {
		c->state = MAKING;
		status = c->fiber->start(c->o.instance, run_keeper, c);
		if (status != DAVIT_OK) {
			c->state = DOWN;
			return status;
		}
	}
	queue_add(&c->waiting, redis_request_ref(r));
	if (c->idle && !c->retiring) {
		c->idle = 0;
		c->fiber->wake(c->writer);
	}
	return DAVIT_OK;
}

void redis_connection_renew(struct redis_connection *c)
{
	if (c->state != UP)
		return;
	c->retiring = 1;
	wake_keeper(c);
}

int redis_connection_up(const struct redis_connection *c)
{
	return c->state == UP;
}

const struct redis_address *redis_connection_address(const struct redis_connection *c)
{
	return &c->o.to;
}

void redis_connection_stop(struct redis_connection *c)
{
	if (c == NULL)
		return;
	c->closing = 1;
	c->closer = c->fiber->self(c->o.instance);
	if (c->state == MAKING && c->keeper != NULL)
		c->fiber->cancel(c->keeper);
	wake_keeper(c);
	while (c->state != DOWN)
		c->fiber->park(c->o.instance, NULL, 0);
}

void redis_connection_free(struct redis_connection *c)
{
	free(c);
}
