/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session: TLS of one connection, over memory. Whoever owns the socket gives what came in and takes what must go out, and
 * after each call of a function below looks whether there is something to take.
 *
 *	socket -> tls_session_give -> tls_session_read -> plain text
 *	plain text -> tls_session_write -> tls_session_peek, tls_session_taken -> socket
 *
 * Belongs to one thread at a time.
 */
#ifndef TLS_SESSION_H
#define TLS_SESSION_H
#include <sys/types.h>

#include "base/str.h"
#include "tls/context.h"

struct tls_session;

enum {
	TLS_END = 0,	 /* the other side has said that nothing more comes */
	TLS_MORE = -1,	 /* first more must come from the other side */
	TLS_FAILED = -2, /* for good: tls_session_why() */
	TLS_CUT = -3	 /* nothing more comes, and the other side has not said so */
};

/*
 * name: of the other side, for whom the certificate must be and what is asked for (an address is not asked for); n == 0, or a
 * server's session: any. NULL: no memory. The session holds the context.
 */
struct tls_session *tls_session_new(struct tls_context *c, struct str name);
void tls_session_free(struct tls_session *s); /* NULL is fine */

int tls_session_give(struct tls_session *s, const void *p, size_t n); /* all of it; -1: no memory */
void tls_session_give_end(struct tls_session *s);		      /* the socket has ended */
size_t tls_session_given(const struct tls_session *s);		      /* bytes given and not yet worked on */

/* What has to go out: bytes that stay where they are until the next call; 0: nothing. */
size_t tls_session_peek(struct tls_session *s, const char **ret_p);
void tls_session_taken(struct tls_session *s, size_t n);

int tls_session_shake(struct tls_session *s);				   /* 1: done; TLS_MORE, TLS_FAILED, TLS_CUT */
ssize_t tls_session_read(struct tls_session *s, void *p, size_t n);	   /* bytes, or TLS_… */
ssize_t tls_session_write(struct tls_session *s, const void *p, size_t n); /* bytes, or TLS_…; n > 0 */
void tls_session_end(struct tls_session *s);				   /* says that nothing more comes from us */

const char *tls_session_why(const struct tls_session *s); /* "" before a failure */
struct str tls_session_alpn(const struct tls_session *s); /* n == 0: none */
#endif
