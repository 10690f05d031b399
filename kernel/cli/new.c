/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `davit new`: a plugin of one's own to begin with, from the templates of the installed kit (share/davit/template): first what
 * all have in common, then what the block has, then what the language has. @WORDS@ in their files are filled in.
 */
#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/banned.h"
#include "base/buf.h"
#include "cli/command.h"
#include "plugin/file.h"

#define FILE_MOST (256u * 1024) /* bytes of a template's file */
#define NAME_MOST 64
#define FIRST_VERSION "0.1.0"

static const struct {
	const char *block, *ask, *flags; /* what the sidecar runs beside, and with which flags */
} kinds[] = {
	{ "state", "tests/ask.sh", "" },
	{ "secretstores", "tests/ask.sh", "" },
	{ "pubsub", "tests/ask.py", "--app-port \"${PORT:-6123}\" " },
	{ "nameresolution", "tests/ask.sh", "--config tests/config.yaml " },
};

struct word {
	const char *name;
	struct str value;
};

struct making {
	struct command_call *c;
	const char *template, *to;
	struct word words[8];
	size_t nwords;
};

static int is_name(const char *name)
{
	size_t i;

	for (i = 0; name[i] != '\0'; i++)
		if (!((name[i] >= 'a' && name[i] <= 'z') || (name[i] >= '0' && name[i] <= '9') ||
		      (i > 0 && name[i - 1] != '.' && name[i - 1] != '-' && name[i + 1] != '\0' &&
		       (name[i] == '.' || name[i] == '-'))))
			return 0;
	return i > 0 && i <= NAME_MOST;
}

/* It goes into C, JSON and a Debian control file as it is. */
static int is_vendor(const char *vendor)
{
	size_t i;

	for (i = 0; vendor[i] != '\0'; i++)
		if ((unsigned char)vendor[i] < ' ' || strchr("\"\\<>?", vendor[i]) != NULL)
			return 0;
	return i > 0 && i <= NAME_MOST;
}

static struct str filled_in(struct making *m, struct str text)
{
	struct buf b = buf_in(m->c->a);
	struct str name, rest;
	size_t i, k;

	for (i = 0; i < text.n; i++) {
		for (k = 0; k < m->nwords && text.p[i] == '@'; k++) {
			name = str_of(m->words[k].name);
			rest = str_from(text, i + 1);
			if (str_starts(rest, name) && rest.n > name.n && rest.p[name.n] == '@')
				break;
		}
		if (text.p[i] != '@' || k == m->nwords) {
			buf_addc(&b, text.p[i]);
			continue;
		}
		buf_adds(&b, m->words[k].value);
		i += name.n + 1;
	}
	return buf_str(&b);
}

static int write_all(const char *path, struct str text, mode_t mode)
{
	FILE *f = fopen(path, "wex");

	if (f == NULL)
		return command_failed("%s: %s", path, strerror(errno));
	fwrite(text.p, 1, text.n, f);
	fchmod(fileno(f), mode & 0111 ? 0755 : 0644);
	return fclose(f) == 0 ? 0 : command_failed("%s: %s", path, strerror(errno));
}

static int copy_folder(struct making *m, const char *from, const char *to);

static int copy_entry(struct making *m, const char *from, const char *to, const char *name)
{
	struct arena *a = m->c->a;
	const char *source = arena_printf(a, "%s/%s", from, name).p;
	/* A file that git would heed inside the kit's own tree goes without its dot there. */
	const char *target = arena_printf(a, "%s/%s%s", to, strcmp(name, "gitignore") == 0 ? "." : "", name).p;
	struct str text, message;
	struct stat st;

	if (stat(source, &st) < 0)
		return command_failed("%s: %s", source, strerror(errno));
	if (S_ISDIR(st.st_mode))
		return copy_folder(m, source, target);
	if (file_read(a, source, FILE_MOST, &text, &message) < 0)
		return command_failed(STR_FMT, STR_ARG(message));
	return write_all(target, filled_in(m, text), st.st_mode);
}

static int not_dots(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

static int copy_folder(struct making *m, const char *from, const char *to)
{
	struct dirent **list;
	int n, i, failed = 0;

	if (mkdir(to, 0777) < 0 && errno != EEXIST)
		return command_failed("%s: %s", to, strerror(errno));
	n = scandir(from, &list, not_dots, alphasort);
	if (n < 0)
		return command_failed("%s: %s: is Davit's kit installed whole?", from, strerror(errno));
	for (i = 0; i < n; i++) {
		if (!failed)
			failed = copy_entry(m, from, to, list[i]->d_name);
		free(list[i]);
	}
	free(list);
	return failed;
}

static void add_word(struct making *m, const char *name, struct str value)
{
	m->words[m->nwords++] = (struct word){ name, value };
}

static const char *find_template(struct command_call *c)
{
	const char *given = command_flag(c, "template"), *beside;

	if (given != NULL)
		return given;
	beside = command_beside(c->a, "../share/davit/template");
#ifdef DAVIT_TEMPLATE
	if (access(beside, R_OK) < 0)
		return DAVIT_TEMPLATE;
#endif
	return beside;
}

static struct str with_dashes(struct arena *a, struct str s)
{
	struct str copy = arena_str(a, s);
	size_t i;

	for (i = 0; i < copy.n; i++)
		if (copy.p[i] == '.')
			((char *)copy.p)[i] = '-';
	return copy;
}

static int make(struct command_call *c, size_t kind, const char *language)
{
	struct arena *a = c->a;
	struct making m = { .c = c, .template = find_template(c) };
	struct str type = arena_printf(a, "%s.%s", c->words[0], c->words[1]);
	const char *vendor = command_flag(c, "vendor"), *const parts[] = {
		arena_printf(a, "%s/common", m.template).p,
		arena_printf(a, "%s/%s/common", m.template, kinds[kind].block).p,
		arena_printf(a, "%s/%s/%s", m.template, kinds[kind].block, language).p,
	};
	size_t i;

	if (vendor == NULL)
		vendor = "Unknown vendor";
	if (!is_vendor(vendor))
		return command_wrong(
			c, "--vendor is a name of at most %d characters without quotes, '\\', '<', '>' or '?'",
			NAME_MOST);
	m.to = command_flag(c, "folder") ? command_flag(c, "folder") : type.p;
	add_word(&m, "TYPE", type);
	add_word(&m, "NAME", str_of(c->words[1]));
	add_word(&m, "PACKAGE", with_dashes(a, type));
	add_word(&m, "VENDOR", str_of(vendor));
	add_word(&m, "VERSION", STR(FIRST_VERSION));
	add_word(&m, "ASK", str_of(kinds[kind].ask));
	add_word(&m, "RUN_FLAGS", str_of(kinds[kind].flags));
	if (mkdir(m.to, 0777) < 0)
		return command_failed("%s: %s", m.to,
				      errno == EEXIST ? "is there already; nothing was written" : strerror(errno));
	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (copy_folder(&m, parts[i], m.to) != 0)
			return 1;
	if (c->json)
		printf("{\"type\":\"" STR_FMT "\",\"language\":\"%s\"}\n", STR_ARG(type), language);
	else
		printf("%s: a plugin for " STR_FMT " in %s. Next:\n\tcd %s && make && make check\n", m.to,
		       STR_ARG(type), language, m.to);
	return 0;
}

/* The folder of templates for a language, under the names that it goes by; NULL: there is none. */
static const char *language_of(const char *name)
{
	static const char *const known[][2] = { { "c", "c" },	  { "C", "c" },	    { "c++", "c++" }, { "C++", "c++" },
						{ "cpp", "c++" }, { "cxx", "c++" }, { "cc", "c++" } };
	size_t i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(known[i][0], name) == 0)
			return known[i][1];
	return NULL;
}

static int begin(struct command_call *c)
{
	const char *language = command_flag(c, "lang");
	size_t i;

	if (c->nwords != 2)
		return command_wrong(c, "name a block (state, secretstores, pubsub, nameresolution) and a name, as in "
					"`new state acme`");
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && strcmp(kinds[i].block, c->words[0]) != 0; i++)
		;
	if (i == sizeof(kinds) / sizeof(kinds[0]))
		return command_wrong(c, "there is no block %s: state, secretstores, pubsub or nameresolution",
				     c->words[0]);
	if (!is_name(c->words[1]))
		return command_wrong(c,
				     "a name has lower-case letters, digits, and single dots and dashes between them");
	if (language == NULL)
		language = "c";
	language = language_of(language);
	if (language == NULL)
		return command_wrong(c, "--lang is c or c++");
	return make(c, i, language);
}

const struct command new_plugin = { "new",
				    "BLOCK NAME",
				    "Begin a plugin of one's own, with manifest, tests and packaging",
				    begin,
				    {
					    { "lang", "LANGUAGE", "c (the default) or c++" },
					    { "vendor", "NAME", "Who vouches for it" },
					    { "folder", "FOLDER", "Where; by default ./BLOCK.NAME" },
					    { "template", "FOLDER", "Templates other than those of the kit" },
				    } };
