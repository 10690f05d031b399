/* SPDX-License-Identifier: Apache-2.0 */
/* What a plugin asks of TLS (struct davit_tls), and the contexts made of it. */
#ifndef PLUGIN_TLS_SETTINGS_H
#define PLUGIN_TLS_SETTINGS_H
#include <davit/dial.h>

#include "plugin/service.h"
#include "tls/context.h"

int tls_settings_equal(const struct davit_tls *a, const struct davit_tls *b); /* by value; NULL is the defaults */
/* In one piece of memory, for mem_free(); NULL: none left. Its texts end in a NUL. */
struct davit_tls *tls_settings_copy(const struct davit_tls *t); /* of NULL: the defaults */

/* 1: a context made then is to be made anew: the files behind it may have changed. */
int tls_settings_old(const struct davit_tls *t, int64_t made_ns);

/*
 * A context for it, made on one of libuv's threads, as it reads files and keys cost time; whatever else ends, that is
 * waited for. alpn in place of the settings' own, p == NULL: those. shared: one of an equal settings that is not old
 * does. DAVIT_INVALID_ARGUMENT, DAVIT_EXHAUSTED: why, no secret in it.
 */
davit_status tls_settings_context(struct service_work *w, const struct davit_tls *t, struct str alpn, int shared,
				  struct tls_context **ret_context, char *why, size_t nwhy);
#endif
