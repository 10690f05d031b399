/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Versions of plugins (semver.org 2.0) and ranges of them, as npm and Debian write them:
 *	1.2.3 or =1.2.3		just this one; 1.2 and 1.2.x any 1.2, * any
 *	>=0.2 <0.3		all of them; a comma between does as well, and parentheses, << and >> as Debian has them
 *	^1.2.3  ~1.2.3		up to the next break (2.0.0; of 0.2.3: 0.3.0), up to the next minor (1.3.0)
 *	1.2 || >=2.1		either
 * A pre-release (0.3.0-rc.1) is in a range only if the range names one of the same three numbers. What is built of a version
 * (+20240101) does not count.
 */
#ifndef PLUGIN_VERSION_H
#define PLUGIN_VERSION_H
#include "base/str.h"

int version_compare(struct str a, struct str b); /* negative, 0, positive as memcmp; what is no version comes first */
int version_is_prerelease(struct str v);
int version_in_range(struct str version, struct str range); /* 1, 0; -1: the range cannot be read */
#endif
