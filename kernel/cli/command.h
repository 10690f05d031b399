/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program `davit`: commands as a table, each with its flags as a table. What a command prints goes to standard output,
 * as text or with --output json as one JSON value; faults go to standard error with exit code 1, wrong use with 2.
 */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H
#include <stdio.h>

#include "base/arena.h"
#include "base/str.h"
#include "plugin/registry.h"

#define COMMAND_FLAGS 24
#define COMMAND_REPEATS 32

struct command_flag {
	const char *name;  /* without dashes */
	const char *value; /* what --help calls its value; NULL: it has none, but may be given one behind '=' */
	const char *about;
	char letter; /* its short form, as Dapr's own program has it; 0: none */
};

struct command;

struct command_call {
	struct arena *a;
	const struct command *command;
	const char *words[COMMAND_REPEATS]; /* what is no flag */
	int nwords;
	char **rest; /* behind "--"; NULL: there is none */
	struct {
		const char *values[COMMAND_REPEATS];
		int n;
	} flags[COMMAND_FLAGS]; /* in the order of the command's table */
	int json, help;
};

struct command {
	const char *name;  /* "components show" */
	const char *words; /* for the usage: "TYPE" */
	const char *about;
	int (*run)(struct command_call *c); /* the exit code */
	struct command_flag flags[COMMAND_FLAGS];
	int runs; /* its first word begins the rest, as "--" does */
};

/* A flag's last value, NULL: not given. */
const char *command_flag(const struct command_call *c, const char *name);
int command_wrong(const struct command_call *c, const char *fmt, ...) __attribute__((format(printf, 2, 3))); /* 2 */
int command_failed(const char *fmt, ...) __attribute__((format(printf, 1, 2)));				     /* 1 */
/* A path relative to the folder that the program lies in. */
const char *command_beside(struct arena *a, const char *path);
/* The registry of --plugins-path, DAVIT_PLUGINS_PATH and the program's own place. NULL: no memory. */
struct registry *command_registry(struct command_call *c);

extern const struct command components_list, components_show, plugins_list, plugins_verify, inspect, run_both,
	new_plugin, completion, version;
extern const struct command *const commands[]; /* NULL ends it */
#endif
