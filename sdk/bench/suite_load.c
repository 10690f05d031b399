/* SPDX-License-Identifier: Apache-2.0 */
/* State: many at once. What is counted must add up whoever comes first. */
#include <stdlib.h>
#include <time.h>

#include "report.h"
#include "state.h"

#define THREADS 8
#define ROUNDS 60
#define LOAD_MS 20000 /* a slow store makes fewer rounds */
#define TRIES 5000    /* of one increment: then it is no contention */

struct worker {
	pthread_t thread;
	struct host *host;
	int id, failures, increments;
	uint64_t operations;
	int64_t until_ms;
};

/* Adds one to the number at a key, again and again until its ETag is still the right one. */
static int increment(struct host *h, const char *key)
{
	char text[32], etag[128];
	davit_status status;
	struct call c;
	long n;
	int tries = 0;

	do {
		status = state_get(h, &c, key);
		if (status != DAVIT_OK || c.nrecords != 1) {
			call_release(&c);
			return -1;
		}
		n = strtol(c.records[0].value.p, NULL, 10);
		snprintf(etag, sizeof(etag), "%s", c.records[0].etag.p);
		call_release(&c);
		snprintf(text, sizeof(text), "%ld", n + 1);
		struct put p = { key, text, strlen(text), DAVIT_STATE_JSON, etag, 0 };

		status = state_put(h, &c, &p);
		call_release(&c);
	} while (status == DAVIT_ABORTED && ++tries < TRIES);
	return status == DAVIT_OK ? 0 : -1;
}

/* Moves one between two keys in a transaction, so that their sum stays. */
static int move(struct host *h, const char *from, const char *to)
{
	char a[32], b[32], etag_a[128], etag_b[128];
	const char *const keys[] = { from, to };
	davit_status status;
	struct call c;
	int tries = 0;

	do {
		status = state_bulk_get(h, &c, keys, 2);
		if (status != DAVIT_OK || c.nrecords != 2) {
			call_release(&c);
			return -1;
		}
		int first = davit_str_is(c.records[0].key, from) ? 0 : 1;

		snprintf(a, sizeof(a), "%ld", strtol(c.records[first].value.p, NULL, 10) - 1);
		snprintf(b, sizeof(b), "%ld", strtol(c.records[!first].value.p, NULL, 10) + 1);
		snprintf(etag_a, sizeof(etag_a), "%s", c.records[first].etag.p);
		snprintf(etag_b, sizeof(etag_b), "%s", c.records[!first].etag.p);
		call_release(&c);
		struct put steps[] = {
			{ from, a, strlen(a), DAVIT_STATE_JSON, etag_a, 0 },
			{ to, b, strlen(b), DAVIT_STATE_JSON, etag_b, 0 },
		};

		status = state_multi(h, &c, steps, 2);
		call_release(&c);
	} while (status == DAVIT_ABORTED && ++tries < TRIES);
	return status == DAVIT_OK ? 0 : -1;
}

static void *contend(void *arg)
{
	struct worker *w = arg;
	char key[48];
	int i;

	for (i = 0; i < ROUNDS && w->failures == 0 && host_now_ms() < w->until_ms; i++) {
		if (increment(w->host, "load||counter") == 0)
			w->increments++;
		else
			w->failures++;
		snprintf(key, sizeof(key), "load||%d||%d", w->id, i);
		w->failures += state_put_text(w->host, key, key) != DAVIT_OK;
		w->failures += !state_is_text(w->host, key, key);
		if (((const struct davit_state_ops *)w->host->component->ops)->multi != NULL)
			w->failures += move(w->host, i % 2 ? "load||x" : "load||y", i % 2 ? "load||y" : "load||x") < 0;
	}
	return NULL;
}

static void run(struct host *h, struct worker *workers, int n, void *(*work)(void *arg), int64_t until_ms)
{
	int i;

	for (i = 0; i < n; i++) {
		workers[i] = (struct worker){ .host = h, .id = i, .until_ms = until_ms };
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
			abort();
	}
	for (i = 0; i < n; i++)
		pthread_join(workers[i].thread, NULL);
}

static long number(struct host *h, const char *key)
{
	struct call c;
	long n = -1;

	if (state_get(h, &c, key) == DAVIT_OK && c.nrecords == 1)
		n = strtol(c.records[0].value.p, NULL, 10);
	call_release(&c);
	return n;
}

void suite_state_load(struct host *h)
{
	struct worker workers[THREADS];
	int i, failures = 0, increments = 0;

	if (!(state_features(h) & DAVIT_STATE_ETAG))
		return;
	state_put_text(h, "load||counter", "0");
	state_put_text(h, "load||x", "500");
	state_put_text(h, "load||y", "500");
	run(h, workers, THREADS, contend, host_now_ms() + LOAD_MS);
	for (i = 0; i < THREADS; i++)
		failures += workers[i].failures, increments += workers[i].increments;
	report(failures == 0, NULL, "eight threads save and read without a failure");
	report(number(h, "load||counter") == increments, NULL, "no increment is lost or counted twice");
	report(number(h, "load||x") + number(h, "load||y") == 1000, NULL, "transactions keep the sum");
}

static void *save_only(void *arg)
{
	struct worker *w = arg;
	char key[32], value[128];

	memset(value, 'x', sizeof(value));
	value[sizeof(value) - 1] = '\0';
	while (host_now_ms() < w->until_ms) {
		snprintf(key, sizeof(key), "rate||%d||%d", w->id, (int)(w->operations++ % 1000));
		w->failures += state_put_text(w->host, key, value) != DAVIT_OK;
	}
	return NULL;
}

static void *read_only(void *arg)
{
	struct worker *w = arg;
	char key[32];
	struct call c;

	while (host_now_ms() < w->until_ms) {
		snprintf(key, sizeof(key), "rate||%d||%d", w->id, (int)(w->operations++ % 1000));
		w->failures += state_get(w->host, &c, key) != DAVIT_OK;
		call_release(&c);
	}
	return NULL;
}

static void rate(struct host *h, const char *what, void *(*work)(void *arg), int seconds, int threads)
{
	struct worker workers[64];
	struct timespec before, after;
	uint64_t n = 0;
	double cpu;
	int i;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
	run(h, workers, threads, work, host_now_ms() + seconds * 1000);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
	cpu = (double)(after.tv_sec - before.tv_sec) + (double)(after.tv_nsec - before.tv_nsec) / 1e9;
	for (i = 0; i < threads; i++)
		n += workers[i].operations;
	printf("# %s: %.0f/s with %d threads, %.0f per CPU-second\n", what, (double)n / seconds, threads,
	       cpu > 0 ? (double)n / cpu : 0);
	fflush(stdout);
}

void rate_state(struct host *h, int seconds, int threads)
{
	rate(h, "save", save_only, seconds, threads);
	rate(h, "get", read_only, seconds, threads);
}
