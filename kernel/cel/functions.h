/* SPDX-License-Identifier: Apache-2.0 */
/* What the table of functions runs that is not in its own file. */
#ifndef CEL_FUNCTIONS_H
#define CEL_FUNCTIONS_H
#include "cel/inside.h"

/* arithmetic.c */
struct cel_value cel_run_not(struct cel_eval *e, const struct cel_call *c);
struct cel_value cel_run_negate(struct cel_eval *e, const struct cel_call *c);
struct cel_value cel_run_add(struct cel_eval *e, const struct cel_call *c);
struct cel_value cel_run_subtract(struct cel_eval *e, const struct cel_call *c);
struct cel_value cel_run_multiply(struct cel_eval *e, const struct cel_call *c);
struct cel_value cel_run_divide(struct cel_eval *e, const struct cel_call *c);
struct cel_value cel_run_modulo(struct cel_eval *e, const struct cel_call *c);

/* convert.c */
struct cel_value cel_run_type(struct cel_eval *e, const struct cel_call *c);
struct cel_value cel_run_dyn(struct cel_eval *e, const struct cel_call *c);
struct cel_value cel_run_bool(struct cel_eval *e, const struct cel_call *c);
struct cel_value cel_run_bytes(struct cel_eval *e, const struct cel_call *c);
struct cel_value cel_run_double(struct cel_eval *e, const struct cel_call *c);
struct cel_value cel_run_duration(struct cel_eval *e, const struct cel_call *c);
struct cel_value cel_run_int(struct cel_eval *e, const struct cel_call *c);
struct cel_value cel_run_string(struct cel_eval *e, const struct cel_call *c);
struct cel_value cel_run_timestamp(struct cel_eval *e, const struct cel_call *c);
struct cel_value cel_run_uint(struct cel_eval *e, const struct cel_call *c);

/* time.c */
struct cel_value cel_run_year(struct cel_eval *e, const struct cel_call *c);
struct cel_value cel_run_month(struct cel_eval *e, const struct cel_call *c);
struct cel_value cel_run_day_of_year(struct cel_eval *e, const struct cel_call *c);
struct cel_value cel_run_day_of_month(struct cel_eval *e, const struct cel_call *c);
struct cel_value cel_run_date(struct cel_eval *e, const struct cel_call *c);
struct cel_value cel_run_day_of_week(struct cel_eval *e, const struct cel_call *c);
struct cel_value cel_run_hours(struct cel_eval *e, const struct cel_call *c);
struct cel_value cel_run_minutes(struct cel_eval *e, const struct cel_call *c);
struct cel_value cel_run_seconds(struct cel_eval *e, const struct cel_call *c);
struct cel_value cel_run_milliseconds(struct cel_eval *e, const struct cel_call *c);

#endif
