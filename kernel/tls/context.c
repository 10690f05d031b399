/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/context.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/banned.h"
#include "base/mem.h"

#define ALPN_MOST 256

struct tls_context {
	SSL_CTX *ssl;
	atomic_int references;
	int any_name;
	unsigned char alpn[ALPN_MOST]; /* each name behind its length */
	unsigned nalpn;
};

struct making {
	struct tls_context *c;
	const struct tls_options *o;
	char *why;
	size_t nwhy;
};

static int fail(struct making *m, const char *what)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = code ? ERR_reason_error_string(code) : NULL;

	if (m->nwhy > 0)
		snprintf(m->why, m->nwhy, "%s%s%s", what, reason ? ": " : "", reason ? reason : "");
	ERR_clear_error();
	return -1;
}

static BIO *memory(struct str pem)
{
	return pem.n > 0 && pem.n <= TLS_PEM_MOST ? BIO_new_mem_buf(pem.p, (int)pem.n) : NULL;
}

/* Every certificate of the text. */
static int trust_pem(struct making *m, struct str pem)
{
	X509_STORE *store = SSL_CTX_get_cert_store(m->c->ssl);
	BIO *b = memory(pem);
	X509 *x;
	int n = 0, bad = 0;

	while (b != NULL && !bad && (x = PEM_read_bio_X509(b, NULL, NULL, NULL)) != NULL) {
		bad = X509_STORE_add_cert(store, x) != 1;
		X509_free(x);
		n++;
	}
	BIO_free(b);
	if (!bad && n > 0 && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE)
		ERR_clear_error(); /* that is how the end looks */
	else
		return fail(m, "the CA certificates cannot be used");
	return 0;
}

static int trust(struct making *m)
{
	if (!m->o->only_own && SSL_CTX_set_default_verify_paths(m->c->ssl) != 1)
		return fail(m, "the system's trust anchors cannot be used");
	if (m->o->ca_pem.n > 0 && trust_pem(m, m->o->ca_pem) < 0)
		return -1;
	if (m->o->ca_file.n > 0 && SSL_CTX_load_verify_file(m->c->ssl, m->o->ca_file.p) != 1)
		return fail(m, "the file of CA certificates cannot be used");
	return 0;
}

static int give_password(char *to, int size, int writing, void *arg)
{
	const struct str *password = arg;

	(void)writing;
	if (password->n == 0 || password->n > (size_t)size)
		return 0;
	memcpy(to, password->p, password->n);
	return (int)password->n;
}

static int add_certificates(struct making *m)
{
	BIO *b = memory(m->o->cert_pem);
	X509 *x = b ? PEM_read_bio_X509(b, NULL, NULL, NULL) : NULL;
	int ok = x != NULL && SSL_CTX_use_certificate(m->c->ssl, x) == 1;

	X509_free(x);
	while (ok && (x = PEM_read_bio_X509(b, NULL, NULL, NULL)) != NULL) {
		ok = SSL_CTX_add0_chain_cert(m->c->ssl, x) == 1;
		if (!ok)
			X509_free(x);
	}
	BIO_free(b);
	if (!ok)
		return fail(m, "the certificate cannot be used");
	ERR_clear_error();
	return 0;
}

static int add_own(struct making *m)
{
	struct str password = m->o->key_password;
	EVP_PKEY *key;
	BIO *b;
	int ok;

	if (m->o->cert_pem.n == 0 && m->o->key_pem.n == 0)
		return 0;
	if (m->o->cert_pem.n == 0 || m->o->key_pem.n == 0)
		return fail(m, "a certificate needs its key and a key its certificate");
	if (add_certificates(m) < 0)
		return -1;
	b = memory(m->o->key_pem);
	key = b ? PEM_read_bio_PrivateKey(b, NULL, give_password, &password) : NULL;
	BIO_free(b);
	ok = key != NULL && SSL_CTX_use_PrivateKey(m->c->ssl, key) == 1 && SSL_CTX_check_private_key(m->c->ssl) == 1;
	EVP_PKEY_free(key);
	return ok ? 0 : fail(m, "the key cannot be used with the certificate");
}

static int choose(SSL *s, const unsigned char **ret_name, unsigned char *ret_n, const unsigned char *theirs, unsigned n,
		  void *arg)
{
	const struct tls_context *c = arg;
	unsigned char *name;

	(void)s;
	if (SSL_select_next_proto(&name, ret_n, c->alpn, c->nalpn, theirs, n) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_NOACK;
	*ret_name = name;
	return SSL_TLSEXT_ERR_OK;
}

static int set_alpn(struct making *m)
{
	struct str rest = m->o->alpn, name;
	struct tls_context *c = m->c;

	if (rest.n == 0)
		return 0;
	while (str_split(&rest, ',', &name)) {
		name = str_trim(name);
		if (name.n == 0 || name.n > 255 || c->nalpn + name.n + 1 > ALPN_MOST)
			return fail(m, "the names for ALPN cannot be used");
		c->alpn[c->nalpn++] = (unsigned char)name.n;
		memcpy(c->alpn + c->nalpn, name.p, name.n);
		c->nalpn += (unsigned)name.n;
	}
	if (m->o->server)
		SSL_CTX_set_alpn_select_cb(c->ssl, choose, c);
	else if (SSL_CTX_set_alpn_protos(c->ssl, c->alpn, c->nalpn) != 0)
		return fail(m, "the names for ALPN cannot be used");
	return 0;
}

static int fill(struct making *m)
{
	SSL_CTX *ssl = m->c->ssl;
	int verify = m->o->server ? m->o->ask : !m->o->insecure;

	if (SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) != 1)
		return fail(m, "TLS 1.2 is not to be had");
	/* Small records out of a released buffer: an idle connection costs no 32 KiB. */
	SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_AUTO_RETRY);
	SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_verify(ssl,
			   verify ? SSL_VERIFY_PEER | (m->o->server ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0)
				  : SSL_VERIFY_NONE,
			   NULL);
	if (verify && trust(m) < 0)
		return -1;
	if (m->o->server && m->o->cert_pem.n == 0)
		return fail(m, "a server needs a certificate");
	return add_own(m) < 0 || set_alpn(m) < 0 ? -1 : 0;
}

struct tls_context *tls_context_new(const struct tls_options *o, char *why, size_t nwhy)
{
	struct making m = { mem_zalloc(sizeof(struct tls_context)), o, why, nwhy };

	ERR_clear_error();
	if (m.c == NULL) {
		fail(&m, "out of memory");
		return NULL;
	}
	m.c->references = 1;
	m.c->any_name = o->insecure || o->any_name;
	m.c->ssl = SSL_CTX_new(o->server ? TLS_server_method() : TLS_client_method());
	if (m.c->ssl == NULL)
		fail(&m, "out of memory");
	if (m.c->ssl != NULL && fill(&m) == 0)
		return m.c;
	tls_context_unref(m.c);
	return NULL;
}

struct tls_context *tls_context_ref(struct tls_context *c)
{
	atomic_fetch_add(&c->references, 1);
	return c;
}

void tls_context_unref(struct tls_context *c)
{
	if (c == NULL || atomic_fetch_sub(&c->references, 1) > 1)
		return;
	SSL_CTX_free(c->ssl);
	mem_free(c);
}

int tls_context_any_name(const struct tls_context *c)
{
	return c->any_name;
}

void tls_thread_done(void)
{
	OPENSSL_thread_stop();
}

void *tls_context_handle(const struct tls_context *c)
{
	return c->ssl;
}
