/* SPDX-License-Identifier: Apache-2.0 */
/* Reading YAML files from disk, with a bound. Blocks; used by the loaders only. */
#ifndef RESOURCES_FOLDER_H
#define RESOURCES_FOLDER_H
#include "base/error.h"

/*
 * One file. text: its bytes, valid until the callback returns; or fault: why it could not be read (static text or in
 * `work`). Other than 0 ends the walk.
 */
typedef int folder_file(void *arg, const char *path, struct str text, const char *fault);

/*
 * Every *.yaml and *.yml (in any case) directly in a folder, by name bytewise; a warning for each other file. -1: the
 * callback's wish (it has set *ret_error itself), or the folder cannot be read: ret_error, in `work`.
 */
int folder_read(struct arena *work, const char *path, folder_file *fn, void *arg, struct error *ret_error);

/* One file of at most YAML_FILE_MAX bytes, in `work` with a NUL behind it. NULL, or what is wrong with it. */
const char *folder_read_file(struct arena *work, const char *path, struct str *ret_text);

/* errno's text as Go gives it, such as "no such file or directory". */
const char *folder_errno(struct arena *work, int error);
/* The error with its message copied into a, without a jump: where there is no memory it says so. */
struct error folder_move_error(struct arena *a, const struct error *e);
#endif
