/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/watchdog.h"

#include <stdatomic.h>

#include "base/banned.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/loop.h"

#define LOG_SCOPE "davit.loop"

struct watched {
	struct loop_task task;
	struct loop *loop;
	_Atomic int asked; /* 1: the task is under way */
	int64_t since_ms;
	int told;
};

struct watchdog {
	int n;
	struct watched list[];
};

static void answer(struct loop_task *t)
{
	struct watched *w = (struct watched *)t;

	w->asked = 0;
}

struct watchdog *watchdog_new(struct loop *const *loops, int n)
{
	struct watchdog *w = mem_zalloc(sizeof(*w) + (size_t)n * sizeof(w->list[0]));
	int i;

	if (w == NULL)
		return NULL;
	w->n = n;
	for (i = 0; i < n; i++) {
		w->list[i].loop = loops[i];
		w->list[i].task.run = answer;
	}
	return w;
}

static void look_at(struct watched *w)
{
	int64_t now = clock_ms();
	const char *doing;

	if (w->asked) {
		if (!w->told && now - w->since_ms >= WATCHDOG_MS) {
			doing = loop_doing(w->loop);
			log_error("Loop %d has not answered for %lld ms: it is blocked%s%s", loop_index(w->loop),
				  (long long)(now - w->since_ms), doing ? " by component " : "", doing ? doing : "");
			w->told = 1;
		}
		return;
	}
	if (w->told)
		log_warn("Loop %d goes on after at least %lld ms", loop_index(w->loop), (long long)(now - w->since_ms));
	w->told = 0;
	w->asked = 1;
	w->since_ms = now;
	loop_post(w->loop, &w->task);
}

void watchdog_look(struct watchdog *w)
{
	int i;

	for (i = 0; w != NULL && i < w->n; i++)
		look_at(&w->list[i]);
}

void watchdog_free(struct watchdog *w)
{
	mem_free(w);
}
