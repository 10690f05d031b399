/* SPDX-License-Identifier: Apache-2.0 */
#include <davit/hmac.h>
#include <string.h>

#define BLOCK 64

/* The first 32 bits of the fractional parts of the cube roots of the first 64 primes. */
static const uint32_t k[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t turn(uint32_t x, int n)
{
	return x >> n | x << (32 - n);
}

static void add_block(uint32_t state[8], const uint8_t *p)
{
	uint32_t w[64], v[8], a, b;
	int i;

	for (i = 0; i < 16; i++, p += 4)
		w[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
	for (; i < 64; i++)
		w[i] = w[i - 16] + (turn(w[i - 15], 7) ^ turn(w[i - 15], 18) ^ w[i - 15] >> 3) + w[i - 7] +
		       (turn(w[i - 2], 17) ^ turn(w[i - 2], 19) ^ w[i - 2] >> 10);
	memcpy(v, state, sizeof(v));
	for (i = 0; i < 64; i++) {
		a = v[7] + (turn(v[4], 6) ^ turn(v[4], 11) ^ turn(v[4], 25)) + ((v[4] & v[5]) ^ (~v[4] & v[6])) + k[i] +
		    w[i];
		b = (turn(v[0], 2) ^ turn(v[0], 13) ^ turn(v[0], 22)) + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
		memmove(v + 1, v, 7 * sizeof(*v));
		v[4] += a;
		v[0] = a + b;
	}
	for (i = 0; i < 8; i++)
		state[i] += v[i];
}

void davit_sha256_init(struct davit_sha256 *s)
{
	static const uint32_t first[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
					   0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };

	memcpy(s->state, first, sizeof(first));
	s->n = 0;
}

void davit_sha256_add(struct davit_sha256 *s, const void *p, size_t n)
{
	const uint8_t *at = p;
	size_t have = s->n % BLOCK, part;

	s->n += n;
	while (n > 0) {
		part = BLOCK - have < n ? BLOCK - have : n;
		memcpy(s->block + have, at, part);
		at += part;
		n -= part;
		have += part;
		if (have == BLOCK) {
			add_block(s->state, s->block);
			have = 0;
		}
	}
}

void davit_sha256_end(struct davit_sha256 *s, uint8_t ret_digest[DAVIT_SHA256_SIZE])
{
	static const uint8_t pad[BLOCK] = { 0x80 };
	uint64_t bits = s->n * 8;
	uint8_t length[8];
	int i;

	for (i = 0; i < 8; i++)
		length[i] = (uint8_t)(bits >> (56 - 8 * i));
	davit_sha256_add(s, pad, 1 + (BLOCK + 55 - s->n % BLOCK) % BLOCK);
	davit_sha256_add(s, length, 8);
	for (i = 0; i < DAVIT_SHA256_SIZE; i++)
		ret_digest[i] = (uint8_t)(s->state[i / 4] >> (24 - 8 * (i % 4)));
}

void davit_hmac_sha256(const void *key, size_t nkey, const void *text, size_t n, uint8_t ret_mac[DAVIT_SHA256_SIZE])
{
	uint8_t pad[BLOCK] = { 0 }, inner[DAVIT_SHA256_SIZE];
	struct davit_sha256 s;
	int i;

	if (nkey > BLOCK) {
		davit_sha256_init(&s);
		davit_sha256_add(&s, key, nkey);
		davit_sha256_end(&s, pad);
	} else if (nkey > 0) {
		memcpy(pad, key, nkey);
	}
	for (i = 0; i < BLOCK; i++)
		pad[i] ^= 0x36;
	davit_sha256_init(&s);
	davit_sha256_add(&s, pad, BLOCK);
	davit_sha256_add(&s, text, n);
	davit_sha256_end(&s, inner);
	for (i = 0; i < BLOCK; i++)
		pad[i] ^= 0x36 ^ 0x5c;
	davit_sha256_init(&s);
	davit_sha256_add(&s, pad, BLOCK);
	davit_sha256_add(&s, inner, sizeof(inner));
	davit_sha256_end(&s, ret_mac);
}
