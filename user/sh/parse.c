// parse.c: from a line of text to a tree of commands, by recursive descent: one function for each rule.
//
//      list     = [ chain { (';' | '&') [ chain ] } ]
//      chain    = pipeline { ('&&' | '||') pipeline }
//      pipeline = command { '|' command }
//      command  = ( '(' list ')' | word ) { word | redirection }
//      redirection = [ digit ] ( '<' | '>' | '>>' ) word
//
// In a word, 'text' stands for itself, "text" too but for \ and $?, and \ takes the meaning from the next character. # at the start of a
// word begins a comment. Everything lives in one arena that is emptied when the next line comes: nothing is freed piece by piece.

#include "kernel/fcntl.h"
#include "user/sh/sh.h"

enum token { END, WORD, LESS, GREATER, APPEND, BAR, AMPERSAND, SEMICOLON, OPEN, CLOSE, BOTH, EITHER };

static char arena[65536] __attribute__((aligned(8)));
static uint arena_used;
static const char *cursor;   // in the line
static enum token token;     // the one that is looked at
static char *word;           // its text, when it is a WORD
static int redirected;       // its descriptor, when it is LESS, GREATER or APPEND
static const char *complaint; // the first one

static void complain(const char *message)
{
	if (!complaint)
		complaint = message;
	token = END;
}

static void *take(uint bytes) // never NULL; when all is used, the parse fails and its result is not looked at
{
	bytes = (bytes + 7) & ~7u;
	if (arena_used + bytes > sizeof(arena)) {
		complain("the line is too long");
		arena_used = 0;
	}
	arena_used += bytes;
	return memset(arena + arena_used - bytes, 0, bytes);
}

static bool ends_word(char c)
{
	return c == '\0' || strchr(" \t\r\n<>|&;()", c);
}

static void scan_word(void)
{
	char quote = 0, *to = word = take(strlen(cursor) + 1);

	for (; quote ? *cursor != '\0' : !ends_word(*cursor); cursor++) {
		if (*cursor == quote || (!quote && (*cursor == '\'' || *cursor == '"'))) {
			quote = quote ? 0 : *cursor;
		} else if (*cursor == '\\' && quote != '\'' && cursor[1]) {
			*to++ = *++cursor;
		} else if (cursor[0] == '$' && cursor[1] == '?' && quote != '\'') {
			*to++ = STATUS_MARK;
			cursor++;
		} else {
			*to++ = *cursor;
		}
	}
	if (complaint)
		return;
	if (quote)
		complain("a quote is not closed");
	arena_used = (uint)(to + 1 - arena + 7) & ~7u; // what the word did not need
}

static bool skip(const char *operator)
{
	uint length = strlen(operator);

	if (strncmp(cursor, operator, length) != 0)
		return false;
	cursor += length;
	return true;
}

static void advance(void)
{
	static const struct {
		const char *text;
		enum token token;
	} operators[] = {
		{ "&&", BOTH }, { "||", EITHER }, { ">>", APPEND }, { "<", LESS }, { ">", GREATER },
		{ "|", BAR }, { "&", AMPERSAND }, { ";", SEMICOLON }, { "(", OPEN }, { ")", CLOSE },
	};

	while (*cursor && strchr(" \t\r\n", *cursor))
		cursor++;
	token = END;
	if (*cursor == '\0' || *cursor == '#' || complaint)
		return;
	redirected = -1;
	if (*cursor >= '0' && *cursor <= '9' && (cursor[1] == '<' || cursor[1] == '>'))
		redirected = *cursor++ - '0';
	for (uint i = 0; i < sizeof(operators) / sizeof(operators[0]); i++)
		if (skip(operators[i].text)) {
			token = operators[i].token;
			return;
		}
	token = WORD;
	scan_word();
}

static struct node *list(void);

static struct node *make(enum kind kind, struct node *left, struct node *right)
{
	struct node *node = take(sizeof(*node));

	node->kind = kind;
	node->left = left;
	node->right = right;
	return node;
}

static void redirection(struct node *node)
{
	struct redirect *redirect = take(sizeof(*redirect)), **last = &node->redirects;

	redirect->file = redirected >= 0 ? redirected : token != LESS;
	redirect->flags = token == LESS ? O_RDONLY : O_WRONLY | O_CREATE | (token == GREATER ? O_TRUNC : O_APPEND);
	advance();
	if (token != WORD)
		complain("a file name is missing");
	redirect->path = word;
	while (*last)
		last = &(*last)->next;
	*last = redirect;
}

static struct node *command(void)
{
	struct node *node = make(COMMAND, 0, 0);
	bool redirects = false;

	if (token == OPEN) {
		advance();
		node->kind = GROUP;
		node->left = list();
		if (token != CLOSE || !node->left)
			complain(node->left ? "a ) is missing" : "nothing stands between ( and )");
		advance();
	}
	for (;; advance()) {
		if (token == WORD && node->kind == COMMAND) {
			if (node->argc == MAXARG - 1)
				complain("too many arguments");
			else
				node->argv[node->argc++] = word;
		} else if (token == LESS || token == GREATER || token == APPEND) {
			redirection(node);
			redirects = true;
		} else {
			break;
		}
	}
	if (node->kind == COMMAND && node->argc == 0 && !redirects)
		complain("a command is missing");
	return node;
}

static struct node *pipeline(void)
{
	struct node *node = command();

	if (token != BAR)
		return node;
	advance();
	return make(PIPE, node, pipeline());
}

static struct node *chain(void)
{
	struct node *node = pipeline();

	while (token == BOTH || token == EITHER) {
		enum kind kind = token == BOTH ? AND : OR;

		advance();
		node = make(kind, node, pipeline());
	}
	return node;
}

static struct node *list(void)
{
	struct node *all = 0;

	while (token != END && token != CLOSE) {
		struct node *node = chain();

		if (token == AMPERSAND)
			node = make(BACKGROUND, node, 0);
		all = all ? make(SEQUENCE, all, node) : node;
		if (token == AMPERSAND || token == SEMICOLON)
			advance();
		else if (token != END && token != CLOSE)
			complain("a word stands where ; or | should be");
	}
	return all;
}

struct node *parse(const char *line, bool *wrong)
{
	struct node *node;

	arena_used = 0;
	complaint = 0;
	cursor = line;
	if (strlen(line) >= LINE_BYTES)
		complain("the line is too long");
	advance();
	node = list();
	if (token == CLOSE)
		complain("a ) has no (");
	*wrong = complaint != 0;
	if (complaint)
		fprintf(2, "sh: %s\n", complaint);
	return complaint ? 0 : node;
}
