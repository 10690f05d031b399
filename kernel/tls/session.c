/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/session.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "base/banned.h"
#include "base/mem.h"

#define WHY 192
#define NAME 256

struct tls_session {
	SSL *ssl;
	BIO *in, *out; /* the session's own ends; ssl owns them */
	struct tls_context *context;
	int ended; /* the socket has */
	char why[WHY];
};

static int is_address(const char *name)
{
	unsigned char binary[16];

	return inet_pton(AF_INET, name, binary) == 1 || inet_pton(AF_INET6, name, binary) == 1;
}

/* Whom the certificate must be for: a name is asked for and checked, an address only checked. 0, or -1: no memory. */
static int expect(struct tls_session *s, struct str name)
{
	int any = tls_context_any_name(s->context);
	char text[NAME];

	if (name.n == 0)
		return 0;
	if (name.n >= NAME)
		return -1;
	memcpy(text, name.p, name.n);
	text[name.n] = '\0';
	if (is_address(text))
		return any || X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(s->ssl), text) == 1 ? 0 : -1;
	SSL_set_hostflags(s->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (SSL_set_tlsext_host_name(s->ssl, text) != 1)
		return -1;
	return any || SSL_set1_host(s->ssl, text) == 1 ? 0 : -1;
}

struct tls_session *tls_session_new(struct tls_context *c, struct str name)
{
	struct tls_session *s = mem_zalloc(sizeof(*s));
	int server;

	if (s == NULL)
		return NULL;
	s->context = tls_context_ref(c);
	s->ssl = SSL_new(tls_context_handle(c));
	s->in = BIO_new(BIO_s_mem());
	s->out = BIO_new(BIO_s_mem());
	if (s->ssl == NULL || s->in == NULL || s->out == NULL) {
		BIO_free(s->in);
		BIO_free(s->out);
		goto failed;
	}
	BIO_set_mem_eof_return(s->in, -1); /* empty is "later" */
	BIO_set_mem_eof_return(s->out, -1);
	SSL_set_bio(s->ssl, s->in, s->out);
	server = SSL_is_server(s->ssl);
	if (server)
		SSL_set_accept_state(s->ssl);
	else
		SSL_set_connect_state(s->ssl);
	if (server || expect(s, name) == 0)
		return s;
failed:
	ERR_clear_error();
	tls_session_free(s);
	return NULL;
}

void tls_session_free(struct tls_session *s)
{
	if (s == NULL)
		return;
	SSL_free(s->ssl);
	tls_context_unref(s->context);
	mem_free(s);
}

int tls_session_give(struct tls_session *s, const void *p, size_t n)
{
	size_t done;

	if (n == 0)
		return 0;
	if (BIO_write_ex(s->in, p, n, &done) == 1 && done == n)
		return 0;
	ERR_clear_error();
	return -1;
}

void tls_session_give_end(struct tls_session *s)
{
	s->ended = 1;
}

size_t tls_session_given(const struct tls_session *s)
{
	return BIO_ctrl_pending(s->in);
}

size_t tls_session_peek(struct tls_session *s, const char **ret_p)
{
	char *p = NULL;
	long n = BIO_get_mem_data(s->out, &p);

	*ret_p = p;
	return n > 0 ? (size_t)n : 0;
}

void tls_session_taken(struct tls_session *s, size_t n)
{
	char drop[4096];
	size_t done;

	/* All of it is the rule, and costs nothing. */
	if (n >= BIO_ctrl_pending(s->out)) {
		(void)BIO_reset(s->out);
		return;
	}
	for (; n > 0; n -= done)
		if (BIO_read_ex(s->out, drop, n < sizeof(drop) ? n : sizeof(drop), &done) != 1)
			return;
}

/* Why a handshake failed, in words: of a certificate first of all. */
static void explain(struct tls_session *s)
{
	long verdict = SSL_get_verify_result(s->ssl);
	unsigned long code = ERR_peek_error();
	const char *reason = code ? ERR_reason_error_string(code) : NULL;

	if (s->why[0] != '\0')
		return;
	if (verdict != X509_V_OK && ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED)
		snprintf(s->why, WHY, "tls: failed to verify certificate: %s", X509_verify_cert_error_string(verdict));
	else
		snprintf(s->why, WHY, "tls: %s", reason ? reason : "protocol error");
}

static int verdict_of(struct tls_session *s, int rc)
{
	int error = SSL_get_error(s->ssl, rc);

	if (error == SSL_ERROR_ZERO_RETURN)
		return TLS_END;
	if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
		if (!s->ended)
			return TLS_MORE;
		snprintf(s->why, WHY, "tls: the connection ended without a word");
		return TLS_CUT;
	}
	explain(s);
	ERR_clear_error();
	return TLS_FAILED;
}

int tls_session_shake(struct tls_session *s)
{
	int rc;

	ERR_clear_error();
	rc = SSL_do_handshake(s->ssl);
	if (rc == 1)
		return 1;
	rc = verdict_of(s, rc);
	return rc == TLS_END ? TLS_CUT : rc;
}

ssize_t tls_session_read(struct tls_session *s, void *p, size_t n)
{
	size_t got;
	int rc;

	ERR_clear_error();
	rc = SSL_read_ex(s->ssl, p, n, &got);
	return rc == 1 ? (ssize_t)got : verdict_of(s, rc);
}

ssize_t tls_session_write(struct tls_session *s, const void *p, size_t n)
{
	size_t done;
	int rc;

	ERR_clear_error();
	rc = SSL_write_ex(s->ssl, p, n, &done);
	return rc == 1 ? (ssize_t)done : verdict_of(s, rc);
}

void tls_session_end(struct tls_session *s)
{
	ERR_clear_error();
	if (SSL_is_init_finished(s->ssl))
		SSL_shutdown(s->ssl);
	ERR_clear_error();
}

const char *tls_session_why(const struct tls_session *s)
{
	return s->why;
}

struct str tls_session_alpn(const struct tls_session *s)
{
	const unsigned char *name;
	unsigned n;

	SSL_get0_alpn_selected(s->ssl, &name, &n);
	return (struct str){ (const char *)name, n };
}
