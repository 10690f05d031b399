/* SPDX-License-Identifier: Apache-2.0 */
/* What a Configuration takes from environment variables. Reads the process's environment: at start only. */
#ifndef RESOURCES_ENVIRONMENT_H
#define RESOURCES_ENVIRONMENT_H
#include "resources/configuration.h"

/* $NAME and ${NAME} replaced as Go's os.ExpandEnv does, unset ones by nothing. -1: more than `most` bytes come out. */
int environment_expand(struct arena *a, struct str text, size_t most, struct str *ret_text);

/*
 * OTEL_EXPORTER_OTLP_[TRACES_]ENDPOINT, PROTOCOL, INSECURE, HEADERS, TIMEOUT, where no file names a collector. NULL, or
 * what is wrong (in a; names the variable, not its value).
 */
const char *environment_otel(struct arena *a, struct configuration_tracing *tracing);
#endif
