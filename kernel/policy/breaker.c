/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/breaker.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/banned.h"
#include "base/log.h"
#include "base/mem.h"

#define LOG_SCOPE "dapr.runtime.resiliency"
#define OPEN_NS (60 * INT64_C(1000000000))
#define FAILURES 5

struct counts {
	uint32_t requests, successes, failures, successes_in_a_row, failures_in_a_row;
};

struct breaker {
	struct breaker_about about;
	atomic_int refs;
	pthread_mutex_t lock; /* of all below; nothing else is locked inside it */
	enum breaker_state state;
	uint64_t generation; /* how an operation of an earlier one went is not heard */
	struct counts counts;
	int64_t until_ns; /* of this generation; 0: without end */
	char name[];
};

static const char *const names[] = { "closed", "half-open", "open" };

const char *breaker_state_name(enum breaker_state s)
{
	return names[s];
}

static void begin_generation(struct breaker *b, int64_t now_ns)
{
	b->generation++;
	memset(&b->counts, 0, sizeof(b->counts));
	b->until_ns = 0;
	if (b->state == BREAKER_CLOSED && b->about.interval_ns > 0)
		b->until_ns = now_ns + b->about.interval_ns;
	else if (b->state == BREAKER_OPEN)
		b->until_ns = now_ns + (b->about.timeout_ns > 0 ? b->about.timeout_ns : OPEN_NS);
}

static void become(struct breaker *b, enum breaker_state s, int64_t now_ns)
{
	log_info("Circuit breaker \"%s\" changed state from %s to %s", b->name, names[b->state], names[s]);
	b->state = s;
	begin_generation(b, now_ns);
}

/* Time alone closes a period, and opens half of what is open. */
static void look(struct breaker *b, int64_t now_ns)
{
	if (b->until_ns == 0 || b->until_ns >= now_ns)
		return;
	if (b->state == BREAKER_OPEN)
		become(b, BREAKER_HALF_OPEN, now_ns);
	else
		begin_generation(b, now_ns);
}

struct breaker *breaker_new(const struct breaker_about *about, struct str name)
{
	struct breaker *b = mem_alloc(sizeof(*b) + name.n + 1);

	if (b == NULL)
		return NULL;
	memset(b, 0, sizeof(*b));
	if (pthread_mutex_init(&b->lock, NULL) != 0) {
		mem_free(b);
		return NULL;
	}
	b->about = *about;
	b->refs = 1;
	memcpy(b->name, name.p, name.n);
	b->name[name.n] = '\0';
	begin_generation(b, 0);
	b->until_ns = 0; /* the first period begins with the first operation */
	return b;
}

struct breaker *breaker_ref(struct breaker *b)
{
	atomic_fetch_add(&b->refs, 1);
	return b;
}

void breaker_unref(struct breaker *b)
{
	if (b == NULL || atomic_fetch_sub(&b->refs, 1) > 1)
		return;
	pthread_mutex_destroy(&b->lock);
	mem_free(b);
}

enum breaker_state breaker_state(struct breaker *b, int64_t now_ns)
{
	enum breaker_state s;

	pthread_mutex_lock(&b->lock);
	look(b, now_ns);
	s = b->state;
	pthread_mutex_unlock(&b->lock);
	return s;
}

enum breaker_refusal breaker_before(struct breaker *b, int64_t now_ns, uint64_t *ret_ticket)
{
	enum breaker_refusal r = BREAKER_PASSES;
	uint32_t most = b->about.max_requests ? b->about.max_requests : 1;

	pthread_mutex_lock(&b->lock);
	look(b, now_ns);
	if (b->state == BREAKER_CLOSED && b->until_ns == 0 && b->about.interval_ns > 0)
		b->until_ns = now_ns + b->about.interval_ns;
	if (b->state == BREAKER_OPEN)
		r = BREAKER_IS_OPEN;
	else if (b->state == BREAKER_HALF_OPEN && b->counts.requests >= most)
		r = BREAKER_IS_BUSY;
	else
		b->counts.requests++;
	*ret_ticket = b->generation;
	pthread_mutex_unlock(&b->lock);
	return r;
}

static int lookup(void *arg, struct str name, struct cel_value *ret)
{
	const struct counts *c = arg;
	const struct {
		const char *name;
		uint32_t value;
	} known[] = {
		{ "requests", c->requests },
		{ "totalSuccesses", c->successes },
		{ "totalFailures", c->failures },
		{ "consecutiveSuccesses", c->successes_in_a_row },
		{ "consecutiveFailures", c->failures_in_a_row },
	};
	size_t i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (str_is(name, known[i].name)) {
			*ret = cel_int(known[i].value);
			return 1;
		}
	return 0;
}

/* What cannot be told does not trip. */
static int trips(struct breaker *b)
{
	struct cel_env env = { lookup, &b->counts };
	struct arena *a;
	struct str why;
	jmp_buf oom;
	volatile int yes = 0;

	if (b->about.trip == NULL)
		return b->counts.failures_in_a_row > FAILURES;
	a = arena_new();
	if (a == NULL)
		return 0;
	if (setjmp(oom) == 0) {
		int value = 0;

		arena_on_oom(a, &oom);
		yes = cel_eval_bool(b->about.trip, a, &env, &value, &why) == 0 && value;
	}
	arena_on_oom(a, NULL);
	arena_unref(a);
	return yes;
}

static void succeeded(struct breaker *b, int64_t now_ns)
{
	uint32_t most = b->about.max_requests ? b->about.max_requests : 1;

	b->counts.successes++;
	b->counts.successes_in_a_row++;
	b->counts.failures_in_a_row = 0;
	if (b->state == BREAKER_HALF_OPEN && b->counts.successes_in_a_row >= most)
		become(b, BREAKER_CLOSED, now_ns);
}

static void failed(struct breaker *b, int64_t now_ns)
{
	b->counts.failures++;
	b->counts.failures_in_a_row++;
	b->counts.successes_in_a_row = 0;
	if (b->state == BREAKER_HALF_OPEN || (b->state == BREAKER_CLOSED && trips(b)))
		become(b, BREAKER_OPEN, now_ns);
}

void breaker_after(struct breaker *b, int64_t now_ns, uint64_t ticket, int well)
{
	pthread_mutex_lock(&b->lock);
	look(b, now_ns);
	if (ticket == b->generation) {
		if (well)
			succeeded(b, now_ns);
		else
			failed(b, now_ns);
	}
	pthread_mutex_unlock(&b->lock);
}
