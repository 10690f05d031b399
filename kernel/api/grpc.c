/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every gRPC call passes: scope, token, allow list; then it is counted and logged. The services stand at the end.
 */
#include "api/grpc.h"

#include <google/protobuf/empty.pb-c.h>
#include <stdlib.h>

#include "api/access.h"
#include "api/errors.h"
#include "api/span.h"
#include "base/banned.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#define LOG_SCOPE "dapr.runtime.grpc.api"

static const Google__Protobuf__Empty empty = GOOGLE__PROTOBUF__EMPTY__INIT;
const ProtobufCMessage *const skin_empty = &empty.base;

/* The groups of the allow list, and what of them is not there yet. A name may end in '*'. */
static const struct {
	const char *group, *version, *method, *missing;
} groups[] = {
	{ "state", "v1", "GetState", NULL },
	{ "state", "v1", "GetBulkState", NULL },
	{ "state", "v1", "SaveState", NULL },
	{ "state", "v1", "DeleteState", NULL },
	{ "state", "v1", "DeleteBulkState", NULL },
	{ "state", "v1", "ExecuteStateTransaction", NULL },
	{ "state", "v1alpha1", "QueryStateAlpha1", NULL },
	{ "secrets", "v1", "GetSecret", NULL },
	{ "secrets", "v1", "GetBulkSecret", NULL },
	{ "metadata", "v1", "GetMetadata", NULL },
	{ "metadata", "v1", "SetMetadata", NULL },
	{ "shutdown", "v1", "Shutdown", NULL },
	{ "invoke", "v1", "InvokeService", NULL },
	{ "publish", "v1", "PublishEvent", NULL },
	{ "publish", "v1alpha1", "BulkPublishEventAlpha1", NULL },
	{ "publish", "v1", "BulkPublishEvent", NULL },
	{ "subscribe", "v1alpha1", "SubscribeTopicEventsAlpha1", NULL },
	{ "bindings", "v1", "InvokeBinding", "the bindings block" },
	{ "actors", "v1alpha1", "SubscribeActorEventsAlpha1", "the actor runtime" },
	{ "actors", "v1", "RegisterActor*", "the actor runtime" },
	{ "actors", "v1", "UnregisterActor*", "the actor runtime" },
	{ "actors", "v1", "ListActorReminders", "the actor runtime" },
	{ "actors", "v1", "GetActor*", "the actor runtime" },
	{ "actors", "v1", "ExecuteActorStateTransaction", "the actor runtime" },
	{ "actors", "v1", "InvokeActor", "the actor runtime" },
	{ "configuration", "v1alpha1", "GetConfigurationAlpha1", "the configuration block" },
	{ "configuration", "v1alpha1", "SubscribeConfigurationAlpha1", "the configuration block" },
	{ "configuration", "v1alpha1", "UnsubscribeConfigurationAlpha1", "the configuration block" },
	{ "configuration", "v1", "GetConfiguration", "the configuration block" },
	{ "configuration", "v1", "SubscribeConfiguration", "the configuration block" },
	{ "configuration", "v1", "UnsubscribeConfiguration", "the configuration block" },
	{ "lock", "v1alpha1", "TryLockAlpha1", "the lock block" },
	{ "unlock", "v1alpha1", "UnlockAlpha1", "the lock block" },
	{ "crypto", "v1alpha1", "EncryptAlpha1", "the cryptography block" },
	{ "crypto", "v1alpha1", "DecryptAlpha1", "the cryptography block" },
	{ "subtlecrypto", "v1alpha1", "Subtle*", "the cryptography block" },
	{ "workflows", "v1alpha1", "StartWorkflowAlpha1", "the workflow engine" },
	{ "workflows", "v1alpha1", "GetWorkflowAlpha1", "the workflow engine" },
	{ "workflows", "v1alpha1", "PurgeWorkflowAlpha1", "the workflow engine" },
	{ "workflows", "v1alpha1", "TerminateWorkflowAlpha1", "the workflow engine" },
	{ "workflows", "v1alpha1", "PauseWorkflowAlpha1", "the workflow engine" },
	{ "workflows", "v1alpha1", "ResumeWorkflowAlpha1", "the workflow engine" },
	{ "workflows", "v1alpha1", "RaiseEventWorkflowAlpha1", "the workflow engine" },
	{ "workflows", "v1beta1", "StartWorkflowBeta1", "the workflow engine" },
	{ "workflows", "v1beta1", "GetWorkflowBeta1", "the workflow engine" },
	{ "workflows", "v1beta1", "PurgeWorkflowBeta1", "the workflow engine" },
	{ "workflows", "v1beta1", "TerminateWorkflowBeta1", "the workflow engine" },
	{ "workflows", "v1beta1", "PauseWorkflowBeta1", "the workflow engine" },
	{ "workflows", "v1beta1", "ResumeWorkflowBeta1", "the workflow engine" },
	{ "workflows", "v1beta1", "RaiseEventWorkflowBeta1", "the workflow engine" },
	{ "jobs", "v1alpha1", "ScheduleJobAlpha1", "the jobs API" },
	{ "jobs", "v1alpha1", "GetJobAlpha1", "the jobs API" },
	{ "jobs", "v1alpha1", "DeleteJobAlpha1", "the jobs API" },
	{ "jobs", "v1alpha1", "DeleteJobsByPrefixAlpha1", "the jobs API" },
	{ "jobs", "v1alpha1", "ListJobsAlpha1", "the jobs API" },
	{ "jobs", "v1", "ScheduleJob", "the jobs API" },
	{ "jobs", "v1", "GetJob", "the jobs API" },
	{ "jobs", "v1", "DeleteJob", "the jobs API" },
	{ "jobs", "v1", "DeleteJobsByPrefix", "the jobs API" },
	{ "jobs", "v1", "ListJobs", "the jobs API" },
	{ "conversation", "v1alpha1", "ConverseAlpha1", "the conversation block" },
	{ "conversation", "v1alpha2", "ConverseAlpha2", "the conversation block" },
};

static int group_of(struct str method)
{
	size_t i;

	for (i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		struct str name = str_of(groups[i].method);

		if (str_ends(name, STR("*")) ? str_starts(method, str_upto(name, name.n - 1)) : str_eq(method, name))
			return (int)i;
	}
	return -1;
}

static int is_dapr(const struct grpc_call *c)
{
	return str_is(c->service, "dapr.proto.runtime.v1.Dapr");
}

const struct davit_pair *skin_pairs(struct arena *a, void *entries, size_t n)
{
	struct skin_entry **e = entries;
	struct davit_pair *pairs;
	size_t i;

	if (n == 0)
		return NULL;
	pairs = arena_alloc(a, sizeof(*pairs) * n);
	for (i = 0; i < n; i++) {
		struct str key = skin_text(e[i]->key), value = skin_text(e[i]->value);

		pairs[i] = (struct davit_pair){ { key.p, key.n }, { value.p, value.n } };
	}
	return pairs;
}

/* A refusal before any method ran has HTTP's word for a message; what it is about stands in the detail, as Dapr's kit puts it. */
static struct error refuse(struct arena *a, int code, const char *word, const char *status, const char *why)
{
	struct error e = error_new(a, code, NULL, "%s", word);
	struct error_detail *info = error_detail(a, &e, DETAIL_ERROR_INFO);
	struct error_pair *pairs = arena_alloc(a, 2 * sizeof(*pairs));

	pairs[0] = (struct error_pair){ STR("http.code"), str_of(status) };
	pairs[1] = (struct error_pair){ STR("http.error_message"), str_of(why) };
	info->reason = str_of(word);
	info->npairs = 2;
	info->pairs = pairs;
	return e;
}

static struct error refuse_token(struct arena *a, const char *why)
{
	return refuse(a, ERROR_UNAUTHENTICATED, "Unauthorized", "401", why);
}

static struct error check_token(const struct api *api, struct grpc_call *c)
{
	struct str given = grpc_metadata(c, STR("dapr-api-token"));
	unsigned char differ = given.n != api->token.n;
	size_t i;

	if (api->token.n == 0)
		return ERROR_NONE;
	if (given.p == NULL)
		return refuse_token(c->arena, "missing api token in request metadata");
	for (i = 0; i < given.n && i < api->token.n; i++)
		differ |= (unsigned char)(given.p[i] ^ api->token.p[i]);
	if (differ)
		return refuse_token(c->arena, "authentication error: api token mismatch");
	return ERROR_NONE;
}

static struct error before(void *ctx, struct grpc_call *c)
{
	struct api *api = ctx;
	struct skin *s = arena_zalloc(c->arena, sizeof(*s));
	struct error e;
	int group;

	s->api = api;
	s->began_ns = c->x->started_ns;
	s->blocks = atomic_load_explicit(&api->blocks, memory_order_acquire);
	s->scope.arena = c->arena;
	s->scope.deadline_ns = c->deadline_ns;
	c->user = s;
	e = check_token(api, c);
	if (error_is(&e))
		return e;
	if (is_dapr(c)) {
		group = group_of(c->method_name);
		if (!access_grpc(api->access, group < 0 ? NULL : groups[group].group,
				 group < 0 ? NULL : groups[group].version))
			return refuse(c->arena, ERROR_UNIMPLEMENTED, "Not Implemented", "501",
				      "requested endpoint is not available");
	}
	grpc_on_cancel(c, scope_cancel, &s->scope);
	if (!is_dapr(c) && grpc_metadata(c, STR("dapr-app-id")).n == 0)
		return ERROR_NONE;
	e = span_check_baggage_grpc(c);
	if (!error_is(&e))
		span_begin_grpc(c, TRACE_CLIENT);
	return e;
}

static void log_call(struct api *api, struct grpc_call *c, const struct error *e, int64_t ns)
{
	struct str agent = grpc_metadata(c, STR("user-agent"));
	struct log_field fields[4];
	size_t n = 0;

	(void)api;
	fields[n++] = (struct log_field){ "code", arena_printf(c->arena, "%d", e->code), 1 };
	fields[n++] = (struct log_field){ "duration", arena_printf(c->arena, "%lld", (long long)(ns / 1000000)), 1 };
	fields[n++] = (struct log_field){ "method", c->path, 0 };
	if (agent.n > 0)
		fields[n++] = (struct log_field){ "useragent", agent, 0 };
	log_with(LOG_INFO, "dapr.runtime.grpc.api-info", fields, n, STR("gRPC API Called"));
}

static void after(void *ctx, struct grpc_call *c, const struct error *e)
{
	struct api *api = ctx;
	int64_t ns = clock_ns() - c->x->started_ns;

	if (c->user != NULL)
		span_end_grpc(c, e);
	if (error_is(e) && errors_code(e) != NULL && (e->tag != NULL || e->details != NULL))
		metrics_error_code(api->metrics, str_of(errors_code(e)), str_of(e->category ? e->category : "common"));
	if (c->method == NULL || c->method->kind == GRPC_UNARY)
		metrics_grpc_done(api->metrics, c->path, e->code, (int64_t)c->received,
				  error_is(e) ? 0 : (int64_t)c->sent, ns);
	if (api->log_calls && is_dapr(c))
		log_call(api, c, e, ns);
}

static struct error unknown(void *ctx, struct grpc_call *c)
{
	int group = is_dapr(c) ? group_of(c->method_name) : -1;

	if (group >= 0 && groups[group].missing != NULL)
		return error_new(c->arena, ERROR_UNIMPLEMENTED, NULL, "%s is not part of this version of Davit yet",
				 groups[group].missing);
	if (is_dapr(c))
		return error_new(c->arena, ERROR_UNIMPLEMENTED, NULL, "unknown method " STR_FMT " for service " STR_FMT,
				 STR_ARG(c->method_name), STR_ARG(c->service));
	return invoke_grpc_proxy(ctx, c);
}

/* The token is for clients, not for other sidecars, and there is no list of what they may ask. */
static struct error before_internal(void *ctx, struct grpc_call *c)
{
	struct api *api = ctx;
	struct skin *s = arena_zalloc(c->arena, sizeof(*s));

	s->api = api;
	s->began_ns = c->x->started_ns;
	s->scope.arena = c->arena;
	s->scope.deadline_ns = c->deadline_ns;
	c->user = s;
	grpc_on_cancel(c, scope_cancel, &s->scope);
	if (c->method == NULL && !str_is(c->service, "dapr.proto.internals.v1.ServiceInvocation"))
		span_begin_grpc(c, TRACE_SERVER);
	return ERROR_NONE;
}

static struct error unknown_internal(void *ctx, struct grpc_call *c)
{
	if (str_is(c->service, "dapr.proto.internals.v1.ServiceInvocation"))
		return error_new(c->arena, ERROR_UNIMPLEMENTED, NULL,
				 "the actor runtime is not part of this version of Davit yet");
	return invoke_grpc_proxy(ctx, c);
}

static struct error shut_down(struct grpc_call *c, const void *request, const ProtobufCMessage **ret_reply)
{
	struct api *api = skin_of(c)->api;

	(void)request;
	*ret_reply = skin_empty;
	api->shut_down(api->ctx, str_ieq(grpc_metadata(c, STR("dapr-force-shutdown")), STR("true")));
	return ERROR_NONE;
}

const struct grpc_method runtime_grpc_methods[] = {
	{ "GetMetadata", GRPC_UNARY, &dapr__proto__runtime__v1__get_metadata_request__descriptor,
	  &dapr__proto__runtime__v1__get_metadata_response__descriptor, metadata_grpc_get, NULL },
	{ "SetMetadata", GRPC_UNARY, &dapr__proto__runtime__v1__set_metadata_request__descriptor,
	  &google__protobuf__empty__descriptor, metadata_grpc_set, NULL },
	{ "Shutdown", GRPC_UNARY, &dapr__proto__runtime__v1__shutdown_request__descriptor,
	  &google__protobuf__empty__descriptor, shut_down, NULL },
};
const size_t runtime_grpc_nmethods = sizeof(runtime_grpc_methods) / sizeof(runtime_grpc_methods[0]);

/* One service out of the rooms' tables. */
static const struct grpc_service *make_dapr(struct arena *a)
{
	size_t n = state_grpc_nmethods + secrets_grpc_nmethods + pubsub_grpc_nmethods + subscribe_grpc_nmethods +
		   invoke_grpc_nmethods + runtime_grpc_nmethods,
	       at = 0;
	struct grpc_method *all = arena_alloc(a, sizeof(*all) * n);
	struct grpc_service *s = arena_alloc(a, sizeof(*s));

	memcpy(all + at, state_grpc_methods, sizeof(*all) * state_grpc_nmethods);
	at += state_grpc_nmethods;
	memcpy(all + at, secrets_grpc_methods, sizeof(*all) * secrets_grpc_nmethods);
	at += secrets_grpc_nmethods;
	memcpy(all + at, pubsub_grpc_methods, sizeof(*all) * pubsub_grpc_nmethods);
	at += pubsub_grpc_nmethods;
	memcpy(all + at, subscribe_grpc_methods, sizeof(*all) * subscribe_grpc_nmethods);
	at += subscribe_grpc_nmethods;
	memcpy(all + at, invoke_grpc_methods, sizeof(*all) * invoke_grpc_nmethods);
	at += invoke_grpc_nmethods;
	memcpy(all + at, runtime_grpc_methods, sizeof(*all) * runtime_grpc_nmethods);
	*s = (struct grpc_service){ "dapr.proto.runtime.v1.Dapr", all, n };
	return s;
}

static void set_up_grpc(struct api *a)
{
	const struct grpc_service **services = arena_zalloc(a->arena, 7 * sizeof(*services));

	services[0] = make_dapr(a->arena);
	services[1] = &reflection_v1_service;
	services[2] = &reflection_v1alpha_service;
	services[3] = &health_service;
	a->grpc.services = services;
	a->grpc.ctx = a;
	a->grpc.message_limit = a->body_limit;
	a->grpc.before = before;
	a->grpc.after = after;
	a->grpc.unknown = unknown;
	a->grpc.details = errors_grpc;
	a->internal = a->grpc;
	a->proxy = a->grpc;
	a->proxy.services = services + 4; /* none */
	services[5] = &invoke_internal_service;
	a->internal.services = services + 5;
	a->internal.before = before_internal;
	a->internal.unknown = unknown_internal;
}

int api_init(struct api *a)
{
	set_up_grpc(a);
	return pthread_mutex_init(&a->extended_lock, NULL) == 0 ? 0 : -1;
}

void api_release(struct api *a)
{
	const struct map_entry *e;
	size_t at = 0;

	while ((e = map_next(&a->extended, &at)) != NULL)
		mem_free(e->value);
	map_free(&a->extended);
	grpc_release(&a->grpc);
	grpc_release(&a->proxy);
	grpc_release(&a->internal);
	pthread_mutex_destroy(&a->extended_lock);
}

void api_handle_grpc(void *api, struct http_exchange *x)
{
	struct api *a = api;
	int ours = str_starts(x->target, STR("/dapr.proto.runtime.v1.Dapr/"));

	/* Who names an application means its services, also those that we have ourselves, such as health. */
	grpc_handle(!ours && http_field(x, STR("dapr-app-id")).n > 0 ? &a->proxy : &a->grpc, x);
}

void api_handle_internal(void *api, struct http_exchange *x)
{
	grpc_handle(&((struct api *)api)->internal, x);
}

void api_refuse_grpc(void *api, struct http_exchange *x)
{
	grpc_refuse(&((struct api *)api)->grpc, x);
}
