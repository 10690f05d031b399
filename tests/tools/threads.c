/* SPDX-License-Identifier: Apache-2.0 */
/*
 * C11's threads (ISO C11 7.26) by POSIX's. ThreadSanitizer follows only the latter: of a thread that a library makes by
 * thrd_create, as librdkafka does, it knows nothing, and ends with SIGSEGV when that thread comes to code that it watches. Linked
 * into the programs of `make sanitize-thread`, before the C library. glibc's mtx_t and cnd_t are POSIX's by another name.
 */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <threads.h>

_Static_assert(sizeof(mtx_t) == sizeof(pthread_mutex_t) && sizeof(cnd_t) == sizeof(pthread_cond_t), "see above");

struct start {
	thrd_start_t fn;
	void *arg;
};

static int answer(int error)
{
	switch (error) {
	case 0: return thrd_success;
	case EBUSY: return thrd_busy;
	case ETIMEDOUT: return thrd_timedout;
	case ENOMEM: return thrd_nomem;
	default: return thrd_error;
	}
}

static void *run(void *arg)
{
	struct start s = *(struct start *)arg;

	free(arg);
	return (void *)(intptr_t)s.fn(s.arg);
}

int thrd_create(thrd_t *ret_thread, thrd_start_t fn, void *arg)
{
	struct start *s = malloc(sizeof(*s));
	int error;

	if (s == NULL)
		return thrd_nomem;
	*s = (struct start){ fn, arg };
	error = pthread_create(ret_thread, NULL, run, s);
	if (error != 0)
		free(s);
	return answer(error);
}

int thrd_join(thrd_t thread, int *ret_result)
{
	void *result;
	int error = pthread_join(thread, &result);

	if (error == 0 && ret_result != NULL)
		*ret_result = (int)(intptr_t)result;
	return answer(error);
}

int thrd_detach(thrd_t thread)
{
	return answer(pthread_detach(thread));
}

int mtx_init(mtx_t *m, int type)
{
	pthread_mutexattr_t attr;
	int error;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, type & mtx_recursive ? PTHREAD_MUTEX_RECURSIVE : PTHREAD_MUTEX_NORMAL);
	error = pthread_mutex_init((pthread_mutex_t *)m, &attr);
	pthread_mutexattr_destroy(&attr);
	return answer(error);
}

void mtx_destroy(mtx_t *m)
{
	pthread_mutex_destroy((pthread_mutex_t *)m);
}

int mtx_lock(mtx_t *m)
{
	return answer(pthread_mutex_lock((pthread_mutex_t *)m));
}

int mtx_trylock(mtx_t *m)
{
	return answer(pthread_mutex_trylock((pthread_mutex_t *)m));
}

int mtx_unlock(mtx_t *m)
{
	return answer(pthread_mutex_unlock((pthread_mutex_t *)m));
}

int cnd_init(cnd_t *c)
{
	return answer(pthread_cond_init((pthread_cond_t *)c, NULL));
}

void cnd_destroy(cnd_t *c)
{
	pthread_cond_destroy((pthread_cond_t *)c);
}

int cnd_signal(cnd_t *c)
{
	return answer(pthread_cond_signal((pthread_cond_t *)c));
}

int cnd_broadcast(cnd_t *c)
{
	return answer(pthread_cond_broadcast((pthread_cond_t *)c));
}

int cnd_wait(cnd_t *c, mtx_t *m)
{
	return answer(pthread_cond_wait((pthread_cond_t *)c, (pthread_mutex_t *)m));
}

int cnd_timedwait(cnd_t *c, mtx_t *m, const struct timespec *until)
{
	return answer(pthread_cond_timedwait((pthread_cond_t *)c, (pthread_mutex_t *)m, until));
}

void call_once(once_flag *flag, void (*fn)(void))
{
	pthread_once((pthread_once_t *)flag, fn);
}
