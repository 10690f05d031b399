/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a plugin's ELF note from its file, running none of it. */
#ifndef PLUGIN_NOTE_H
#define PLUGIN_NOTE_H
#include <davit/plugin.h>

/* 0; -1: *ret_why, a static sentence, says what is wrong. Every offset in the file is checked: it may be anything. */
int note_read(int fd, struct davit_note *ret_note, const char **ret_why);
#endif
