/* SPDX-License-Identifier: Apache-2.0 */
/* What the queue (exporter.c) and the ways of sending (exporter_send.c) share. */
#ifndef TELEMETRY_EXPORTER_INSIDE_H
#define TELEMETRY_EXPORTER_INSIDE_H
#include <stdatomic.h>

#include "grpc/client.h"
#include "http/client.h"
#include "loop/fiber.h"
#include "telemetry/exporter.h"
#include "tls/context.h"

enum exporter_kind { EXPORTER_LOG, EXPORTER_OTLP_HTTP, EXPORTER_OTLP_GRPC, EXPORTER_ZIPKIN, EXPORTER_KINDS };

#define EXPORTER_QUEUE_BYTES (8u << 20)

struct exporter {
	struct exporters *all;
	enum exporter_kind kind;
	const char *name; /* in metrics and in the log */

	/* The queue: any thread puts in front, the fiber takes all. */
	_Atomic(struct span_copy *) newest;
	atomic_size_t count, bytes; /* of what is queued or on its way into the queue */
	struct loop_task wake;	    /* posted at most once at a time: */
	atomic_flag posted;
	struct metric_series *full, *failed, *sent;

	/* The fiber's own. */
	struct fiber *fiber;
	struct span_copy *taken, **taken_end; /* oldest first */
	int ended;			      /* all->lock */

	/* Where it goes; texts of the exporters' arena. */
	struct str host, target;
	int port;
	struct tls_context *tls; /* NULL: in the clear */
	struct http_field *fields;
	size_t nfields;
	struct http_client *http;
	struct grpc_client *grpc;
	struct http_call *http_call; /* under way */
	struct grpc_stream *stream;
};

struct exporters {
	struct arena *arena; /* settled by exporters_new() */
	struct exporter_options o;
	struct loop *loop;
	struct loop_task start, abort;
	atomic_int stopping;
	int aborted;	 /* the loop's */
	uv_mutex_t lock; /* taken alone */
	uv_cond_t ended;
	size_t n, running;
	struct exporter list[EXPORTER_KINDS];
};

/* Sets host, port, target and fields of a destination. -1: *ret_message. */
int exporter_aim(struct exporter *x, struct arena *a, struct str *ret_message);

/* One attempt, on the fiber. What became of it: */
enum exporter_outcome { EXPORTER_SENT, EXPORTER_AGAIN, EXPORTER_REFUSED };
enum exporter_outcome exporter_send(struct exporter *x, const struct span_copy *list, size_t n, struct arena *a,
				    struct str *ret_why);
void exporter_cancel(struct exporter *x);     /* on the loop: what is under way ends */
void exporter_disconnect(struct exporter *x); /* on the loop */
#endif
