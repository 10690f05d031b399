/* SPDX-License-Identifier: Apache-2.0 */
/* Worker threads with one queue. */
#include <stdlib.h>

#include "end.h"
#include "host.h"

#define WORKERS_MAX 64

struct job {
	struct job *next;
	struct call *call;
	davit_op *op;
	const void *in;
};

struct lane {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct job *first, **last;
	int stopping, workers;
	pthread_t threads[WORKERS_MAX];
};

static void *work(void *arg)
{
	struct lane *l = arg;
	struct job *j, now;

	end_thread();
	pthread_mutex_lock(&l->lock);
	for (;;) {
		while (l->first == NULL && !l->stopping)
			pthread_cond_wait(&l->wake, &l->lock);
		j = l->first;
		if (j == NULL)
			break;
		l->first = j->next;
		if (l->first == NULL)
			l->last = &l->first;
		pthread_mutex_unlock(&l->lock);
		now = *j;
		free(j);
		call_execute(now.call, now.op, now.in);
		pthread_mutex_lock(&l->lock);
	}
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

struct lane *lane_start(int workers)
{
	struct lane *l = calloc(1, sizeof(*l));

	if (l == NULL)
		abort();
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->wake, NULL);
	l->last = &l->first;
	l->workers = workers < WORKERS_MAX ? workers : WORKERS_MAX;
	for (int i = 0; i < l->workers; i++)
		if (pthread_create(&l->threads[i], NULL, work, l) != 0)
			abort();
	return l;
}

void lane_run(struct lane *l, struct call *c, davit_op *op, const void *in)
{
	struct job *j = malloc(sizeof(*j));

	if (j == NULL)
		abort();
	*j = (struct job){ NULL, c, op, in };
	pthread_mutex_lock(&l->lock);
	*l->last = j;
	l->last = &j->next;
	pthread_cond_signal(&l->wake);
	pthread_mutex_unlock(&l->lock);
}

void lane_stop(struct lane *l)
{
	if (l == NULL)
		return;
	pthread_mutex_lock(&l->lock);
	l->stopping = 1;
	pthread_cond_broadcast(&l->wake);
	pthread_mutex_unlock(&l->lock);
	for (int i = 0; i < l->workers; i++)
		pthread_join(l->threads[i], NULL);
	pthread_mutex_destroy(&l->lock);
	pthread_cond_destroy(&l->wake);
	free(l);
}
