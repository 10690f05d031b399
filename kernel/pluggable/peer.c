/* SPDX-License-Identifier: Apache-2.0 */
#include "pluggable/peer.h"

#include <dapr/proto/components/v1/common.pb-c.h>
#include <dapr/proto/components/v1/state.pb-c.h>

#include "base/banned.h"
#include "base/mem.h"
#include "pluggable/peer_inside.h"
#include "plugin/adapter.h"
#include "plugin/instance.h"

#define PACKAGE "/dapr.proto.components.v1."
#define MESSAGE(name) &dapr__proto__components__v1__##name##__descriptor

static void unref_shared(struct peer_shared *s)
{
	if (s == NULL || atomic_fetch_sub(&s->refs, 1) > 1)
		return;
	pthread_mutex_destroy(&s->lock);
	mem_free(s->init);
	mem_free(s);
}

static void free_peer(struct peer *p)
{
	if (p == NULL)
		return;
	grpc_client_free(p->client);
	unref_shared(p->shared);
	mem_free(p);
}

/* InitRequest, SecretStoreInitRequest and PubSubInitRequest are the same on the wire. */
static int pack_init(struct peer_job *j, const struct davit_open *in, struct peer_shared *s)
{
	Dapr__Proto__Components__V1__InitRequest init = DAPR__PROTO__COMPONENTS__V1__INIT_REQUEST__INIT;
	Dapr__Proto__Components__V1__MetadataRequest metadata = DAPR__PROTO__COMPONENTS__V1__METADATA_REQUEST__INIT;

	metadata.properties = peer_map(j, MESSAGE(metadata_request__properties_entry), in->props, in->nprops);
	metadata.n_properties = in->nprops;
	init.metadata = &metadata;
	if (j->broken)
		return -1;
	s->ninit = protobuf_c_message_get_packed_size(&init.base);
	s->init = mem_alloc(s->ninit + 1);
	if (s->init == NULL)
		return -1;
	protobuf_c_message_pack(&init.base, (uint8_t *)s->init);
	return 0;
}

static struct peer *peer_new(const struct davit_open *in, const char *service)
{
	struct instance *i = instance_of(in->instance);
	const struct socket *socket = instance_type(i)->adapter;
	struct peer *p = mem_zalloc(sizeof(*p));

	if (p == NULL)
		return NULL;
	p->max_ops = -1;
	if (in->loop > 0) {
		p->shared = ((struct peer *)instance_self(i, 0))->shared;
		atomic_fetch_add(&p->shared->refs, 1);
	} else if ((p->shared = mem_zalloc(sizeof(*p->shared))) != NULL) {
		p->shared->refs = 1;
		p->shared->path = socket->path;
		p->shared->service = service;
		p->shared->name = (struct str){ in->name.p, in->name.n };
		pthread_mutex_init(&p->shared->lock, NULL);
	}
	if (p->shared == NULL || (p->client = socket_client(socket->path)) == NULL) {
		free_peer(p);
		return NULL;
	}
	return p;
}

struct opening {
	const struct davit_open *in;
	peer_fn *first;
};

static struct davit_opened opened_by(struct peer_job *j)
{
	return (struct davit_opened)DAVIT_INIT(davit_opened, .self = j->peer);
}

static davit_status greet(struct peer_job *j, const void *arg)
{
	const struct opening *o = arg;
	struct davit_opened opened = opened_by(j);

	if (o->in->loop > 0)
		return davit_emit(j->call, &opened);
	if (pack_init(j, o->in, j->peer->shared) < 0)
		return j->broken ? davit_fail(j->call, DAVIT_INVALID_ARGUMENT, NULL,
					      "a metadata value holds a NUL, which the protocol cannot carry")
				 : davit_fail(j->call, DAVIT_EXHAUSTED, NULL, "out of memory");
	return o->first(j, NULL);
}

davit_status peer_open(struct davit_call *call, const struct davit_open *in, const char *service, peer_fn *first)
{
	struct opening o = { in, first };
	struct peer *p = peer_new(in, service);
	davit_status status;

	if (p == NULL)
		return davit_fail(call, DAVIT_EXHAUSTED, NULL, "out of memory");
	status = peer_run(p, call, greet, &o);
	if (status != DAVIT_OK)
		free_peer(p);
	return status;
}

int64_t *peer_max_ops(struct peer *p)
{
	return &p->max_ops;
}

davit_status peer_first(struct peer_job *j, const char *method, const struct peer_feature *known)
{
	Dapr__Proto__Components__V1__FeaturesRequest in = DAPR__PROTO__COMPONENTS__V1__FEATURES_REQUEST__INIT;
	const Dapr__Proto__Components__V1__FeaturesResponse *reply;
	struct davit_opened opened = opened_by(j);
	davit_status status;
	size_t i, k;
	void *out;

	status = peer_ask(j, method, &in.base, &dapr__proto__components__v1__features_response__descriptor, &out);
	if (status != DAVIT_OK)
		return status;
	reply = out;
	for (i = 0; i < reply->n_features; i++)
		for (k = 0; known[k].name != NULL; k++)
			if (strcmp(reply->features[i], known[k].name) == 0)
				opened.features |= known[k].bit;
	return davit_emit(j->call, &opened);
}

davit_status peer_close(void *self, struct davit_call *call, const void *none)
{
	struct peer *p = self;

	(void)call, (void)none;
	p->closed = 1;
	grpc_client_free(p->client); /* what is under way ends at once */
	p->client = NULL;
	if (p->calls == 0)
		free_peer(p);
	return DAVIT_OK;
}

void peer_hold(struct peer *p)
{
	p->calls++;
}

void peer_let_go(struct peer *p)
{
	if (--p->calls == 0 && p->closed)
		free_peer(p);
}

static void cancel(void *arg)
{
	struct peer_job *j = arg;

	if (j->now != NULL)
		grpc_stream_cancel(j->now);
}

davit_status peer_run(void *self, struct davit_call *call, peer_fn *fn, const void *in)
{
	struct arena *a = call_arena(call);
	struct peer_job *j = arena_try(a, sizeof(*j));
	struct peer *p = self;
	davit_status status;
	jmp_buf oom;

	if (j == NULL)
		return davit_fail(call, DAVIT_EXHAUSTED, NULL, "out of memory");
	*j = (struct peer_job){ .peer = p, .call = call, .arena = a };
	peer_hold(p);
	davit_on_cancel(call, cancel, j);
	arena_on_oom(a, &oom);
	if (setjmp(oom)) {
		grpc_stream_close(j->now);
		j->now = NULL;
		status = davit_fail(call, DAVIT_EXHAUSTED, NULL, "out of memory");
	} else {
		status = fn(j, in);
	}
	arena_on_oom(a, NULL);
	davit_on_cancel(call, NULL, NULL);
	peer_let_go(p);
	return status;
}

int peer_call(struct peer_job *j, const char *method, const ProtobufCMessage *in, const ProtobufCMessageDescriptor *out,
	      void **ret_reply, struct status *ret_end)
{
	size_t n = protobuf_c_message_get_packed_size(in);
	uint8_t *packed = arena_alloc(j->arena, n + 1);
	struct str path = arena_printf(j->arena, PACKAGE "%s", method);

	if (j->broken) {
		*ret_end = (struct status){ .code = ERROR_INVALID_ARGUMENT,
					    .message = STR(
						    "a key or value holds a NUL, which the protocol cannot carry") };
		return -1;
	}
	protobuf_c_message_pack(in, packed);
	if (peer_check_in(j, ret_end) < 0)
		return -1;
	return peer_exchange(j, path, (struct str){ (char *)packed, n }, call_deadline_ns(j->call), out, ret_reply,
			     ret_end);
}

davit_status peer_fail(struct peer_job *j, const struct status *end)
{
	struct str text = status_text(j->arena, end);
	struct error *e;

	if (end->said) {
		e = status_error(j->arena, end);
		if (e->http != 0) /* as Dapr prints errors of its own */
			text = arena_printf(j->arena, "api error: code = %s desc = " STR_FMT,
					    error_code_name(end->code), STR_ARG(end->message));
		call_explain(j->call, e);
	}
	return davit_fail_text(j->call, end->code, NULL, text.p, text.n);
}

davit_status peer_ask(struct peer_job *j, const char *method, const ProtobufCMessage *in,
		      const ProtobufCMessageDescriptor *out, void **ret_reply)
{
	struct status end;

	return peer_call(j, method, in, out, ret_reply, &end) < 0 ? peer_fail(j, &end) : DAVIT_OK;
}

static davit_status ping(struct peer_job *j, const void *none)
{
	Dapr__Proto__Components__V1__PingRequest in = DAPR__PROTO__COMPONENTS__V1__PING_REQUEST__INIT;
	struct str method = arena_printf(j->arena, "%s/Ping", j->peer->shared->service);
	void *out;

	(void)none;
	return peer_ask(j, method.p, &in.base, MESSAGE(ping_response), &out);
}

davit_status peer_ping(void *self, struct davit_call *call, const void *none)
{
	return peer_run(self, call, ping, none);
}

char *peer_text(struct peer_job *j, struct davit_str s)
{
	if (s.p == NULL)
		return (char *)"";
	if (memchr(s.p, '\0', s.n) != NULL)
		j->broken = 1;
	return (char *)s.p; /* a NUL ends it: davit/plugin.h */
}

/* The layout of every entry of a map of texts. */
struct entry {
	ProtobufCMessage base;
	char *key, *value;
};

void *peer_map(struct peer_job *j, const ProtobufCMessageDescriptor *type, const struct davit_pair *pairs, uint64_t n)
{
	struct entry *entries, **list;
	uint64_t i;

	if (n == 0)
		return NULL;
	entries = arena_alloc(j->arena, sizeof(*entries) * n);
	list = arena_alloc(j->arena, sizeof(*list) * n);
	for (i = 0; i < n; i++) {
		protobuf_c_message_init(type, &entries[i]);
		entries[i].key = peer_text(j, pairs[i].key);
		entries[i].value = peer_text(j, pairs[i].value);
		list[i] = &entries[i];
	}
	return list;
}

const struct davit_pair *peer_pairs(struct peer_job *j, void *entries, size_t n)
{
	struct entry **e = entries;
	struct davit_pair *pairs;
	size_t i;

	if (n == 0)
		return NULL;
	pairs = arena_alloc(j->arena, sizeof(*pairs) * n);
	for (i = 0; i < n; i++)
		pairs[i] = (struct davit_pair){ davit_str(e[i]->key), davit_str(e[i]->value) };
	return pairs;
}

static void nothing(void *arg)
{
	(void)arg;
}

davit_status peer_emit(struct peer_job *j, const void *record)
{
	return davit_emit_owned(j->call, record, nothing, NULL);
}
