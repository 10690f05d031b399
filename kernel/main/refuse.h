/* SPDX-License-Identifier: Apache-2.0 */
/* What the operator asked for and this version does not have: protection ends the start, the rest is told at debug. */
#ifndef MAIN_REFUSE_H
#define MAIN_REFUSE_H
#include "main/options.h"
#include "resources/configuration.h"

/* -1: *ret_message names the setting that promises protection which would not be given. */
int refuse_unprotected(const struct options *o, const struct configuration *c, struct arena *a,
		       struct str *ret_message);
void refuse_tell_unused(const struct options *o, const struct configuration *c);
#endif
