/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP skins, one function a route. Each answers the request. */
#ifndef API_HANDLERS_H
#define API_HANDLERS_H
#include "api/request.h"

void state_http_get(struct request *r);
void state_http_save(struct request *r);
void state_http_delete(struct request *r);
void state_http_bulk_get(struct request *r);
void state_http_transact(struct request *r);
void state_http_query(struct request *r);
void secrets_http_get(struct request *r);
void secrets_http_bulk(struct request *r);
void pubsub_http_publish(struct request *r);
void pubsub_http_bulk(struct request *r);
int invoke_http_is(struct str path); /* 1: below /v1.0/invoke/ */
void invoke_http(struct request *r);
void metadata_http_get(struct request *r);
void metadata_http_put(struct request *r);
void health_http_get(struct request *r);
void health_http_outbound(struct request *r);
void shutdown_http_post(struct request *r);
#endif
