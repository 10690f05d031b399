/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lane: worker threads with a bounded queue, for calls that may block. A worker is made when a job first finds none
 * free, so a lane that nobody uses costs no thread. A job that is done tells its loop by loop_post(). Besides the loops,
 * lanes are the only place that makes threads.
 */
#ifndef LOOP_LANE_H
#define LOOP_LANE_H

#define LANE_QUEUE 1000		   /* jobs that may wait, by default */
#define LANE_STACK (1024u * 1024u) /* bytes of a worker's stack */

struct lane;

struct lane_job {
	struct lane_job *next;
	void (*run)(struct lane_job *j);
};

struct lane_options {
	const char *name; /* of the threads, shown by ps and top; at most 15 bytes are */
	int workers, queue;
	/* Called on each worker as it starts and ends, with arg; may be NULL. */
	void (*started)(void *arg, int worker);
	void (*ending)(void *arg, int worker);
	void *arg;
};

struct lane *lane_new(const struct lane_options *o); /* NULL: no memory */
/* Any thread. -1: the queue is full, the lane is closed, or no thread can be had. */
int lane_submit(struct lane *l, struct lane_job *j);
/* No more jobs; those in the queue still run. 0: all workers ended within the time (ms) and the lane is freed; -1: a
 * worker is stuck in a job: the lane is left alone, for ever, as nothing else can be done with a stuck thread. */
int lane_close(struct lane *l, int within_ms);
int lane_self(void);		  /* 1: this thread is some lane's worker, and may block */
int lane_waiting(struct lane *l); /* jobs in the queue */
#endif
