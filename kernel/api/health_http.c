/* SPDX-License-Identifier: Apache-2.0 */
/* Health and shutdown over HTTP (https://docs.dapr.io/reference/api/health_api/). */
#include "api/handlers.h"
#include "base/banned.h"
#include "base/log.h"

#define LOG_SCOPE "dapr.runtime.http"

static void fail(struct request *r, const char *tag, struct str message)
{
	struct error e = { .code = ERROR_INTERNAL, .http = 500, .tag = tag, .category = "health", .message = message };

	request_fail(r, &e);
}

void health_http_get(struct request *r)
{
	struct str id = request_query(r, "appid");

	if (!(r->api->ready & API_READY))
		fail(r, "ERR_HEALTH_NOT_READY", arena_printf(r->arena, "dapr is not ready: [%s]", r->api->waiting_for));
	else if (id.p != NULL && !str_eq(id, r->api->app_id))
		fail(r, "ERR_HEALTH_APPID_NOT_MATCH", STR("dapr app-id does not match"));
	else
		request_empty(r);
}

void health_http_outbound(struct request *r)
{
	if (!(r->api->ready & API_READY_OUTBOUND))
		fail(r, "ERR_OUTBOUND_HEALTH_NOT_READY", STR("dapr outbound is not ready"));
	else
		request_empty(r);
}

void shutdown_http_post(struct request *r)
{
	int force = str_ieq(http_field(r->x, STR("dapr-force-shutdown")), STR("true"));

	request_empty(r);
	r->api->shut_down(r->api->ctx, force);
}
