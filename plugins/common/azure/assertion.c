/* SPDX-License-Identifier: Apache-2.0 */
#include "assertion.h"

#include <davit/base64.h>
#include <davit/uuid.h>
#include <jansson.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <time.h>

#include "escape.h"

#define GOOD_FOR 600 /* s */

struct azure_certificate {
	X509 *x509;
	EVP_PKEY *key;
};

void azure_certificate_free(struct azure_certificate *c)
{
	if (c == NULL)
		return;
	X509_free(c->x509);
	EVP_PKEY_free(c->key);
	free(c);
}

static int no_password(char *p, int n, int writing, void *none)
{
	(void)p, (void)n, (void)writing, (void)none;
	return -1; /* never from a terminal */
}

static void read_pkcs12(struct azure_certificate *c, BIO *in, struct davit_str password)
{
	PKCS12 *bundle = d2i_PKCS12_bio(in, NULL);

	if (bundle != NULL)
		PKCS12_parse(bundle, password.p != NULL ? password.p : "", &c->key, &c->x509, NULL);
	PKCS12_free(bundle);
}

static void read_pem(struct azure_certificate *c, struct davit_bytes data)
{
	BIO *in = BIO_new_mem_buf(data.p, (int)data.n);

	if (in != NULL)
		c->x509 = PEM_read_bio_X509(in, NULL, no_password, NULL);
	BIO_free(in);
	in = BIO_new_mem_buf(data.p, (int)data.n);
	if (in != NULL)
		c->key = PEM_read_bio_PrivateKey(in, NULL, no_password, NULL);
	BIO_free(in);
}

struct azure_certificate *azure_certificate_new(struct davit_bytes data, struct davit_str password,
						struct azure_fault *f)
{
	struct azure_certificate *c = calloc(1, sizeof(*c));
	BIO *in = data.n > 1 << 20 ? NULL : BIO_new_mem_buf(data.p, (int)data.n);

	if (c == NULL || in == NULL) {
		azure_fault_no_memory(f);
		goto failed;
	}
	read_pkcs12(c, in, password);
	if (c->x509 == NULL || c->key == NULL) {
		X509_free(c->x509);
		EVP_PKEY_free(c->key);
		c->x509 = NULL;
		c->key = NULL;
		read_pem(c, data);
	}
	ERR_clear_error();
	if (c->x509 == NULL || c->key == NULL) {
		azure_fault_set(f, DAVIT_INVALID_ARGUMENT,
				"certificate is not valid: it must be a PKCS#12 bundle, opened by "
				"azureCertificatePassword, or PEM with a certificate and its RSA key");
		goto failed;
	}
	if (EVP_PKEY_get_base_id(c->key) != EVP_PKEY_RSA || X509_check_private_key(c->x509, c->key) != 1) {
		ERR_clear_error();
		azure_fault_set(f, DAVIT_INVALID_ARGUMENT,
				"certificate must contain the RSA private key that belongs to it");
		goto failed;
	}
	BIO_free(in);
	return c;
failed:
	BIO_free(in);
	azure_certificate_free(c);
	return NULL;
}

/* RFC 4648, section 5, without padding; in the call's memory. */
static struct davit_str base64url(struct davit_call *call, const void *bytes, size_t n)
{
	char *text = davit_alloc(call, davit_base64_size(n) + 1);
	size_t i, size = davit_base64_size(n);

	if (text == NULL)
		return davit_str(NULL);
	davit_base64_encode(bytes, n, text);
	while (size > 0 && text[size - 1] == '=')
		size--;
	for (i = 0; i < size; i++)
		text[i] = text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i];
	text[size] = '\0';
	return (struct davit_str){ text, size };
}

/* A JSON object as base64url; takes it over. */
static struct davit_str part(struct davit_call *call, json_t *object)
{
	char *text = object == NULL ? NULL : json_dumps(object, JSON_COMPACT);
	struct davit_str s = text == NULL ? davit_str(NULL) : base64url(call, text, strlen(text));

	free(text);
	json_decref(object);
	return s;
}

static struct davit_str header(const struct azure_certificate *c, struct davit_call *call)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	struct davit_str thumb = davit_str(NULL);
	unsigned int n = 0;

	if (X509_digest(c->x509, EVP_sha256(), digest, &n) == 1)
		thumb = base64url(call, digest, n);
	if (thumb.p == NULL)
		return thumb;
	return part(call, json_pack("{s:s, s:s, s:s}", "alg", "PS256", "typ", "JWT", "x5t#S256", thumb.p));
}

static struct davit_str claims(struct davit_call *call, struct davit_str client_id, struct davit_str audience)
{
	json_int_t now = (json_int_t)time(NULL);
	char id[DAVIT_UUID_TEXT];
	struct davit_uuid uuid;

	if (davit_uuid4(&uuid) < 0)
		return davit_str(NULL);
	davit_uuid_text(&uuid, id);
	return part(call, json_pack("{s:s%, s:s%, s:s%, s:s, s:I, s:I, s:I}", "aud", audience.p, audience.n, "iss",
				    client_id.p, client_id.n, "sub", client_id.p, client_id.n, "jti", id, "iat", now,
				    "nbf", now, "exp", now + GOOD_FOR));
}

/* RSASSA-PSS with SHA-256, salt as long as the hash (RFC 7518, 3.5). */
static struct davit_str sign(const struct azure_certificate *c, struct davit_call *call, struct davit_str text)
{
	unsigned char signature[1024];
	size_t n = sizeof(signature);
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	EVP_PKEY_CTX *key;
	int done = md != NULL && EVP_DigestSignInit(md, &key, EVP_sha256(), NULL, c->key) == 1 &&
		   EVP_PKEY_CTX_set_rsa_padding(key, RSA_PKCS1_PSS_PADDING) == 1 &&
		   EVP_PKEY_CTX_set_rsa_pss_saltlen(key, RSA_PSS_SALTLEN_DIGEST) == 1 &&
		   EVP_DigestSign(md, signature, &n, (const unsigned char *)text.p, text.n) == 1;

	EVP_MD_CTX_free(md);
	ERR_clear_error();
	return done ? base64url(call, signature, n) : davit_str(NULL);
}

struct davit_str azure_assertion(const struct azure_certificate *c, struct davit_call *call, struct davit_str client_id,
				 struct davit_str audience, struct azure_fault *f)
{
	struct davit_str first = header(c, call), second = claims(call, client_id, audience), text = davit_str(NULL),
			 third = davit_str(NULL);

	if (first.p != NULL && second.p != NULL)
		text = azure_print(call, "%s.%s", first.p, second.p);
	if (text.p != NULL)
		third = sign(c, call, text);
	if (third.p != NULL)
		text = azure_print(call, "%s.%s", text.p, third.p);
	if (third.p == NULL || text.p == NULL) {
		azure_fault_set(f, DAVIT_INTERNAL, "the client assertion could not be made");
		return davit_str(NULL);
	}
	return text;
}
