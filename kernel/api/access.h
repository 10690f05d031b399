/* SPDX-License-Identifier: Apache-2.0 */
/* The API allow and deny lists of the Configuration: what they hide is not there. */
#ifndef API_ACCESS_H
#define API_ACCESS_H
#include "resources/configuration.h"

struct route;
struct api_access;

const struct api_access *access_new(struct arena *a, const struct configuration *c);
int access_http(const struct api_access *x, const struct route *t); /* 1: there */
/* A Dapr method, by its group and version ("state", "v1"; NULL: in no group). 1: there. */
int access_grpc(const struct api_access *x, const char *group, const char *version);
#endif
