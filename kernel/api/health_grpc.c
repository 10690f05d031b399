/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grpc.health.v1 (https://github.com/grpc/grpc/blob/master/doc/health-checking.md) for the sidecar itself. A call with
 * dapr-app-id asks for the application's health and does not come here.
 */
#include <grpc/health/v1/health.pb-c.h>

#include "api/grpc.h"
#include "base/banned.h"
#include "base/clock.h"
#include "loop/fiber.h"

typedef Grpc__Health__V1__HealthCheckResponse response_type;

static struct error check_call(struct grpc_call *c, const Grpc__Health__V1__HealthCheckRequest *in)
{
	const struct grpc_service *const *s;
	struct str name = skin_text(in->service);

	for (s = c->o->services; *s != NULL && name.n > 0; s++)
		if (str_is(name, (*s)->name))
			return ERROR_NONE;
	return name.n == 0 ? ERROR_NONE : error_new(c->arena, ERROR_NOT_FOUND, NULL, "unknown service");
}

static int status_of(const struct grpc_call *c)
{
	return skin_of((struct grpc_call *)c)->api->ready & API_READY
		       ? GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
		       : GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING;
}

static struct error check(struct grpc_call *c, const void *request, const ProtobufCMessage **ret_reply)
{
	response_type *out = arena_alloc(c->arena, sizeof(*out));
	struct error e = check_call(c, request);

	if (error_is(&e))
		return e;
	grpc__health__v1__health_check_response__init(out);
	out->status = status_of(c);
	*ret_reply = &out->base;
	return ERROR_NONE;
}

static void wake(void *fiber)
{
	fiber_wake(fiber);
}

/* Tells the status now and whenever it changes; looks once a second, as nobody is told of it. */
static struct error watch(struct grpc_call *c)
{
	response_type out = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
	struct error e = ERROR_NONE;
	int last = -1;
	void *in;

	if (grpc_recv(c, &grpc__health__v1__health_check_request__descriptor, &in, &e) <= 0)
		return error_is(&e) ? e : error_new(c->arena, ERROR_INVALID_ARGUMENT, NULL, "no request was sent");
	e = check_call(c, in);
	if (error_is(&e) && e.code != ERROR_NOT_FOUND)
		return e;
	grpc_on_cancel(c, wake, fiber_self());
	while (grpc_over(c) == ERROR_OK) {
		out.status = error_is(&e) ? GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN
					  : status_of(c);
		if ((int)out.status != last && grpc_send(c, &out.base) < 0)
			break;
		last = (int)out.status;
		fiber_park_until(clock_ns() + 1000000000);
	}
	return error_new(c->arena, ERROR_CANCELLED, NULL, "the client has gone");
}

static const struct grpc_method methods[] = {
	{ "Check", GRPC_UNARY, &grpc__health__v1__health_check_request__descriptor,
	  &grpc__health__v1__health_check_response__descriptor, check, NULL },
	{ "Watch", GRPC_SERVER_STREAM, &grpc__health__v1__health_check_request__descriptor,
	  &grpc__health__v1__health_check_response__descriptor, NULL, watch },
};

const struct grpc_service health_service = { "grpc.health.v1.Health", methods, 2 };
