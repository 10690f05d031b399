/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libuv answers ENOMEM nearly everywhere, but where its table of descriptors grows it aborts the process. So its allocations
 * stand on a reserve: when there is no memory, the reserve is given back and the table is tried once more. What else asks for
 * memory in such a moment fails by itself and says so.
 */
#ifndef LOOP_RESERVE_H
#define LOOP_RESERVE_H

/* Before the first loop is made; again is fine. Any thread. */
void reserve_start(void);
#endif
