/* SPDX-License-Identifier: Apache-2.0 */
/* Kubernetes quantities: "4Mi", "4M", "4Ki", "1e3", "1.5Gi", "100m". */
#ifndef BASE_QUANTITY_H
#define BASE_QUANTITY_H
#include "base/str.h"

/*
 * The whole number, rounded up (away from zero) as resource.Quantity.Value() gives it. Suffixes n u m k M G T P E and
 * Ki Mi Gi Ti Pi Ei, or an exponent. -1: not a quantity. Past INT64: the largest or smallest, as Kubernetes caps it.
 */
int quantity_parse(struct str s, int64_t *ret_value);
#endif
