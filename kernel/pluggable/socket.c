/* SPDX-License-Identifier: Apache-2.0 */
#include "pluggable/socket.h"

#include <grpc/reflection/v1/reflection.pb-c.h>
#include <sys/stat.h>

#include "base/banned.h"
#include "grpc/client.h"
#include "loop/loop.h"

typedef Grpc__Reflection__V1__ServerReflectionResponse response;

int socket_identify(const char *path, struct socket_identity *ret_identity)
{
	struct stat st;

	if (stat(path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return -1;
	*ret_identity = (struct socket_identity){ st.st_dev, st.st_ino,
						  st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec };
	return 0;
}

struct grpc_client *socket_client(const char *path)
{
	struct grpc_client_options o = grpc_client_defaults();

	o.host = str_of(path);
	o.message_limit = SOCKET_MESSAGE_LIMIT;
	o.connect_timeout_ms = 5000;
	o.idle_timeout_ms = 0;
	return grpc_client_new(loop_self(), &o);
}

static int lists(const response *r, const char *service)
{
	size_t i;

	if (r->message_response_case !=
	    GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_LIST_SERVICES_RESPONSE)
		return 0;
	for (i = 0; i < r->list_services_response->n_service; i++)
		if (strcmp(r->list_services_response->service[i]->name, service) == 0)
			return 1;
	return 0;
}

/* v1 and v1alpha differ in their names only. 1, 0; -1: *ret_error. */
static int ask(struct grpc_client *c, struct str path, const char *service, int64_t deadline_ns, struct arena *a,
	       struct error *ret_error)
{
	Grpc__Reflection__V1__ServerReflectionRequest in = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
	struct grpc_request q = { .path = path, .deadline_ns = deadline_ns };
	struct grpc_stream *s = grpc_stream_new(c, a);
	void *out;
	int rc;

	*ret_error = (struct error){ .code = ERROR_RESOURCE_EXHAUSTED, .message = STR("out of memory") };
	if (s == NULL)
		return -1;
	in.message_request_case = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_LIST_SERVICES;
	in.list_services = (char *)"";
	*ret_error = grpc_stream_start(s, &q);
	if (error_is(ret_error))
		return -1;
	if (grpc_stream_send(s, &in.base) == 0)
		grpc_stream_end(s);
	rc = grpc_stream_recv(s, &grpc__reflection__v1__server_reflection_response__descriptor, &out, ret_error);
	if (rc > 0)
		rc = lists(out, service);
	grpc_stream_close(s);
	return rc;
}

int socket_serves(const char *path, const char *service, int64_t deadline_ns, struct arena *a, struct str *ret_message)
{
	struct grpc_client *c = socket_client(path);
	struct error e = ERROR_NONE;
	int rc;

	if (c == NULL) {
		*ret_message = STR("out of memory");
		return -1;
	}
	rc = ask(c, STR("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"), service, deadline_ns, a, &e);
	if (rc < 0 && e.code == ERROR_UNIMPLEMENTED)
		rc = ask(c, STR("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"), service, deadline_ns, a,
			 &e);
	grpc_client_free(c);
	if (rc == 0)
		*ret_message = arena_printf(a, "%s does not serve %s", path, service);
	if (rc >= 0)
		return rc;
	*ret_message = arena_printf(a, "%s cannot be asked by gRPC reflection what it serves: %s: " STR_FMT, path,
				    error_code_name(e.code), STR_ARG(e.message));
	return e.code == ERROR_UNAVAILABLE || e.code == ERROR_DEADLINE_EXCEEDED ? -1 : -2;
}
