/* SPDX-License-Identifier: Apache-2.0 */
/* One call over the wire, and who has to be told Init before it. */
#include <dapr/proto/components/v1/state.pb-c.h>

#include "base/banned.h"
#include "base/clock.h"
#include "base/log.h"
#include "grpc/server.h"
#include "loop/fiber.h"
#include "loop/loop.h"
#include "pluggable/peer_inside.h"
#include "plugin/adapter.h"

#define LOG_SCOPE "davit.pluggable"
#define CHECK_IN_NS (INT64_C(5) * 1000000000) /* for a component that came back: Dapr's default for a first Init */

static int failed(struct status *ret_end, int code, struct str message)
{
	*ret_end = (struct status){ .code = code, .message = message };
	return -1;
}

static struct str try_copy(struct arena *a, struct str s)
{
	char *p = s.n > 0 ? arena_try(a, s.n + 1) : NULL;

	if (p == NULL)
		return STR_NONE;
	memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	return (struct str){ p, s.n };
}

/* The only message, and that the call then ends well. */
static int receive(struct grpc_stream *s, struct arena *a, const ProtobufCMessageDescriptor *type, void **ret_reply,
		   struct error *ret_error)
{
	void *reply = NULL;
	struct str bytes;
	int rc = grpc_stream_recv_bytes(s, &bytes, ret_error);

	if (rc > 0) {
		reply = grpc_unpack(a, type, bytes, ret_error);
		if (reply == NULL)
			return -1;
		rc = grpc_stream_recv_bytes(s, &bytes, ret_error);
	}
	if (rc == 0 && reply != NULL) {
		*ret_reply = reply;
		return 0;
	}
	if (rc >= 0)
		*ret_error = (struct error){ .code = ERROR_INTERNAL,
					     .message = STR("the component did not answer with one message") };
	return -1;
}

int peer_exchange(struct peer_job *j, struct str path, struct str message, int64_t deadline_ns,
		  const ProtobufCMessageDescriptor *out, void **ret_reply, struct status *ret_end)
{
	struct peer *p = j->peer;
	struct http_field instance = { STR("x-component-instance"), p->shared->name };
	struct grpc_request q = { .path = path, .deadline_ns = deadline_ns, .metadata = &instance, .nmetadata = 1 };
	struct grpc_stream *s;
	struct error e;
	int rc;

	if (p->closed || davit_cancelled(j->call))
		return failed(ret_end, ERROR_CANCELLED, STR("context canceled"));
	s = grpc_stream_new(p->client, j->arena);
	if (s == NULL)
		return failed(ret_end, ERROR_RESOURCE_EXHAUSTED, STR("out of memory"));
	j->now = s;
	e = grpc_stream_start_whole(s, &q, message);
	rc = error_is(&e) ? -1 : receive(s, j->arena, out, ret_reply, &e);
	if (rc < 0) {
		failed(ret_end, e.code, try_copy(j->arena, e.message));
		ret_end->said = grpc_stream_trailer(s, STR("grpc-status")).p != NULL;
		ret_end->details = try_copy(j->arena, grpc_stream_trailer(s, STR("grpc-status-details-bin")));
		p->doubtful = 1;
	}
	j->now = NULL;
	grpc_stream_close(s);
	return rc;
}

/* 1: who would be asked was told Init. */
static int greeted(struct peer *p, struct socket_identity *ret_now)
{
	struct peer_shared *s = p->shared;
	int there, same;

	if (!p->doubtful && http_client_connections(grpc_client_http(p->client)) > 0)
		return 1;
	there = socket_identify(s->path, ret_now) == 0;
	if (!there)
		*ret_now = (struct socket_identity){ .made_ns = 0 };
	pthread_mutex_lock(&s->lock);
	same = s->greeted && (!there || (s->identity.device == ret_now->device && s->identity.inode == ret_now->inode &&
					 s->identity.made_ns == ret_now->made_ns));
	pthread_mutex_unlock(&s->lock);
	if (same && there)
		p->doubtful = 0;
	return same;
}

/* A connection that is still there may lead to the process that went. */
static void connect_anew(struct peer *p)
{
	struct grpc_client *fresh = socket_client(p->shared->path);

	if (fresh == NULL)
		return;
	grpc_client_free(p->client);
	p->client = fresh;
}

static int tell_init(struct peer_job *j, const struct socket_identity *now, struct status *ret_end)
{
	struct peer_shared *s = j->peer->shared;
	int64_t until = clock_ns() + CHECK_IN_NS, deadline = call_deadline_ns(j->call);
	char path[100];
	void *out;
	int n = snprintf(path, sizeof(path), "/dapr.proto.components.v1.%s/Init", s->service), again;

	pthread_mutex_lock(&s->lock);
	again = s->greeted;
	pthread_mutex_unlock(&s->lock);
	if (again) {
		if (http_client_connections(grpc_client_http(j->peer->client)) > 0)
			connect_anew(j->peer);
		deadline = deadline > 0 && deadline < until ? deadline : until;
	}
	if (peer_exchange(j, (struct str){ path, (size_t)n }, (struct str){ s->init, s->ninit }, deadline,
			  &dapr__proto__components__v1__init_response__descriptor, &out, ret_end) < 0)
		return -1;
	pthread_mutex_lock(&s->lock);
	s->greeted = 1;
	s->identity = *now;
	pthread_mutex_unlock(&s->lock);
	j->peer->doubtful = 0;
	if (again)
		log_info("The component behind %s was started anew: it is initialized again for " STR_FMT, s->path,
			 STR_ARG(s->name));
	return 0;
}

static void wake_all(struct peer *p)
{
	struct peer_waiter *w;

	for (w = p->waiting; w != NULL; w = w->next)
		fiber_wake(w->fiber);
}

static void unlink_waiter(struct peer *p, const struct peer_waiter *w)
{
	struct peer_waiter **at = &p->waiting;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
}

/* 0: the round ended well, or one has to be begun; -1: *ret_end. */
static int wait_round(struct peer_job *j, struct status *ret_end)
{
	struct peer *p = j->peer;
	struct peer_waiter w = { p->waiting, fiber_self() };
	unsigned round = p->round;
	int late = 0;

	p->waiting = &w;
	while (p->checking && p->round == round && !late && !davit_cancelled(j->call))
		late = fiber_park_until(call_deadline_ns(j->call)) < 0;
	unlink_waiter(p, &w);
	if (davit_cancelled(j->call))
		return failed(ret_end, ERROR_CANCELLED, STR("context canceled"));
	if (late)
		return failed(ret_end, ERROR_DEADLINE_EXCEEDED, STR("context deadline exceeded"));
	if (p->last.code == ERROR_OK || p->last.code == ERROR_CANCELLED || p->last.code == ERROR_DEADLINE_EXCEEDED)
		return 0; /* the last two were perhaps that one caller's */
	*ret_end = p->last;
	ret_end->message = try_copy(j->arena, p->last.message);
	return -1;
}

int peer_check_in(struct peer_job *j, struct status *ret_end)
{
	struct peer *p = j->peer;
	struct socket_identity now;
	int rc;

	if (p->closed)
		return failed(ret_end, ERROR_CANCELLED, STR("context canceled"));
	while (!greeted(p, &now)) {
		if (p->checking) {
			if (wait_round(j, ret_end) < 0)
				return -1;
			if (p->closed)
				return failed(ret_end, ERROR_CANCELLED, STR("context canceled"));
			continue;
		}
		p->checking = 1;
		rc = tell_init(j, &now, ret_end);
		p->checking = 0;
		p->round++;
		p->last = rc < 0 ? *ret_end : (struct status){ .code = ERROR_OK };
		p->last.details = STR_NONE;
		snprintf(p->last_text, sizeof(p->last_text), STR_FMT, STR_ARG(p->last.message));
		p->last.message = str_of(p->last_text);
		wake_all(p);
		return rc;
	}
	return 0;
}
