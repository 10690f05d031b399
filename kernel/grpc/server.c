/* SPDX-License-Identifier: Apache-2.0 */
#include "grpc/server.h"

#include "base/banned.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "grpc/deadline.h"
#include "grpc/inside.h"

/* A method's key is its whole path "/service/Method", a service's is "/service". */
struct grpc_table {
	struct map paths;
};

static int table_set(struct grpc_table *t, const char *service, const char *method, const void *value)
{
	char key[512];
	int n = snprintf(key, sizeof(key), "/%s%s%s", service, method ? "/" : "", method ? method : "");

	if (n < 0 || (size_t)n >= sizeof(key))
		return -1;
	return map_set(&t->paths, (struct str){ key, (size_t)n }, (void *)value, NULL);
}

static void table_free(struct grpc_table *t)
{
	if (t == NULL)
		return;
	map_free(&t->paths);
	mem_free(t);
}

static struct grpc_table *table_new(const struct grpc_service *const *services)
{
	struct grpc_table *t = mem_zalloc(sizeof(*t));
	const struct grpc_service *s;
	size_t i;

	if (t == NULL)
		return NULL;
	t->paths = map_init();
	for (; services != NULL && (s = *services) != NULL; services++) {
		if (table_set(t, s->name, NULL, s) < 0)
			goto failed;
		for (i = 0; i < s->nmethods; i++)
			if (table_set(t, s->name, s->methods[i].name, &s->methods[i]) < 0)
				goto failed;
	}
	return t;
failed:
	table_free(t);
	return NULL;
}

/* Several loops may come first at once: one table stays. */
static struct grpc_table *table_of(struct grpc_options *o)
{
	struct grpc_table *t = atomic_load_explicit(&o->table, memory_order_acquire), *made;

	if (t != NULL)
		return t;
	made = table_new(o->services);
	if (made == NULL || atomic_compare_exchange_strong(&o->table, &t, made))
		return made;
	table_free(made);
	return t;
}

void grpc_release(struct grpc_options *o)
{
	table_free(atomic_exchange(&o->table, NULL));
}

/* As a Go program would print it. */
static struct str quoted(struct arena *a, struct str s)
{
	char *p = arena_alloc(a, s.n * 4 + 2), *to = p;
	size_t i;

	*to++ = '"';
	for (i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '"' || c == '\\')
			*to++ = '\\';
		if (c >= ' ' && c != 0x7f)
			*to++ = (char)c;
		else
			to += snprintf(to, 5, "\\x%02x", c);
	}
	*to++ = '"';
	return (struct str){ p, (size_t)(to - p) };
}

static int is_grpc(struct str content_type)
{
	size_t n = STR("application/grpc").n;

	return str_starts(content_type, STR("application/grpc")) &&
	       (content_type.n == n || content_type.p[n] == '+' || content_type.p[n] == ';');
}

static int set_timeout(struct grpc_call *c, struct str value, struct error *ret_error)
{
	int64_t ns = grpc_timeout_ns(value), now = clock_ns();

	if (ns < 0) {
		*ret_error = error_new(c->arena, ERROR_INTERNAL, NULL, "malformed grpc-timeout: %s: " STR_FMT,
				       grpc_timeout_problem(value), STR_ARG(quoted(c->arena, value)));
		return -1;
	}
	c->deadline_ns = ns > INT64_MAX - now ? INT64_MAX : now + ns;
	return 0;
}

/* Whether a list such as "identity, gzip" has it. */
static int lists(struct str list, struct str word)
{
	struct str part;

	while (str_split(&list, ',', &part))
		if (str_eq(str_trim(part), word))
			return 1;
	return 0;
}

/* One walk over the header block. 0; -1: *ret_error is for a 400. */
static int read_fields(struct grpc_call *c, struct error *ret_error)
{
	const struct http_field *f = c->x->fields, *end = f + c->x->nfields;
	int takes_gzip = 1, bad = 0;

	for (; f < end; f++) {
		struct str name = f->name;

		if (name.n == 12 && str_eq(name, STR("content-type"))) {
			c->content_type = f->value;
		} else if (name.n == 12 && str_eq(name, STR("grpc-timeout"))) {
			bad |= set_timeout(c, f->value, ret_error);
		} else if (name.n == 13 && str_eq(name, STR("grpc-encoding"))) {
			c->encoding = f->value;
		} else if (name.n == 20 && str_eq(name, STR("grpc-accept-encoding"))) {
			takes_gzip = lists(f->value, STR("gzip"));
		} else if (str_ends(name, STR("-bin")) && !grpc_is_base64(f->value)) {
			*ret_error = error_new(c->arena, ERROR_INTERNAL, NULL,
					       "malformed binary metadata " STR_FMT " in header \"" STR_FMT
					       "\": illegal base64 data",
					       STR_ARG(quoted(c->arena, f->value)), STR_ARG(name));
			bad = -1;
		}
	}
	c->gzip = takes_gzip && str_eq(c->encoding, STR("gzip"));
	return bad;
}

/* 0: a gRPC call; else what HTTP calls the refusal, and *ret_error what gRPC does. */
static int check(struct grpc_call *c, struct error *ret_error)
{
	int bad = read_fields(c, ret_error);

	if (!is_grpc(c->content_type)) {
		*ret_error = error_new(c->arena, ERROR_INVALID_ARGUMENT, NULL,
				       "invalid gRPC request content-type " STR_FMT,
				       STR_ARG(quoted(c->arena, c->content_type)));
		c->content_type = grpc_content_type(c->arena, STR_NONE);
		return 415;
	}
	c->content_type = grpc_content_type(c->arena, c->content_type);
	if (bad)
		return 400;
	if (!str_eq(c->x->method, STR("POST"))) {
		*ret_error = error_new(c->arena, ERROR_INTERNAL, NULL,
				       "Received a HEADERS frame with :method " STR_FMT " which should be POST",
				       STR_ARG(quoted(c->arena, c->x->method)));
		return 405;
	}
	return 0;
}

/* Splits the path at its last '/'. */
static int split_path(struct grpc_call *c)
{
	const char *slash;

	if (c->path.n == 0 || c->path.p[0] != '/')
		return -1;
	slash = memrchr(c->path.p + 1, '/', c->path.n - 1);
	if (slash == NULL)
		return -1;
	c->service = (struct str){ c->path.p + 1, (size_t)(slash - c->path.p) - 1 };
	c->method_name = str_from(c->path, (size_t)(slash - c->path.p) + 1);
	return 0;
}

static struct error unknown(struct grpc_call *c, struct grpc_table *t)
{
	if (map_get(&t->paths, str_upto(c->path, c->service.n + 1)) == NULL)
		return error_new(c->arena, ERROR_UNIMPLEMENTED, NULL, "unknown service " STR_FMT, STR_ARG(c->service));
	return error_new(c->arena, ERROR_UNIMPLEMENTED, NULL, "unknown method " STR_FMT " for service " STR_FMT,
			 STR_ARG(c->method_name), STR_ARG(c->service));
}

/* The handler's answer, sent but for its status. */
static struct error run_unary(struct grpc_call *c)
{
	const ProtobufCMessage *reply = NULL;
	struct error e = ERROR_NONE;
	struct str bytes;
	void *request;
	int rc = grpc_next_message(c, c->arena, &bytes, &e);

	if (rc < 0)
		return e;
	if (rc == 0)
		return (struct error){ .code = ERROR_UNKNOWN, .message = STR("EOF") };
	request = grpc_unpack(c->arena, c->method->in, bytes, &e);
	if (request == NULL) {
		if (e.code == ERROR_INTERNAL)
			e = error_new(c->arena, ERROR_INTERNAL, NULL, "grpc: error unmarshalling request: " STR_FMT,
				      STR_ARG(e.message));
		return e;
	}
	e = c->method->unary(c, request, &reply);
	if (error_is(&e) || c->over)
		return e;
	if (reply == NULL)
		return (struct error){ .code = ERROR_INTERNAL, .message = STR("grpc: no reply") };
	if (grpc_send_reply(c, reply) < 0)
		e = c->failed;
	return e;
}

static struct error run(struct grpc_call *c, struct grpc_options *o)
{
	struct grpc_table *t = table_of(o);
	struct error e;

	if (t == NULL)
		return GRPC_NO_MEMORY;
	if (split_path(c) < 0)
		return error_new(c->arena, ERROR_UNIMPLEMENTED, NULL, "malformed method name: " STR_FMT,
				 STR_ARG(quoted(c->arena, c->path)));
	/* A service's own key has no '/' behind the first byte, so it is never a whole path with a method. */
	c->method = map_get(&t->paths, c->path);
	if (c->method == NULL && o->unknown == NULL)
		return unknown(c, t);
	if (c->encoding.n > 0 && !str_eq(c->encoding, STR("gzip")) && !str_eq(c->encoding, STR("identity"))) {
		grpc_trailer(c, STR("grpc-accept-encoding"), STR("identity,gzip"));
		return error_new(c->arena, ERROR_UNIMPLEMENTED, NULL,
				 "grpc: Decompressor is not installed for grpc-encoding " STR_FMT,
				 STR_ARG(quoted(c->arena, c->encoding)));
	}
	if (o->before != NULL) {
		e = o->before(o->ctx, c);
		if (error_is(&e))
			return e;
	}
	if (c->method == NULL)
		return o->unknown(o->ctx, c);
	return c->method->kind == GRPC_UNARY ? run_unary(c) : c->method->stream(c);
}

/* What the client gets, or would have got. */
static struct error outcome(const struct grpc_call *c, struct error e)
{
	if (c->over == ERROR_DEADLINE_EXCEEDED)
		return (struct error){ .code = ERROR_DEADLINE_EXCEEDED, .message = STR("context deadline exceeded") };
	if (error_is(&c->failed))
		return c->failed;
	if (c->over && !error_is(&e))
		return (struct error){ .code = ERROR_CANCELLED, .message = STR("context canceled") };
	return e;
}

static void count(struct grpc_call *c, const struct error *e)
{
	if (c->counted)
		return;
	c->counted = 1;
	if (c->o->after != NULL)
		c->o->after(c->o->ctx, c, e);
}

static void serve(struct grpc_call *c, struct grpc_options *o)
{
	struct error e = ERROR_NONE;
	int http = check(c, &e);

	if (http != 0) {
		c->counted = 1;
		grpc_send_refusal(c, http, &e);
		return;
	}
	http_on_gone(c->x, grpc_call_gone, c);
	if (c->deadline_ns > 0 && c->deadline_ns <= clock_ns())
		grpc_call_expired(c);
	else if (c->deadline_ns > 0 && c->deadline_ns < INT64_MAX && grpc_deadline_set(c) < 0)
		c->failed = GRPC_NO_MEMORY;
	if (!c->over && !error_is(&c->failed))
		e = run(c, o);
	c->cancel_fn = NULL;
	e = outcome(c, e);
	grpc_send_status(c, &e);
	count(c, &e);
}

/* Without the arena, which has nothing left to give. */
static void serve_no_memory(struct grpc_call *c)
{
	static const struct http_field fields[] = { { STR("content-type"), STR("application/grpc") },
						    { STR("grpc-status"), STR("8") },
						    { STR("grpc-message"), STR("out of memory") } };
	static const struct error e = { .code = ERROR_RESOURCE_EXHAUSTED, .message = { "out of memory", 13 } };

	c->cancel_fn = NULL;
	if (c->writing) /* half a message may have left */
		http_abort(c->x, 0x2);
	else if (!c->ended && c->x->status == 0)
		http_reply(c->x, 200, fields, 3, STR_NONE);
	else if (!c->ended)
		http_end(c->x, fields + 1, 2);
	c->ended = 1;
	count(c, &e);
}

void grpc_handle(void *options, struct http_exchange *x)
{
	struct grpc_options *o = options;
	struct grpc_call *c = arena_try(x->arena, sizeof(*c));
	jmp_buf oom, *outer;

	if (c == NULL) {
		grpc_refuse(options, x);
		return;
	}
	*c = (struct grpc_call){ .x = x, .arena = x->arena, .o = o, .path = x->target };
	outer = arena_on_oom(x->arena, &oom);
	if (setjmp(oom) == 0)
		serve(c, o);
	else if (setjmp(oom) == 0)
		serve_no_memory(c);
	else if (!c->ended) /* not even that */
		http_abort(x, 0x2);
	arena_on_oom(x->arena, outer);
	http_on_gone(x, NULL, NULL);
	grpc_deadline_clear(c);
	arena_unref(c->message_arena);
}

void grpc_refuse(void *options, struct http_exchange *x)
{
	static const struct http_field fields[] = { { STR("content-type"), STR("application/grpc") },
						    { STR("grpc-status"), STR("8") },
						    { STR("grpc-message"), STR("too many calls at once") } };

	(void)options;
	http_reply(x, 200, fields, 3, STR_NONE);
}

void grpc_http_options(struct http_server_options *s)
{
	s->protocols = HTTP_2;
	s->no_date = 1;
	s->idle_body_timeout_ms = 0;
}
