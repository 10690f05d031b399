/* SPDX-License-Identifier: Apache-2.0 */
/* The host table: the functions that a plugin reaches through its call or instance. */
#ifndef PLUGIN_HOST_H
#define PLUGIN_HOST_H
#include <davit/plugin.h>

extern const struct davit_host host_table, stream_host_table; /* of a long call: the one a plugin finds in it */

/* The parts, by the files that own what they touch. */
void call_done(struct davit_call *call, davit_status status);
davit_status call_emit(struct davit_call *call, const void *record);
davit_status call_emit_owned(struct davit_call *call, const void *record, void (*release)(void *arg), void *arg);
void call_fail(struct davit_call *call, davit_status status, const char *reason, const char *text, size_t n);
int64_t call_remaining_ms(const struct davit_call *call);
int32_t call_cancelled(const struct davit_call *call);
int32_t call_on_cancel(struct davit_call *call, void (*fn)(void *arg), void *arg);
int64_t call_credit(struct davit_call *call);
int32_t call_on_credit(struct davit_call *call, void (*fn)(void *arg), void *arg);
void *call_alloc(struct davit_call *call, size_t n);
void instance_log(struct davit_instance *instance, int32_t level, const char *text, size_t n);
void instance_count(struct davit_instance *instance, const char *name, int64_t n);
const void *instance_service(struct davit_instance *instance, const char *name);
#endif
