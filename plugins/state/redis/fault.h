/* SPDX-License-Identifier: Apache-2.0 */
/* Why something failed, until it is known which of several failures is told. */
#ifndef FAULT_H
#define FAULT_H
#include <davit/plugin.h>
#include <hiredis/hiredis.h>

struct fault {
	davit_status status;
	const char *reason; /* a word of davit/state.h, or NULL */
	char text[1024];
};

/* Returns the status. */
davit_status fault_set(struct fault *f, davit_status status, const char *reason, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
davit_status fault_no_memory(struct fault *f);
/* A reply that is an error, or of a kind that was not expected. */
davit_status fault_reply(struct fault *f, const redisReply *r, const char *doing);
davit_status fault_tell(const struct fault *f, struct davit_call *call);
#endif
