/* SPDX-License-Identifier: Apache-2.0 */
/* When requests are due, and how late their answers were: what paced.c and paced_h2.c share. */
#ifndef TIMETABLE_H
#define TIMETABLE_H
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct timetable {
	int64_t start; /* ns, steady clock */
	double rate;
	size_t n, sent, answered, failed;
	int64_t *latencies; /* ns */
};

static inline int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static inline void *must(void *p)
{
	if (p == NULL) {
		fputs("paced: no memory\n", stderr);
		exit(1);
	}
	return p;
}

static inline struct timetable timetable_begin(double rate, double seconds)
{
	struct timetable t = { .start = now() + 10000000, .rate = rate, .n = (size_t)(rate * seconds) };

	t.latencies = must(calloc(t.n + 1, sizeof(*t.latencies)));
	return t;
}

static inline int64_t timetable_due(const struct timetable *t)
{
	return t->start + (int64_t)((double)t->sent * 1e9 / t->rate);
}

/* Until the next is due, or a millisecond where nothing is. */
static inline struct timespec timetable_wait(const struct timetable *t, int may_send)
{
	int64_t ns = may_send && t->sent < t->n ? timetable_due(t) - now() : 1000000;

	return (struct timespec){ 0, ns < 0 ? 0 : ns > 999999999 ? 999999999 : ns };
}

static inline void timetable_done(struct timetable *t, int64_t due, int good)
{
	if (good)
		t->latencies[t->answered++] = now() - due;
	else
		t->failed++;
}

static int by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static inline double timetable_at(const struct timetable *t, double part)
{
	return t->answered == 0 ? 0 : (double)t->latencies[(size_t)(part * (double)(t->answered - 1))] / 1e3;
}

/* One line of JSON, times in microseconds. What was never answered has failed. */
static inline void timetable_report(struct timetable *t)
{
	double sum = 0;

	qsort(t->latencies, t->answered, sizeof(*t->latencies), by_size);
	for (size_t i = 0; i < t->answered; i++)
		sum += (double)t->latencies[i] / 1e3;
	printf("{\"answered\": %zu, \"failed\": %zu, \"mean\": %.1f, \"p50\": %.1f, \"p99\": %.1f, \"max\": %.1f}\n",
	       t->answered, t->n - t->answered, t->answered ? sum / (double)t->answered : 0, timetable_at(t, 0.5),
	       timetable_at(t, 0.99), timetable_at(t, 1));
}
#endif
