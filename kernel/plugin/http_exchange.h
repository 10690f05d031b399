/* SPDX-License-Identifier: Apache-2.0 */
/* The second half of "davit.http/1": requests and answers in pieces. */
#ifndef PLUGIN_HTTP_EXCHANGE_H
#define PLUGIN_HTTP_EXCHANGE_H
#include <davit/http.h>

davit_status http_exchange_open(struct davit_instance *handle, struct davit_call *call,
				const struct davit_http_request *in, struct davit_http_exchange **ret_exchange);
davit_status http_exchange_write(struct davit_http_exchange *x, const struct davit_bytes *piece, int64_t timeout_ms);
davit_status http_exchange_finish(struct davit_http_exchange *x);
davit_status http_exchange_head(struct davit_http_exchange *x, int64_t timeout_ms,
				const struct davit_http_response **ret_response);
davit_status http_exchange_read(struct davit_http_exchange *x, void *p, uint64_t n, int64_t timeout_ms,
				uint64_t *ret_n);
void http_exchange_close(struct davit_http_exchange *x);
#endif
