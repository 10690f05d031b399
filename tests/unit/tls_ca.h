/* SPDX-License-Identifier: Apache-2.0 */
/* A certificate authority in memory: certificates as PEM texts, made in the moment they are needed. */
#ifndef TLS_CA_H
#define TLS_CA_H
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

struct ca_pair {
	X509 *certificate;
	EVP_PKEY *key;
	char cert_pem[4096], key_pem[4096];
};

static inline void ca_text(int (*put)(BIO *b, struct ca_pair *p), struct ca_pair *p, char *ret_text, size_t size)
{
	BIO *b = BIO_new(BIO_s_mem());
	int n;

	if (b == NULL || put(b, p) != 1 || (n = BIO_read(b, ret_text, (int)size - 1)) <= 0)
		abort();
	ret_text[n] = '\0';
	BIO_free(b);
}

static inline int ca_put_cert(BIO *b, struct ca_pair *p)
{
	return PEM_write_bio_X509(b, p->certificate);
}

static inline int ca_put_key(BIO *b, struct ca_pair *p)
{
	return PEM_write_bio_PrivateKey(b, p->key, NULL, NULL, 0, NULL, NULL);
}

static inline void ca_extend(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *e;

	X509V3_set_ctx(&context, issuer, x, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	if (e == NULL || X509_add_ext(x, e, -1) != 1)
		abort();
	X509_EXTENSION_free(e);
}

/* by NULL: an authority of its own. names such as "DNS:localhost,IP:127.0.0.1". days: until it expires, may be negative. */
static inline void ca_make(struct ca_pair *p, const char *name, const char *names, struct ca_pair *by, int days)
{
	static long serial = 1;
	X509 *issuer;
	X509_NAME *subject;

	p->key = EVP_EC_gen("P-256");
	p->certificate = X509_new();
	issuer = by ? by->certificate : p->certificate;
	subject = X509_get_subject_name(p->certificate);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0);
	X509_set_version(p->certificate, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(p->certificate), serial++);
	X509_gmtime_adj(X509_getm_notBefore(p->certificate), -20L * 86400);
	X509_gmtime_adj(X509_getm_notAfter(p->certificate), days * 86400L);
	X509_set_issuer_name(p->certificate, by ? X509_get_subject_name(by->certificate) : subject);
	X509_set_pubkey(p->certificate, p->key);
	ca_extend(p->certificate, issuer, NID_basic_constraints, by ? "critical,CA:FALSE" : "critical,CA:TRUE");
	if (names != NULL)
		ca_extend(p->certificate, issuer, NID_subject_alt_name, names);
	if (X509_sign(p->certificate, by ? by->key : p->key, EVP_sha256()) == 0)
		abort();
	ca_text(ca_put_cert, p, p->cert_pem, sizeof(p->cert_pem));
	ca_text(ca_put_key, p, p->key_pem, sizeof(p->key_pem));
}

static inline void ca_release(struct ca_pair *p)
{
	X509_free(p->certificate);
	EVP_PKEY_free(p->key);
}
#endif
