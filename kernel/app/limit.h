/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many calls the application may have at once (--app-max-concurrency), over all loops. Who comes too late waits in
 * line, on a fiber of any loop.
 */
#ifndef APP_LIMIT_H
#define APP_LIMIT_H
#include <stdint.h>

struct app_limit;

struct app_limit *app_limit_new(int most); /* at least 1. NULL: no memory */
void app_limit_free(struct app_limit *l);  /* nobody is inside or in line; NULL is fine */

/* 0: entered; -1: the steady clock showed deadline_ns before (0: no limit), or *stop was set and the fiber woken. */
int app_limit_enter(struct app_limit *l, int64_t deadline_ns, const uint8_t *stop);
void app_limit_leave(struct app_limit *l); /* any loop */
#endif
