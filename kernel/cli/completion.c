/* SPDX-License-Identifier: Apache-2.0 */
/* `davit completion bash`: the shell's help with typing, from the tables of commands, so that it cannot tell of others. */
#include "base/banned.h"
#include "cli/command.h"

static void put_flags(const struct command *c)
{
	int i;

	for (i = 0; c->flags[i].name != NULL; i++)
		printf("--%s ", c->flags[i].name);
	fputs("--output --help", stdout);
}

/* The n-th word of the name; "" when it has fewer. */
static struct str word_of(const struct command *c, int n)
{
	struct str rest = str_of(c->name), word = STR("");

	for (; n >= 0; n--)
		if (!str_split(&rest, ' ', &word))
			return STR("");
	return word;
}

static void put_words(int n, struct str under)
{
	const struct command *const *c;
	struct str last = STR_NONE, word;

	for (c = commands; *c != NULL; c++) {
		word = word_of(*c, n);
		if (word.n == 0 || str_eq(word, last) || (n > 0 && !str_eq(word_of(*c, 0), under)))
			continue;
		printf(STR_FMT " ", STR_ARG(word));
		last = word;
	}
}

static void put_bash(void)
{
	const struct command *const *c;
	struct str group = STR_NONE;

	puts("# bash completion for davit, made by `davit completion bash`.\n_davit()\n{\n"
	     "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words= i\n"
	     "\tCOMPREPLY=()\n"
	     "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	     "\t\t[[ ${COMP_WORDS[i]} == -- ]] && { COMPREPLY=($(compgen -c -- \"$cur\")); return; }\n"
	     "\tdone\n"
	     "\tcase $prev in\n"
	     "\t--output) COMPREPLY=($(compgen -W \"text json\" -- \"$cur\")); return ;;\n"
	     "\t--lang) COMPREPLY=($(compgen -W \"c c++\" -- \"$cur\")); return ;;\n"
	     "\t--min-tier) COMPREPLY=($(compgen -W \"community standard managed\" -- \"$cur\")); return ;;\n"
	     "\t--*-path | --config | --folder | --template) return ;; # a file\n"
	     "\tesac\n"
	     "\tcase $COMP_CWORD,${COMP_WORDS[1]},${COMP_WORDS[2]} in");
	fputs("\t1,*) words=\"", stdout);
	put_words(0, STR(""));
	puts("--help\" ;;");
	for (c = commands; *c != NULL; c++) {
		if (word_of(*c, 1).n == 0 || str_eq(word_of(*c, 0), group))
			continue;
		group = word_of(*c, 0);
		printf("\t2," STR_FMT ",*) words=\"", STR_ARG(group));
		put_words(1, group);
		puts("--help\" ;;");
	}
	puts("\t2,new,*) words=\"state secretstores pubsub nameresolution\" ;;\n"
	     "\t*,components,show) [[ $cur == -* ]] || words=$(davit components list 2> /dev/null | sed -n "
	     "'s/^\\([a-z]*\\.[^ ]*\\).*/\\1/p') ;;&");
	for (c = commands; *c != NULL; c++) {
		printf("\t*," STR_FMT "," STR_FMT ") words+=\" ", STR_ARG(word_of(*c, 0)),
		       STR_ARG(word_of(*c, 1).n ? word_of(*c, 1) : STR("*")));
		put_flags(*c);
		puts("\" ;;");
	}
	puts("\tesac\n\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}\ncomplete -o default -F _davit davit");
}

static int complete(struct command_call *c)
{
	if (c->nwords != 1 || strcmp(c->words[0], "bash") != 0)
		return command_wrong(c, "name the shell: bash");
	put_bash();
	return 0;
}

const struct command completion = {
	"completion", "bash", "Print the shell's completion of this program", complete, { { NULL, NULL, NULL } }
};
