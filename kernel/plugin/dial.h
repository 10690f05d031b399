/* SPDX-License-Identifier: Apache-2.0 */
/* TLS on a wire, shared by what makes a stream (dial.c) and what uses it (dial_stream.c). */
#ifndef PLUGIN_DIAL_H
#define PLUGIN_DIAL_H
#include "plugin/wire.h"

/* Sends all that the session has to say. */
davit_status dial_flush(struct davit_stream *s, struct service_work *w);
/* Makes a session and shakes hands; the host is the name when `tls` has none. */
davit_status dial_start_tls(struct davit_stream *s, struct service_work *w, const struct davit_tls *tls,
			    struct davit_str host);

davit_status dial_read(struct davit_stream *s, struct davit_call *call, void *p, uint64_t n, int64_t timeout_ms,
		       uint64_t *ret_n);
davit_status dial_write(struct davit_stream *s, struct davit_call *call, const struct davit_bytes *pieces,
			uint64_t npieces, int64_t timeout_ms);
void dial_shutdown(struct davit_stream *s);
void dial_close(struct davit_stream *s);
#endif
