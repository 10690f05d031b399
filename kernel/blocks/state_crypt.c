/* SPDX-License-Identifier: Apache-2.0 */
#include "blocks/state_crypt.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/banned.h"
#include "base/random.h"

#define NONCE 12u
#define TAG 16u

struct key {
	struct str name;
	unsigned char bytes[32];
	size_t n; /* 0: there is none */
};

struct state_crypt {
	struct key primary, secondary;
};

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

static int read_key(struct key *k, struct str hex, struct str name)
{
	size_t i;

	k->name = name;
	if (hex.n != 32 && hex.n != 48 && hex.n != 64)
		return -1;
	for (i = 0; i < hex.n / 2; i++) {
		int high = hex_digit(hex.p[2 * i]), low = hex_digit(hex.p[2 * i + 1]);

		if (high < 0 || low < 0)
			return -1;
		k->bytes[i] = (unsigned char)(high << 4 | low);
	}
	k->n = hex.n / 2;
	return 0;
}

static void forget(void *arg)
{
	OPENSSL_cleanse(arg, sizeof(struct state_crypt));
}

struct state_crypt *state_crypt_new(struct arena *a, struct str primary, struct str primary_name, struct str secondary,
				    struct str secondary_name, struct str *ret_message)
{
	struct state_crypt *c = arena_zalloc(a, sizeof(*c));

	arena_defer(a, forget, c);
	if (read_key(&c->primary, primary, arena_str(a, primary_name)) == 0 &&
	    (secondary.n == 0 || read_key(&c->secondary, secondary, arena_str(a, secondary_name)) == 0))
		return c;
	*ret_message = STR("an encryption key must be 32, 48 or 64 hexadecimal digits (AES-128, -192, -256)");
	return NULL;
}

static const EVP_CIPHER *cipher_of(const struct key *k)
{
	return k->n == 16 ? EVP_aes_128_gcm() : k->n == 24 ? EVP_aes_192_gcm() : EVP_aes_256_gcm();
}

/* to: NONCE + n + TAG bytes. */
static int seal(const struct key *k, struct str value, unsigned char *to)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n, ok;

	random_bytes(to, NONCE);
	ok = ctx != NULL && value.n < INT32_MAX && EVP_EncryptInit_ex(ctx, cipher_of(k), NULL, k->bytes, to) == 1 &&
	     EVP_EncryptUpdate(ctx, to + NONCE, &n, (const unsigned char *)value.p, (int)value.n) == 1 &&
	     EVP_EncryptFinal_ex(ctx, to + NONCE + n, &n) == 1 &&
	     EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG, to + NONCE + value.n) == 1;
	EVP_CIPHER_CTX_free(ctx);
	return ok ? 0 : -1;
}

static int unseal(const struct key *k, const unsigned char *from, size_t n, unsigned char *to)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	size_t text = n - NONCE - TAG;
	unsigned char tag[TAG];
	int got, ok;

	memcpy(tag, from + n - TAG, TAG);
	ok = ctx != NULL && EVP_DecryptInit_ex(ctx, cipher_of(k), NULL, k->bytes, from) == 1 &&
	     EVP_DecryptUpdate(ctx, to, &got, from + NONCE, (int)text) == 1 &&
	     EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG, tag) == 1 &&
	     EVP_DecryptFinal_ex(ctx, to + got, &got) == 1;
	EVP_CIPHER_CTX_free(ctx);
	return ok ? 0 : -1;
}

int state_crypt_seal(const struct state_crypt *c, struct arena *a, struct str value, struct str *ret_sealed,
		     struct str *ret_message)
{
	size_t n = NONCE + value.n + TAG, encoded = 4 * ((n + 2) / 3);
	unsigned char *raw = arena_alloc(a, n);
	char *out = arena_alloc(a, encoded + 2 + c->primary.name.n + 1);

	if (seal(&c->primary, value, raw) < 0) {
		*ret_message = STR("the value could not be encrypted");
		return -1;
	}
	EVP_EncodeBlock((unsigned char *)out, raw, (int)n);
	memcpy(out + encoded, "||", 2);
	memcpy(out + encoded + 2, c->primary.name.p, c->primary.name.n);
	out[encoded + 2 + c->primary.name.n] = '\0';
	*ret_sealed = (struct str){ out, encoded + 2 + c->primary.name.n };
	return 0;
}

/* Where the name of the key begins: behind the last "||"; 0: nowhere. */
static size_t name_at(struct str sealed)
{
	size_t i;

	for (i = sealed.n; i >= 2; i--)
		if (sealed.p[i - 2] == '|' && sealed.p[i - 1] == '|')
			return i;
	return 0;
}

int state_crypt_open(const struct state_crypt *c, struct arena *a, struct str store, struct str sealed,
		     struct str *ret_value, struct str *ret_message)
{
	size_t at = name_at(sealed), encoded, n;
	struct str name = str_from(sealed, at);
	const struct key *k = str_eq(name, c->primary.name)			      ? &c->primary
			      : c->secondary.n > 0 && str_eq(name, c->secondary.name) ? &c->secondary
										      : NULL;
	unsigned char *raw, *text;

	if (sealed.n == 0) {
		*ret_value = STR("");
		return 0;
	}
	if (at == 0 || name.n == 0 || k == NULL) {
		*ret_message = arena_printf(a, "could not decrypt data for state store " STR_FMT ": %s", STR_ARG(store),
					    k == NULL && at != 0 && name.n != 0
						    ? "its encryption key is neither the primary nor the secondary one"
						    : "encryption key name not found on record");
		return -1;
	}
	encoded = at - 2;
	raw = arena_alloc(a, encoded / 4 * 3 + 3);
	n = encoded / 4 * 3;
	if (encoded % 4 != 0 || encoded < 40 || encoded > INT32_MAX ||
	    EVP_DecodeBlock(raw, (const unsigned char *)sealed.p, (int)encoded) < 0) {
		*ret_message = arena_printf(a,
					    "could not decrypt data for state store " STR_FMT
					    ": the record is not base64",
					    STR_ARG(store));
		return -1;
	}
	n -= (sealed.p[encoded - 1] == '=') + (sealed.p[encoded - 2] == '=');
	text = arena_alloc(a, n + 1);
	if (n < NONCE + TAG || unseal(k, raw, n, text) < 0) {
		*ret_message = arena_printf(a,
					    "could not decrypt data for state store " STR_FMT
					    ": the record was changed or belongs to another key",
					    STR_ARG(store));
		return -1;
	}
	text[n - NONCE - TAG] = '\0';
	*ret_value = (struct str){ (char *)text, n - NONCE - TAG };
	return 0;
}
