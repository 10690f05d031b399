/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is to blame for a crash: a plugin shares the process, so that it ends with it; but not before it was said whose code it
 * was. The last words go to standard error, as nothing else can be trusted any more.
 */
#ifndef PLUGIN_BLAME_H
#define PLUGIN_BLAME_H

struct manifest;

/* Once, on the main thread: from now on a crash names its plugin. Not under sanitizers, which have their own words. */
void blame_start(void);
/* What was just loaded and has an address `inside`; beyond 128 plugins only the file is named. */
void blame_add(const struct manifest *m, const void *inside);
#endif
