/* SPDX-License-Identifier: Apache-2.0 */
#include "stretch.h"

#include <pthread.h>
#include <sys/resource.h>
#include <time.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct stretches longest;
static int on; /* atomic */

static _Thread_local struct {
	int64_t wall, cpu; /* us */
	long slept;	   /* how often it gave up its processor by itself */
	int begun;
} here;

static int64_t now_us(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static long slept(void)
{
	struct rusage r;

	getrusage(RUSAGE_THREAD, &r);
	return r.ru_nvcsw;
}

void stretch_watch(int yes)
{
	__atomic_store_n(&on, yes, __ATOMIC_SEQ_CST);
}

struct stretches stretch_take(void)
{
	struct stretches s;

	pthread_mutex_lock(&lock);
	s = longest;
	longest = (struct stretches){ 0, 0 };
	pthread_mutex_unlock(&lock);
	return s;
}

void stretch_begin(void)
{
	here.begun = __atomic_load_n(&on, __ATOMIC_RELAXED);
	if (!here.begun)
		return;
	here.slept = slept();
	here.cpu = now_us(CLOCK_THREAD_CPUTIME_ID);
	here.wall = now_us(CLOCK_MONOTONIC);
}

void stretch_end(void)
{
	int64_t busy, away;

	if (!here.begun)
		return;
	here.begun = 0;
	busy = now_us(CLOCK_THREAD_CPUTIME_ID) - here.cpu;
	away = now_us(CLOCK_MONOTONIC) - here.wall - busy;
	if (slept() == here.slept) /* the machine gave its processor to another */
		away = 0;
	pthread_mutex_lock(&lock);
	if (busy / 1000 > longest.busy)
		longest.busy = busy / 1000;
	if (away / 1000 > longest.asleep)
		longest.asleep = away / 1000;
	pthread_mutex_unlock(&lock);
}
