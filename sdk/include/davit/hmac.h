/* SPDX-License-Identifier: Apache-2.0 */
/*
 * davit/hmac.h - SHA-256 (FIPS 180-4) and HMAC with it (RFC 2104), for REST services whose requests are signed: so that a small
 * plugin needs no library for it. Helpers of libdavit-sdk.a, not of the line.
 */
#ifndef DAVIT_HMAC_H
#define DAVIT_HMAC_H
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DAVIT_SHA256_SIZE 32

/* In pieces: init, add as often as needed, end. */
struct davit_sha256 {
	uint32_t state[8];
	uint64_t n; /* bytes so far */
	uint8_t block[64];
};

void davit_sha256_init(struct davit_sha256 *s);
void davit_sha256_add(struct davit_sha256 *s, const void *p, size_t n);
void davit_sha256_end(struct davit_sha256 *s, uint8_t ret_digest[DAVIT_SHA256_SIZE]);

void davit_hmac_sha256(const void *key, size_t nkey, const void *text, size_t n, uint8_t ret_mac[DAVIT_SHA256_SIZE]);

#ifdef __cplusplus
}
#endif
#endif
