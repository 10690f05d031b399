/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A loop: one thread with one libuv loop. A turn of it reads what has come, runs what became ready, then flushes, until
 * nothing is left, and only then sleeps. Everything that belongs to a loop is touched from its own thread alone;
 * loop_post() is the one way in from elsewhere.
 */
#ifndef LOOP_LOOP_H
#define LOOP_LOOP_H
#include <uv.h>

struct loop;

/* Something to run on a loop. Its owner embeds it and keeps it alive until `run` was called. */
struct loop_task {
	struct loop_task *next;
	void (*run)(struct loop_task *t);
};

struct loop *loop_new(int index); /* index: 0 for the first; NULL: no memory or no descriptors */
void loop_free(struct loop *l);	  /* after loop_join, or if it never started */
int loop_start(struct loop *l);	  /* its thread begins to run; 0, or -1 when no thread could be made */
void loop_stop(struct loop *l);	  /* any thread: the loop ends after its present turn */
void loop_join(struct loop *l);

struct loop *loop_self(void); /* of this thread, NULL: none */
uv_loop_t *loop_uv(struct loop *l);
int loop_index(const struct loop *l);

void loop_post(struct loop *l, struct loop_task *t);  /* any thread; runs in the order of posting */
void loop_defer(struct loop *l, struct loop_task *t); /* own thread: runs before the loop sleeps, behind ready fibers */

/* Runs task on the loop and waits for it; from any thread but the loops' own. */
void loop_call(struct loop *l, void (*fn)(void *arg), void *arg);

/* What this loop is about to do that could block it, for who watches; NULL: nothing of that kind. what lives as long. */
void loop_note(const char *what);
const char *loop_doing(const struct loop *l); /* any thread */
#endif
