/* SPDX-License-Identifier: Apache-2.0 */
/* Metadata as a blob: of each text its length in 4 bytes, the lowest first, then the text. */
#ifndef PAIRS_H
#define PAIRS_H
#include <davit/plugin.h>

/* 0: pairs_free(*ret_blob) is due; -1: no memory, or a text too long. */
int pairs_write(const struct davit_pair *pairs, uint64_t n, struct davit_bytes *ret_blob);
void pairs_free(struct davit_bytes blob);

/* Bytes that pairs_read needs, and how many pairs there are; -1: the blob is broken. */
int64_t pairs_size(struct davit_bytes blob, uint64_t *ret_n);
/* Into room of that size, which is aligned as malloc's: the pairs, then their texts. */
void pairs_read(struct davit_bytes blob, void *room, uint64_t n);
#endif
