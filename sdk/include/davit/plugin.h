/* SPDX-License-Identifier: Apache-2.0 */
/*
 * davit/plugin.h - the line between Davit's kernel and a plugin. SDK 0.3: not frozen yet.
 *
 * A plugin is one shared object that offers components. It exports one symbol (DAVIT_PLUGIN writes it), imports nothing
 * from the kernel and reaches it through the host table that every call and instance carries in its first word.
 *
 * Rules that hold for everything here:
 * - What is passed in is the kernel's, read-only, and valid until the call completes. What is emitted is copied before
 *   the function returns (davit_emit_owned hands it over instead). Nobody frees the other side's memory.
 * - Each struct starts with its size and kind and grows only at its end. A field that the other side does not have yet
 *   reads as zero, and zero always means "as before". DAVIT_INIT fills both; DAVIT_HAS asks for a field.
 * - Only the fixed-width integers, pointers, davit_str, davit_bytes and davit_pair cross. Arrays hold pointers or pairs.
 * - A davit_str ends in a NUL that n does not count. davit_bytes do not.
 */
#ifndef DAVIT_PLUGIN_H
#define DAVIT_PLUGIN_H
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DAVIT_ABI 1u
#define DAVIT_SDK_MINOR 3u

#if defined(__SIZEOF_POINTER__) && __SIZEOF_POINTER__ != 8
#error "Davit plugins are for 64-bit targets only"
#endif

#define DAVIT_HAS(type, s, field) ((s)->size >= offsetof(struct type, field) + sizeof((s)->field))
#define DAVIT_INIT(type, ...) \
	{ \
		.size = (uint32_t)sizeof(struct type), .kind = DAVIT_KIND(type), __VA_ARGS__ \
	}
#define DAVIT_KIND(type) (type##_kind)

/* 0 to 16 are gRPC's status codes; negative ones are Davit's own. Frozen. */
typedef int32_t davit_status;
enum {
	DAVIT_PENDING = -1, /* davit_done() follows */
	DAVIT_OK = 0,
	DAVIT_CANCELLED,
	DAVIT_UNKNOWN,
	DAVIT_INVALID_ARGUMENT,
	DAVIT_DEADLINE_EXCEEDED,
	DAVIT_NOT_FOUND,
	DAVIT_ALREADY_EXISTS,
	DAVIT_PERMISSION_DENIED,
	DAVIT_EXHAUSTED,
	DAVIT_FAILED_PRECONDITION,
	DAVIT_ABORTED,
	DAVIT_OUT_OF_RANGE,
	DAVIT_UNIMPLEMENTED,
	DAVIT_INTERNAL,
	DAVIT_UNAVAILABLE,
	DAVIT_DATA_LOSS,
	DAVIT_UNAUTHENTICATED
};

/* Frozen. */
struct davit_str {
	const char *p;
	size_t n;
};
struct davit_bytes {
	const void *p;
	size_t n;
};
struct davit_pair {
	struct davit_str key, value;
};

enum { DAVIT_LOG_ERROR = 1, DAVIT_LOG_WARN, DAVIT_LOG_INFO, DAVIT_LOG_DEBUG };

/* Kinds of struct, one number each for ever. A block's own start at 100 × its DAVIT_BLOCK number. */
enum {
	davit_host_kind = 1,
	davit_open_kind,
	davit_opened_kind,
	davit_component_kind,
	davit_close_kind,
	davit_ping_kind
};

enum { DAVIT_BLOCK_STATE = 1, DAVIT_BLOCK_PUBSUB, DAVIT_BLOCK_BINDING, DAVIT_BLOCK_SECRETS, DAVIT_BLOCK_NAMES };

/* Where a component's operations run (bits of davit_component.flags; none: a worker lane, thread-safe). */
enum {
	DAVIT_LOOP = 1u << 0,	 /* on a fiber of a loop: never block; 192 KiB of stack at least */
	DAVIT_SERIAL = 1u << 1,	 /* worker lane, one call at a time: no locks needed */
	DAVIT_PER_LOOP = 1u << 2 /* with DAVIT_LOOP: one instance a loop, no locks needed */
};

struct davit_call;     /* one operation under way */
struct davit_instance; /* one opened component; lives until its close has returned */

/* What the kernel offers. Reached by the inline functions below, which ask whether this kernel has it. */
struct davit_host {
	uint32_t size, kind;
	uint32_t abi, minor; /* the kernel's */
	void (*done)(struct davit_call *call, davit_status status);
	davit_status (*emit)(struct davit_call *call, const void *record);
	davit_status (*emit_owned)(struct davit_call *call, const void *record, void (*release)(void *arg), void *arg);
	void (*fail)(struct davit_call *call, davit_status status, const char *reason, const char *text, size_t n);
	int64_t (*remaining_ms)(const struct davit_call *call);
	int32_t (*cancelled)(const struct davit_call *call);
	int32_t (*on_cancel)(struct davit_call *call, void (*fn)(void *arg), void *arg);
	void *(*alloc)(struct davit_call *call, size_t n);
	void (*log)(struct davit_instance *instance, int32_t level, const char *text, size_t n);
	void (*count)(struct davit_instance *instance, const char *name, int64_t n);
	const void *(*service)(struct davit_instance *instance, const char *name);
	/* since 0.2 */
	int64_t (*credit)(struct davit_call *call);
	int32_t (*on_credit)(struct davit_call *call, void (*fn)(void *arg), void *arg);
};

struct davit_call {
	const struct davit_host *host; /* the rest is the kernel's */
};
struct davit_instance {
	const struct davit_host *host;
};

/* What open() is given. Properties are named as in the manifest, checked against it, defaults filled in, secrets resolved. */
struct davit_open {
	uint32_t size, kind;
	struct davit_instance *instance;
	struct davit_str name; /* of the resource */
	struct davit_str type, version;
	struct davit_str app_id, name_space;
	const struct davit_pair *props; /* sorted by name */
	uint64_t nprops;
	uint64_t loop; /* with DAVIT_PER_LOOP: which; else 0 */
	/* since 0.3 */
	uint64_t loops; /* with DAVIT_PER_LOOP: of how many; 0: not told */
};

/* What open() emits: the `self` of every later call. If that is not DAVIT_OK (nobody waits any more), open() frees what it
 * made and returns the status. */
struct davit_opened {
	uint32_t size, kind;
	void *self;
	uint32_t features, unused; /* what this instance offers beyond the features of its component's table */
};

typedef davit_status davit_op(void *self, struct davit_call *call, const void *in);

struct davit_component {
	uint32_t size, kind;	    /* kind: davit_component_kind */
	uint32_t block, flags;	    /* DAVIT_BLOCK_…, DAVIT_LOOP … */
	uint32_t workers, unused;   /* threads of a worker lane; 0: 4 */
	const char *type, *version; /* "state.acme", "v1" */
	const void *ops;	    /* the block's table */
	davit_status (*open)(void *none, struct davit_call *call, const struct davit_open *in);
	davit_status (*close)(void *self, struct davit_call *call, const void *none); /* frees self */
	davit_status (*ping)(void *self, struct davit_call *call, const void *none);  /* NULL: not offered */
};

struct davit_plugin {
	uint32_t size, abi, sdk_minor, min_minor; /* frozen */
	const char *name, *version, *vendor;
	const struct davit_component *const *components; /* NULL ends the list */
};
typedef const struct davit_plugin *davit_entry(void);

/* The same facts, readable without running the plugin: an ELF note of type 1, owner "Davit". */
struct davit_note {
	uint32_t namesz, descsz, type;
	char owner[8];
	uint32_t abi, sdk_minor, min_minor, unused;
	char name[96], version[32];
};

#define DAVIT_PLUGIN_SINCE(min_minor_, name_, version_, vendor_, ...) \
	__attribute__((section(".note.davit"), used, aligned(4))) static const struct davit_note davit_note_ = { \
		8, \
		(uint32_t)(sizeof(struct davit_note) - 20), \
		1, \
		"Davit", \
		DAVIT_ABI, \
		DAVIT_SDK_MINOR, \
		(min_minor_), \
		0, \
		name_, \
		version_ \
	}; \
	static const struct davit_component *const davit_components_[] = { __VA_ARGS__, NULL }; \
	static const struct davit_plugin davit_plugin_ = { (uint32_t)sizeof(struct davit_plugin), \
							   DAVIT_ABI, \
							   DAVIT_SDK_MINOR, \
							   (min_minor_), \
							   name_, \
							   version_, \
							   vendor_, \
							   davit_components_ }; \
	DAVIT_EXTERN __attribute__((visibility("default"))) const struct davit_plugin *davit_plugin_v1(void); \
	DAVIT_EXTERN const struct davit_plugin *davit_plugin_v1(void) \
	{ \
		return &davit_plugin_; \
	} \
	struct davit_plugin /* eats the caller's semicolon */

/* Written once a plugin: DAVIT_PLUGIN("acme", "2.3.0", "Acme Corp", &store, ...); */
#define DAVIT_PLUGIN(name_, version_, vendor_, ...) DAVIT_PLUGIN_SINCE(0, name_, version_, vendor_, __VA_ARGS__)

#ifdef __cplusplus
#define DAVIT_EXTERN extern "C"
#else
#define DAVIT_EXTERN
#endif

/* Completes a call that returned DAVIT_PENDING: once, from any thread, and perhaps before the operation has returned. */
static inline void davit_done(struct davit_call *call, davit_status status)
{
	call->host->done(call, status);
}

/* DAVIT_OK; DAVIT_EXHAUSTED: no memory or no credit; DAVIT_CANCELLED: nobody waits any more. */
static inline davit_status davit_emit(struct davit_call *call, const void *record)
{
	return call->host->emit(call, record);
}

/* The record's bytes and strings stay the plugin's until release(arg), which is called exactly once, from any thread. */
static inline davit_status davit_emit_owned(struct davit_call *call, const void *record, void (*release)(void *arg),
					    void *arg)
{
	return call->host->emit_owned(call, record, release, arg);
}

static inline davit_status davit_emit_self(struct davit_call *call, void *self)
{
	struct davit_opened record = { (uint32_t)sizeof(record), davit_opened_kind, self, 0, 0 };

	return davit_emit(call, &record);
}

/* Records why and returns the status, so that an error path is one `return`. reason: a word of the block's header, or NULL. */
static inline davit_status davit_fail_text(struct davit_call *call, davit_status status, const char *reason,
					   const char *text, size_t n)
{
	call->host->fail(call, status, reason, text, n);
	return status;
}

__attribute__((format(printf, 4, 5))) static inline davit_status davit_fail(struct davit_call *call,
									    davit_status status, const char *reason,
									    const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0)
		n = 0;
	if ((size_t)n >= sizeof(text))
		n = (int)sizeof(text) - 1;
	return davit_fail_text(call, status, reason, text, (size_t)n);
}

/* Milliseconds until the kernel stops waiting: INT64_MAX without a deadline, 0 when it has passed. */
static inline int64_t davit_remaining_ms(const struct davit_call *call)
{
	return call->host->remaining_ms(call);
}

static inline int davit_timeout_ms(const struct davit_call *call)
{
	int64_t ms = davit_remaining_ms(call);

	return ms > INT32_MAX ? INT32_MAX : (int)ms;
}

static inline int davit_cancelled(const struct davit_call *call)
{
	return call->host->cancelled(call) != 0;
}

/*
 * fn(arg) runs once when the call is cancelled, at once if it was already, on any thread; never after davit_done. fn == NULL
 * takes it back: when that has returned, fn neither runs nor starts.
 */
static inline int davit_on_cancel(struct davit_call *call, void (*fn)(void *arg), void *arg)
{
	return call->host->on_cancel(call, fn, arg);
}

/*
 * How many records a long call may still emit before what it emitted is settled; INT64_MAX: no limit, as in any other
 * call. Whoever saw 0 here, or DAVIT_EXHAUSTED from emit, is called back by davit_on_credit's function.
 */
static inline int64_t davit_credit(struct davit_call *call)
{
	return DAVIT_HAS(davit_host, call->host, credit) ? call->host->credit(call) : INT64_MAX;
}

/*
 * fn(arg) runs each time there is credit again after it had run out, on the call's loop: it must not block, and may emit,
 * which then never waits. Set once, before anything is emitted; never after davit_done. -1: this call has no credit.
 */
static inline int davit_on_credit(struct davit_call *call, void (*fn)(void *arg), void *arg)
{
	return DAVIT_HAS(davit_host, call->host, on_credit) ? call->host->on_credit(call, fn, arg) : -1;
}

/* Memory that lives as long as the call, aligned to 16; NULL: none left. */
static inline void *davit_alloc(struct davit_call *call, size_t n)
{
	return call->host->alloc(call, n);
}

/* For background work. What an operation returns it does not also log. */
__attribute__((format(printf, 3, 4))) static inline void davit_log(struct davit_instance *instance, int level,
								   const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	if ((size_t)n >= sizeof(text))
		n = (int)sizeof(text) - 1;
	instance->host->log(instance, level, text, (size_t)n);
}

/* Adds to a counter of this instance, exposed as davit_plugin_<name>. */
static inline void davit_count(struct davit_instance *instance, const char *name, int64_t n)
{
	instance->host->count(instance, name, n);
}

static inline struct davit_str davit_str(const char *c)
{
	struct davit_str s;

	s.p = c;
	s.n = c ? strlen(c) : 0;
	return s;
}

static inline int davit_str_is(struct davit_str s, const char *c)
{
	return s.n == strlen(c) && memcmp(s.p, c, s.n) == 0;
}

/* A property's value; p == NULL: not given and no default. */
static inline struct davit_str davit_prop(const struct davit_open *in, const char *name)
{
	uint64_t i;

	for (i = 0; i < in->nprops; i++)
		if (davit_str_is(in->props[i].key, name))
			return in->props[i].value;
	return davit_str(NULL);
}

#ifdef __cplusplus
}
#endif
#endif
