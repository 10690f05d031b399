/* SPDX-License-Identifier: Apache-2.0 */
/*
 * davit/siphash.h - a keyed hash for tables whose keys strangers choose: without the key nobody can make them collide.
 * SipHash-1-3 of Aumasson and Bernstein. A helper of libdavit-sdk.a, not of the line.
 */
#ifndef DAVIT_SIPHASH_H
#define DAVIT_SIPHASH_H
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct davit_siphash_key {
	uint64_t k0, k1; /* from davit_random() */
};

uint64_t davit_siphash(const struct davit_siphash_key *key, const void *bytes, size_t n);

#ifdef __cplusplus
}
#endif
#endif
