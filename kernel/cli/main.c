/* SPDX-License-Identifier: Apache-2.0 */
#include "base/banned.h"
#include "base/log.h"
#include "cli/command.h"

const struct command *const commands[] = {
	&run_both, &components_list, &components_show, &plugins_list, &plugins_verify,
	&inspect,  &new_plugin,	     &completion,      &version,      NULL,
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]) - 1)

static void print_usage(FILE *to)
{
	size_t i;

	fputs("davit - run an application beside its sidecar, and look at components and plugins\n\nUsage:\n", to);
	for (i = 0; i < COMMANDS; i++)
		fprintf(to, "  davit %s %s\n        %s\n", commands[i]->name, commands[i]->words, commands[i]->about);
	fputs("\n'davit COMMAND --help' tells a command's flags. --output json prints JSON instead of text.\n", to);
}

static void print_help(const struct command *c)
{
	int i;

	printf("Usage: davit %s %s\n%s.\n\nFlags:\n", c->name, c->words, c->about);
	for (i = 0; c->flags[i].name != NULL; i++) {
		char letter[8] = "";

		if (c->flags[i].letter != 0)
			snprintf(letter, sizeof(letter), "-%c, ", c->flags[i].letter);
		printf("  %s--%s%s%s\n        %s\n", letter, c->flags[i].name, c->flags[i].value ? " " : "",
		       c->flags[i].value ? c->flags[i].value : "", c->flags[i].about);
	}
	puts("  --output text|json\n        How to print\n  --help\n        This text");
}

/* The command that the first words name, the longest first; *ret_used: how many words that were. */
static const struct command *find(int argc, char **argv, int *ret_used)
{
	char two[128];
	size_t i;
	int words;

	for (words = argc > 2 ? 2 : argc - 1; words > 0; words--) {
		snprintf(two, sizeof(two), words == 2 ? "%s %s" : "%s", argv[1], words == 2 ? argv[2] : "");
		for (i = 0; i < COMMANDS; i++) {
			if (strcmp(commands[i]->name, two) == 0) {
				*ret_used = words;
				return commands[i];
			}
		}
	}
	return NULL;
}

static int flag_index(const struct command *c, struct str name)
{
	int i;

	for (i = 0; c->flags[i].name != NULL; i++)
		if (str_is(name, c->flags[i].name))
			return i;
	return -1;
}

static int letter_index(const struct command *c, char letter)
{
	int i;

	for (i = 0; c->flags[i].name != NULL; i++)
		if (c->flags[i].letter == letter)
			return i;
	return -1;
}

/* One argument that begins with dashes. 0 well; 2 wrong use. */
static int read_flag(struct command_call *c, int argc, char **argv, int *at)
{
	struct str name = str_of(argv[*at]), value;
	int given, i;

	if (str_is(name, "--help") || str_is(name, "-h")) {
		c->help = 1;
		return 0;
	}
	given = str_cut(name, '=', &name, &value);
	i = name.n == 2 && name.p[1] != '-' ? letter_index(c->command, name.p[1])
					    : flag_index(c->command, str_from(name, name.p[1] == '-' ? 2 : 1));
	if (i < 0 && !str_is(name, "--output"))
		return command_wrong(c, "there is no flag " STR_FMT, STR_ARG(name));
	if (i >= 0 && c->command->flags[i].value == NULL) {
		c->flags[i].n = 1;
		c->flags[i].values[0] = given ? value.p : "true";
		return 0;
	}
	if (!given) {
		if (*at + 1 >= argc)
			return command_wrong(c, STR_FMT " needs a value", STR_ARG(name));
		value = str_of(argv[++*at]);
	}
	if (i < 0) {
		if (!str_is(value, "json") && !str_is(value, "text"))
			return command_wrong(c, "--output is text or json");
		c->json = str_is(value, "json");
		return 0;
	}
	if (c->flags[i].n == COMMAND_REPEATS)
		return command_wrong(c, STR_FMT " was given too often", STR_ARG(name));
	c->flags[i].values[c->flags[i].n++] = value.p;
	return 0;
}

static int read_arguments(struct command_call *c, int argc, char **argv, int at)
{
	int wrong = 0;

	for (; at < argc && !wrong && !c->help; at++) {
		if (strcmp(argv[at], "--") == 0) {
			c->rest = argv + at + 1;
			break;
		}
		if (argv[at][0] == '-' && argv[at][1] != '\0')
			wrong = read_flag(c, argc, argv, &at);
		else if (c->command->runs) {
			c->rest = argv + at;
			break;
		} else if (c->nwords < COMMAND_REPEATS)
			c->words[c->nwords++] = argv[at];
	}
	return wrong;
}

static int wants_help(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return 1;
	return 0;
}

/* Nothing, help, or what there is not. */
static int no_command(int argc, char **argv)
{
	int i, group = 0;

	if (argc > 1 && (wants_help(argc, argv) || strcmp(argv[1], "help") == 0)) {
		print_usage(stdout);
		return 0;
	}
	for (i = 0; argc > 1 && i < (int)COMMANDS; i++)
		group |= strncmp(commands[i]->name, argv[1], strlen(argv[1])) == 0 &&
			 commands[i]->name[strlen(argv[1])] == ' ';
	print_usage(stderr);
	if (group && argc == 2)
		fprintf(stderr, "\ndavit: %s what? One of the commands above\n", argv[1]);
	else if (argc > 1)
		fprintf(stderr, "\ndavit: there is no command %s%s%s\n", argv[1], group ? " " : "",
			group ? argv[2] : "");
	return 2;
}

int main(int argc, char **argv)
{
	static const struct log_options quiet = { .level = LOG_FATAL };
	struct command_call c = { .a = arena_new() };
	int used, code;

	log_start(&quiet); /* what the registry passes over is told by `plugins verify` */
	if (c.a == NULL)
		return command_failed("out of memory");
	c.command = find(argc, argv, &used);
	if (c.command == NULL) {
		code = no_command(argc, argv);
	} else {
		code = read_arguments(&c, argc, argv, 1 + used);
		if (c.help) {
			print_help(c.command);
			code = 0;
		} else if (code == 0) {
			code = c.command->run(&c);
		}
	}
	arena_unref(c.a);
	return fflush(stdout) == 0 ? code : command_failed("standard output cannot be written");
}
