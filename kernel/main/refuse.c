/* SPDX-License-Identifier: Apache-2.0 */
#include "main/refuse.h"

#include "base/banned.h"
#include "base/log.h"

#define LOG_SCOPE "dapr.runtime"

int refuse_unprotected(const struct options *o, const struct configuration *c, struct arena *a, struct str *ret_message)
{
	const struct {
		int asked;
		const char *what;
	} list[] = {
		{ o->enable_mtls,
		  "--enable-mtls: mutual TLS between sidecars is not part of this version: start without it where "
		  "the network is trusted" },
		{ str_is(o->mode, "kubernetes"), "--mode kubernetes: this version runs standalone only" },
		{ c->access.given && (c->access.npolicies > 0 || !str_ieq(c->access.default_action, STR("allow"))),
		  "Configuration spec.accessControl: access control is not part of this version: remove it, and keep "
		  "others from "
		  "calling in another way" },
		{ c->http_pipeline.nhandlers > 0,
		  "Configuration spec.httpPipeline: HTTP pipelines are not part of this version: "
		  "remove it if the calls need not pass it" },
		{ c->app_http_pipeline.nhandlers > 0,
		  "Configuration spec.appHttpPipeline: HTTP pipelines are not part of this "
		  "version: remove it if the calls need not pass it" },
	};
	size_t i;

	for (i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		if (list[i].asked) {
			*ret_message = arena_printf(a, "%s", list[i].what);
			return -1;
		}
	}
	return 0;
}

void refuse_tell_unused(const struct options *o, const struct configuration *c)
{
	const struct {
		int given;
		const char *what;
	} list[] = {
		{ o->placement_host_address.n > 0,
		  "--placement-host-address: the actor runtime is not part of this version" },
		{ o->scheduler_host_address.n > 0, "--scheduler-host-address: jobs are not part of this version" },
		{ o->sentry_address.n > 0, "--sentry-address: mutual TLS is not part of this version" },
		{ o->control_plane_address.n > 0,
		  "--control-plane-address: Kubernetes mode is not part of this version" },
		{ c->workflow.max_workflows > 0 || c->workflow.max_activities > 0,
		  "Configuration spec.workflow: the workflow engine is not part of this version" },
	};
	size_t i;

	for (i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		if (list[i].given)
			log_debug("%s; it is read and has no effect", list[i].what);
}
