/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The label path of HTTP metrics: a URL path with what a client chooses taken out of it. Either by patterns that the
 * operator gives (Go's ServeMux syntax, without method and host), or by what we know of our own API: keys, ids and instances
 * are replaced or cut.
 */
#ifndef TELEMETRY_PATH_LABEL_H
#define TELEMETRY_PATH_LABEL_H
#include "base/arena.h"
#include "base/str.h"

/* Only so much of a path is looked at; a label holds 255 bytes of it. */
#define PATH_LABEL_MAX 1024

struct path_patterns;

/* Patterns live in a. NULL with ret_message: one of them is malformed. increased: as of path_label(). */
struct path_patterns *path_patterns_new(struct arena *a, const struct str *patterns, size_t n, int increased,
					struct str *ret_message);

/* The path, static, if it is one of Dapr's own that are never reduced (its StaticPaths); else none. */
struct str path_fixed(struct str path);

/*
 * The label for a path (unescaped, without query). patterns may be NULL. increased: metric.http.increasedCardinality, a
 * path that no pattern names gets its reduced form instead of "". The answer is in scratch, in patterns, or static.
 */
struct str path_label(const struct path_patterns *patterns, int increased, struct str path,
		      char scratch[PATH_LABEL_MAX]);

/* The reduced form, in out. */
struct str path_reduce(struct str path, char out[PATH_LABEL_MAX]);
#endif
