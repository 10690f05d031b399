/* SPDX-License-Identifier: Apache-2.0 */
/* A context: what many connections of one kind share. TLS 1.2 and later, OpenSSL's default ciphers. */
#ifndef TLS_CONTEXT_H
#define TLS_CONTEXT_H
#include "base/str.h"

#define TLS_PEM_MOST (1024u * 1024) /* bytes of one PEM text or file */

struct tls_context;

/* Texts with p == NULL are not given. Nothing is kept. */
struct tls_options {
	int server;		    /* else a client */
	int insecure;		    /* client: whoever answers is believed */
	int any_name;		    /* client: the certificate is checked, but not for whom it is */
	int ask;		    /* server: whoever dials must show a certificate that a trust anchor vouches for */
	int only_own;		    /* the system's trust anchors do not count */
	struct str ca_pem, ca_file; /* trust anchors, one or many; the path ends in a NUL */
	struct str cert_pem, key_pem; /* ours, the chain behind the certificate; a server needs both */
	struct str key_password;
	struct str alpn; /* names with commas between, the best one first */
};

/* NULL: why (ended by a NUL, no secret in it) says what is wrong. Any thread; reading ca_file blocks. */
struct tls_context *tls_context_new(const struct tls_options *o, char *why, size_t nwhy);
struct tls_context *tls_context_ref(struct tls_context *c); /* any thread */
void tls_context_unref(struct tls_context *c);		    /* NULL is fine */
int tls_context_any_name(const struct tls_context *c);	    /* or insecure: no name is looked at */
/* What OpenSSL keeps for this thread goes: for threads that are not ours and outlive OpenSSL's own end. */
void tls_thread_done(void);
void *tls_context_handle(const struct tls_context *c); /* the SSL_CTX, for session.c */
#endif
