/* SPDX-License-Identifier: Apache-2.0 */
/* What a Content-Type says about the bytes: compared in any case, up to its parameters. */
#ifndef BLOCKS_CONTENT_TYPE_H
#define BLOCKS_CONTENT_TYPE_H
#include "base/str.h"

int content_type_is(struct str type, const char *wanted); /* wanted in lower case */
int content_type_json(struct str type);			  /* application/json, and nothing like it */
int content_type_text(struct str type);			  /* text/…, application/xml */
int content_type_binary(struct str type);		  /* application/octet-stream */
int content_type_cloudevent(struct str type);		  /* application/cloudevents+json */
#endif
