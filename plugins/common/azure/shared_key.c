/* SPDX-License-Identifier: Apache-2.0 */
#include "shared_key.h"

#include <davit/base64.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "escape.h"

int azure_key_parse(struct davit_str base64, struct azure_key *ret_key)
{
	ptrdiff_t n;

	if (base64.n == 0 || base64.n % 4 != 0 || base64.n / 4 * 3 > sizeof(ret_key->bytes))
		return -1;
	n = davit_base64_decode(base64.p, base64.n, ret_key->bytes);
	if (n <= 0)
		return -1;
	ret_key->n = (size_t)n;
	return 0;
}

struct text {
	char *p;
	size_t n;
};

static void put(struct text *t, const char *p, size_t n)
{
	if (t->p != NULL && n > 0)
		memcpy(t->p + t->n, p, n);
	t->n += n;
}

static void put_str(struct text *t, struct davit_str s)
{
	put(t, s.p, s.n);
}

static struct davit_str field(const struct azure_signed *s, const char *name)
{
	size_t i;

	for (i = 0; i < s->nfields; i++)
		if (davit_str_is(s->fields[i].key, name))
			return s->fields[i].value;
	return (struct davit_str){ "", 0 };
}

/* Once with p == NULL, to know its size. */
static void put_all(struct text *t, const struct azure_signed *s)
{
	static const char *const standard[] = { "content-encoding",
						"content-language",
						"content-length",
						"content-md5",
						"content-type",
						"date",
						"if-modified-since",
						"if-match",
						"if-none-match",
						"if-unmodified-since",
						"range" };
	char length[24] = "";
	size_t i;

	if (s->length > 0)
		snprintf(length, sizeof(length), "%zu", s->length);
	put(t, s->method, strlen(s->method));
	put(t, "\n", 1);
	for (i = 0; i < sizeof(standard) / sizeof(standard[0]); i++) {
		put_str(t, i == 2 ? davit_str(length) : field(s, standard[i]));
		put(t, "\n", 1);
	}
	for (i = 0; i < s->nfields; i++)
		if (s->fields[i].key.n > 5 && memcmp(s->fields[i].key.p, "x-ms-", 5) == 0) {
			put_str(t, s->fields[i].key);
			put(t, ":", 1);
			put_str(t, s->fields[i].value);
			put(t, "\n", 1);
		}
	put(t, "/", 1);
	put_str(t, s->account);
	put_str(t, s->path);
	for (i = 0; i < s->nquery; i++) {
		put(t, "\n", 1);
		put_str(t, s->query[i].key);
		put(t, ":", 1);
		put_str(t, s->query[i].value);
	}
}

struct davit_str azure_string_to_sign(struct davit_call *call, const struct azure_signed *s)
{
	struct text t = { NULL, 0 };

	put_all(&t, s);
	t.p = davit_alloc(call, t.n + 1);
	if (t.p == NULL)
		return davit_str(NULL);
	t.n = 0;
	put_all(&t, s);
	t.p[t.n] = '\0';
	return (struct davit_str){ t.p, t.n };
}

struct davit_str azure_authorization(struct davit_call *call, const struct azure_signed *s, const struct azure_key *key)
{
	struct davit_str text = azure_string_to_sign(call, s);
	unsigned char mac[EVP_MAX_MD_SIZE];
	char signature[64];
	unsigned int n = 0;

	if (text.p == NULL ||
	    HMAC(EVP_sha256(), key->bytes, (int)key->n, (const unsigned char *)text.p, text.n, mac, &n) == NULL)
		return davit_str(NULL);
	davit_base64_encode(mac, n, signature);
	return azure_print(call, "SharedKey %.*s:%.*s", (int)s->account.n, s->account.p, (int)davit_base64_size(n),
			   signature);
}
