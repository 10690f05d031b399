/* SPDX-License-Identifier: Apache-2.0 */
/* A component on a loop: whoever waits there in anything but a host service keeps all others waiting. */
#include <stdlib.h>

#include "probe.h"
#include "report.h"
#include "stretch.h"

#define TRIES 5	    /* the shortest counts: the machine has other things to do as well */
#define ASLEEP_MS 5 /* at most */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BUSY_MS 1000 /* at most: reading the trust anchors alone takes ten times as long then */
#else
#define BUSY_MS 100 /* at most */
#endif

static struct stretches shortest(struct host *h, const struct probe *p)
{
	struct stretches least = { INT64_MAX, INT64_MAX }, s;
	struct call c;
	int i;

	for (i = 0; i < TRIES; i++) {
		stretch_take();
		call_init(&c, h);
		call_run(&c, p->op, p->in);
		call_release(&c);
		s = stretch_take();
		if (s.asleep < least.asleep)
			least.asleep = s.asleep;
		if (s.busy < least.busy)
			least.busy = s.busy;
	}
	return least;
}

void suite_loop(struct host *h)
{
	struct probe probes[PROBES];
	struct stretches s;
	char text[256];
	size_t n, i;

	if (!(h->component->flags & DAVIT_LOOP))
		return;
	n = probes_of(h, probes);
	stretch_watch(1);
	for (i = 0; i < n; i++) {
		s = shortest(h, &probes[i]);
		snprintf(text, sizeof(text), "%s: does not block the loop", probes[i].name);
		report(s.asleep < ASLEEP_MS && s.busy < BUSY_MS, NULL, text);
		if (s.asleep >= ASLEEP_MS)
			printf("# it sleeps %lld ms on the loop, where all others wait for it: wait in the host "
			       "services "
			       "(<davit/dial.h>, <davit/sleep.h> ...), or run on workers, without DAVIT_LOOP\n",
			       (long long)s.asleep);
		if (s.busy >= BUSY_MS)
			printf("# it keeps the loop busy for %lld ms, where all others wait for it: run on workers, "
			       "without "
			       "DAVIT_LOOP\n",
			       (long long)s.busy);
	}
	stretch_watch(0);
}
