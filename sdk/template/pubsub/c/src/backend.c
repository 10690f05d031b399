/* SPDX-License-Identifier: Apache-2.0 */
#include "backend.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define WAITING_MOST 1000 /* events that a reader has not taken */

struct reader {
	struct reader *next;
	struct backend *backend;
	struct event *first, **last, *taken;
	size_t waiting, ntopic;
	int stopped;
	char topic[];
};

struct backend {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct reader *readers;
	uint64_t tokens;
};

struct backend *backend_open(void)
{
	struct backend *b = calloc(1, sizeof(*b));

	if (b != NULL) {
		pthread_mutex_init(&b->lock, NULL);
		pthread_cond_init(&b->changed, NULL);
	}
	return b;
}

void backend_close(struct backend *b)
{
	pthread_cond_destroy(&b->changed);
	pthread_mutex_destroy(&b->lock);
	free(b);
}

static void append(struct reader *r, struct event *e)
{
	e->next = NULL;
	*r->last = e;
	r->last = &e->next;
	r->waiting++;
}

enum backend_result backend_publish(struct backend *b, const char *topic, size_t ntopic, const void *data, size_t n)
{
	enum backend_result result = BACKEND_OK;
	struct reader *r;
	struct event *e;

	pthread_mutex_lock(&b->lock);
	for (r = b->readers; r != NULL; r = r->next)
		if (r->waiting >= WAITING_MOST && r->ntopic == ntopic && memcmp(r->topic, topic, ntopic) == 0)
			result = BACKEND_FULL; /* for all: the publisher tries again */
	for (r = b->readers; r != NULL && result == BACKEND_OK; r = r->next) {
		if (r->ntopic != ntopic || memcmp(r->topic, topic, ntopic) != 0)
			continue;
		e = malloc(sizeof(*e) + n);
		if (e == NULL) {
			result = BACKEND_NO_MEMORY;
			continue;
		}
		e->n = n;
		if (n > 0)
			memcpy(e->data, data, n);
		append(r, e);
	}
	pthread_cond_broadcast(&b->changed);
	pthread_mutex_unlock(&b->lock);
	return result;
}

struct reader *reader_open(struct backend *b, const char *topic, size_t n)
{
	struct reader *r = calloc(1, sizeof(*r) + n);

	if (r == NULL)
		return NULL;
	r->backend = b;
	r->last = &r->first;
	r->ntopic = n;
	memcpy(r->topic, topic, n);
	pthread_mutex_lock(&b->lock);
	r->next = b->readers;
	b->readers = r;
	pthread_mutex_unlock(&b->lock);
	return r;
}

const struct event *reader_next(struct reader *r)
{
	struct backend *b = r->backend;
	struct event *e = NULL;

	pthread_mutex_lock(&b->lock);
	while (r->first == NULL && !r->stopped)
		pthread_cond_wait(&b->changed, &b->lock);
	if (!r->stopped) {
		e = r->first;
		r->first = e->next;
		if (r->first == NULL)
			r->last = &r->first;
		r->waiting--;
		e->token = ++b->tokens;
		e->next = r->taken;
		r->taken = e;
	}
	pthread_mutex_unlock(&b->lock);
	return e;
}

void reader_stop(struct reader *r)
{
	pthread_mutex_lock(&r->backend->lock);
	r->stopped = 1;
	pthread_cond_broadcast(&r->backend->changed);
	pthread_mutex_unlock(&r->backend->lock);
}

static void drop_all(struct event *e)
{
	struct event *next;

	for (; e != NULL; e = next) {
		next = e->next;
		free(e);
	}
}

void reader_close(struct reader *r)
{
	struct backend *b = r->backend;
	struct reader **at;

	pthread_mutex_lock(&b->lock);
	for (at = &b->readers; *at != r; at = &(*at)->next)
		;
	*at = r->next;
	pthread_mutex_unlock(&b->lock);
	drop_all(r->first);
	drop_all(r->taken);
	free(r);
}

void backend_settle(struct backend *b, uint64_t token, int again)
{
	struct event **at, *e = NULL;
	struct reader *r;

	pthread_mutex_lock(&b->lock);
	for (r = b->readers; r != NULL && e == NULL; r = r->next) {
		for (at = &r->taken; *at != NULL && (*at)->token != token; at = &(*at)->next)
			;
		e = *at;
		if (e == NULL)
			continue;
		*at = e->next;
		if (again)
			append(r, e);
		else
			free(e);
	}
	pthread_cond_broadcast(&b->changed);
	pthread_mutex_unlock(&b->lock);
}
