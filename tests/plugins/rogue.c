/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A state store that misbehaves as its property `how` says, in get (whose key "well" is answered well), open or close. What is
 * wrong with the file itself is chosen when it is compiled: see tests/api/test_rogue.py.
 */
#include <davit/secrets.h>
#include <davit/state.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#ifdef ROGUE_ABI
#undef DAVIT_ABI
#define DAVIT_ABI ROGUE_ABI
#endif
#ifndef ROGUE_TYPE
#define ROGUE_TYPE "state.rogue"
#endif
#ifndef ROGUE_FLAGS
#define ROGUE_FLAGS 0
#endif
#ifndef ROGUE_SINCE
#define ROGUE_SINCE 0
#endif

struct store {
	struct davit_instance *instance;
	char how[32];
};

struct late {
	struct davit_call *call;
	int ms, emit, twice;
};

static int how(const struct store *s, const char *word)
{
	return strcmp(s->how, word) == 0;
}

static davit_status emit_value(struct davit_call *call, const char *json)
{
	struct davit_state_item item = DAVIT_INIT(davit_state_item, .value = { json, strlen(json) });

	return davit_emit_state(call, &item);
}

static void on_cancel(void *arg)
{
	(void)arg;
	fputs("rogue: cancelled\n", stderr);
}

/* From a thread of nobody's, after a while. */
static void *answer_late(void *arg)
{
	struct late l = *(struct late *)arg;

	free(arg);
	usleep((useconds_t)l.ms * 1000);
	if (l.emit && emit_value(l.call, "\"late\"") == DAVIT_CANCELLED)
		fputs("rogue: what was emitted late was refused\n", stderr);
	davit_done(l.call, DAVIT_OK);
	if (!l.twice)
		return NULL;
	usleep(400000); /* the call is long gone, and its memory another's */
	if (emit_value(l.call, "\"again\"") == DAVIT_CANCELLED && davit_alloc(l.call, 8) == NULL &&
	    davit_cancelled(l.call) && davit_on_cancel(l.call, on_cancel, NULL) < 0)
		fputs("rogue: nothing was taken for a call that has ended\n", stderr);
	davit_fail(l.call, DAVIT_INTERNAL, NULL, "again");
	davit_done(l.call, DAVIT_INTERNAL);
	return NULL;
}

static davit_status later(struct davit_call *call, int ms, int emit, int twice)
{
	struct late *l = malloc(sizeof(*l));
	pthread_t thread;
	sigset_t all, before;

	if (l == NULL)
		abort();
	*l = (struct late){ .call = call, .ms = ms, .emit = emit, .twice = twice };
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_create(&thread, NULL, answer_late, l) != 0)
		abort();
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_detach(thread);
	return DAVIT_PENDING;
}

static int deep(int n)
{
	volatile char here[512];

	here[0] = (char)n;
	return n > 0 ? deep(n - 1) + here[0] : 0;
}

/* ---- The ways of get ---- */

typedef davit_status way(struct davit_call *call, const struct davit_state_key *in);

static davit_status never(struct davit_call *call, const struct davit_state_key *in)
{
	(void)in;
	davit_on_cancel(call, on_cancel, NULL);
	return DAVIT_PENDING;
}

static davit_status from_a_thread(struct davit_call *call, const struct davit_state_key *in)
{
	(void)in;
	return later(call, 20, 1, 0);
}

static davit_status again(struct davit_call *call, const struct davit_state_key *in)
{
	(void)in;
	return later(call, 20, 1, 1);
}

static davit_status late(struct davit_call *call, const struct davit_state_key *in)
{
	(void)in;
	return later(call, 700, 1, 0);
}

static davit_status twice(struct davit_call *call, const struct davit_state_key *in)
{
	(void)in;
	emit_value(call, "\"once\"");
	davit_done(call, DAVIT_OK);
	usleep(50000);
	davit_done(call, DAVIT_INTERNAL);
	return DAVIT_PENDING;
}

/* Completes, and returns a status as well. */
static davit_status final(struct davit_call *call, const struct davit_state_key *in)
{
	(void)in;
	emit_value(call, "\"once\"");
	davit_done(call, DAVIT_OK);
	usleep(50000);
	return DAVIT_INTERNAL;
}

static davit_status unknown_kind(struct davit_call *call, const struct davit_state_key *in)
{
	static const struct {
		uint32_t size, kind;
		uint64_t nothing[8];
	} unknown = { sizeof(unknown), 987654, { 0 } };
	davit_status status = davit_emit(call, &unknown);

	(void)in;
	return davit_fail(call, DAVIT_INTERNAL, NULL, "the kernel said %d", status);
}

static davit_status another_block(struct davit_call *call, const struct davit_state_key *in)
{
	struct davit_secret_item secret = DAVIT_INIT(davit_secret_item, .name = davit_str("a"), .key = davit_str("b"),
						     .value = davit_str("c"));

	(void)in;
	davit_emit(call, &secret);
	return DAVIT_OK;
}

static davit_status no_status(struct davit_call *call, const struct davit_state_key *in)
{
	(void)call, (void)in;
	return 99;
}

static davit_status leaks(struct davit_call *call, const struct davit_state_key *in)
{
	(void)call, (void)in;
	if (malloc(100) == NULL)
		abort();
	return DAVIT_OK;
}

static davit_status dives(struct davit_call *call, const struct davit_state_key *in)
{
	(void)in;
	return deep(500) == 1 ? DAVIT_OK : emit_value(call, "\"deep\"");
}

/* Whatever becomes of the record, all is well. */
static davit_status deaf(struct davit_call *call, const struct davit_state_key *in)
{
	(void)in;
	emit_value(call, "\"deaf\"");
	return DAVIT_OK;
}

/* The call is over, and has a record all the same. */
static davit_status after(struct davit_call *call, const struct davit_state_key *in)
{
	(void)in;
	davit_done(call, DAVIT_OK);
	usleep(50000);
	emit_value(call, "\"after\"");
	return DAVIT_PENDING;
}

static davit_status flood(struct davit_call *call, const struct davit_state_key *in)
{
	(void)in;
	while (emit_value(call, "\"flood\"") == DAVIT_OK)
		;
	return DAVIT_OK;
}

/* The key of the call before. */
static davit_status keep(struct davit_call *call, const struct davit_state_key *in)
{
	static struct davit_str kept;
	static volatile char first;

	(void)call;
	if (kept.p != NULL)
		first = kept.p[0];
	kept = in->key;
	return DAVIT_OK;
}

static davit_status exits(struct davit_call *call, const struct davit_state_key *in)
{
	(void)call, (void)in;
	exit(0);
}

static davit_status aborts(struct davit_call *call, const struct davit_state_key *in)
{
	(void)call, (void)in;
	abort();
}

/* On the thread that it was given, whoever that is. */
static davit_status sleeps(struct davit_call *call, const struct davit_state_key *in)
{
	(void)call, (void)in;
	usleep(30000);
	return DAVIT_OK;
}

static davit_status stubborn(struct davit_call *call, const struct davit_state_key *in)
{
	(void)call, (void)in;
	usleep(1200000);
	return DAVIT_OK;
}

static davit_status overflow(struct davit_call *call, const struct davit_state_key *in)
{
	(void)call, (void)in;
	return (davit_status)deep(1000000000);
}

static davit_status crash(struct davit_call *call, const struct davit_state_key *in)
{
	(void)call, (void)in;
	*(volatile int *)(uintptr_t)8 = 1;
	return DAVIT_OK;
}

static const struct {
	const char *how;
	way *get;
} ways[] = {
	{ "never", never },	 { "thread", from_a_thread }, { "again", again },	{ "late", late },
	{ "twice", twice },	 { "final", final },	      { "kind", unknown_kind }, { "block", another_block },
	{ "status", no_status }, { "leak", leaks },	      { "deep", dives },	{ "deaf", deaf },
	{ "after", after },	 { "flood", flood },	      { "keep", keep },		{ "exit", exits },
	{ "abort", aborts },	 { "sleep", sleeps },	      { "stubborn", stubborn }, { "overflow", overflow },
	{ "crash", crash },
};

static davit_status store_get(void *self, struct davit_call *call, const struct davit_state_key *in)
{
	struct store *s = self;
	size_t i;

	if (in->key.n >= 6 && strcmp(in->key.p + in->key.n - 6, "||well") == 0)
		return emit_value(call, "\"well\"");
	for (i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if (how(s, ways[i].how))
			return ways[i].get(call, in);
	return DAVIT_OK;
}

static davit_status store_set(void *self, struct davit_call *call, const struct davit_state_set *in)
{
	(void)self, (void)call, (void)in;
	return DAVIT_OK;
}

static davit_status store_del(void *self, struct davit_call *call, const struct davit_state_key *in)
{
	(void)self, (void)call, (void)in;
	return DAVIT_OK;
}

static davit_status store_open(void *none, struct davit_call *call, const struct davit_open *in)
{
	struct davit_str word = davit_prop(in, "how");
	struct store *s = calloc(1, sizeof(*s));
	davit_status status;

	(void)none;
	if (s == NULL)
		return davit_fail(call, DAVIT_EXHAUSTED, NULL, "no memory left");
	s->instance = in->instance;
	snprintf(s->how, sizeof(s->how), "%s", word.p ? word.p : "");
	if (how(s, "open-crash"))
		*(volatile int *)(uintptr_t)8 = 1;
	if (how(s, "open-abort"))
		abort();
	if (how(s, "open-leak") && malloc(10000) == NULL)
		abort();
	if (how(s, "open-slow"))
		usleep(1500000);
	if (how(s, "open-pending")) {
		free(s);
		return DAVIT_PENDING; /* and that was that */
	}
	status = davit_emit_self(call, s);
	if (status != DAVIT_OK) {
		fputs("rogue: nobody wants it any more\n", stderr);
		free(s);
	}
	return status;
}

static davit_status store_close(void *self, struct davit_call *call, const void *none)
{
	struct store *s = self;

	(void)call, (void)none;
	if (how(s, "close-slow"))
		sleep(60);
	free(s);
	return DAVIT_OK;
}

#ifdef ROGUE_TAIL /* built with a later header: everything has more at its end */
static const struct {
	struct davit_state_ops ops;
	void (*later)(void);
	uint64_t more[4];
} tail_ops = { { .size = sizeof(tail_ops),
		 .kind = davit_state_ops_kind,
		 .get = store_get,
		 .set = store_set,
		 .del = store_del },
	       (void (*)(void))(uintptr_t)store_open,
	       { 1, 2, 3, 4 } };
static const struct {
	struct davit_component component;
	uint64_t more[4];
} tail = { { .size = sizeof(tail),
	     .kind = davit_component_kind,
	     .block = DAVIT_BLOCK_STATE,
	     .flags = 1u << 31,
	     .type = ROGUE_TYPE,
	     .version = "v1",
	     .ops = &tail_ops,
	     .open = store_open,
	     .close = store_close },
	   { 1, 2, 3, 4 } };
#define ROGUE_COMPONENT &tail.component
#elif defined(ROGUE_OPS) /* the table of another block */
static const struct davit_secrets_ops other_ops = DAVIT_INIT(davit_secrets_ops, .features = 0);
static const struct davit_component store = { .size = sizeof(store),
					      .kind = davit_component_kind,
					      .block = DAVIT_BLOCK_STATE,
					      .type = ROGUE_TYPE,
					      .version = "v1",
					      .ops = &other_ops,
					      .open = store_open,
					      .close = store_close };
#define ROGUE_COMPONENT &store
#else
static const struct davit_state_ops ops = DAVIT_INIT(davit_state_ops, .get = store_get, .set = store_set,
						     .del = store_del);
static const struct davit_component store = DAVIT_STATE(ROGUE_TYPE, "v1", &ops, .flags = ROGUE_FLAGS,
							.open = store_open, .close = store_close);
#define ROGUE_COMPONENT &store
#endif

#ifdef ROGUE_INIT
__attribute__((constructor)) static void crash_at_load(void)
{
	*(volatile int *)(uintptr_t)8 = 1;
}
#endif

#if defined(ROGUE_NO_NOTE)
DAVIT_EXTERN __attribute__((visibility("default"))) const struct davit_plugin *davit_plugin_v1(void);
const struct davit_plugin *davit_plugin_v1(void)
{
	static const struct davit_component *const list[] = { ROGUE_COMPONENT, NULL };
	static const struct davit_plugin plugin = { sizeof(plugin), DAVIT_ABI,	    DAVIT_SDK_MINOR, 0,
						    PLUGIN_NAME,    PLUGIN_VERSION, "Rogue",	     list };

	return &plugin;
}
#elif defined(ROGUE_NOTE) /* the note says something else than the entry */
__attribute__((section(".note.davit"), used, aligned(4))) static const struct davit_note note = {
	8,	     (uint32_t)(sizeof(struct davit_note) - 20),
	1,	     "Davit",
	DAVIT_ABI,   DAVIT_SDK_MINOR,
	0,	     0,
	PLUGIN_NAME, PLUGIN_VERSION
};
DAVIT_EXTERN __attribute__((visibility("default"))) const struct davit_plugin *davit_plugin_v1(void);
const struct davit_plugin *davit_plugin_v1(void)
{
	static const struct davit_component *const list[] = { ROGUE_COMPONENT, NULL };
	static const struct davit_plugin plugin = { sizeof(plugin), DAVIT_ABI, DAVIT_SDK_MINOR, 0,
						    PLUGIN_NAME,    "7.7.7",   "Rogue",		list };

	return &plugin;
}
#else
DAVIT_PLUGIN_SINCE(ROGUE_SINCE, PLUGIN_NAME, PLUGIN_VERSION, "Rogue", ROGUE_COMPONENT);
#endif
