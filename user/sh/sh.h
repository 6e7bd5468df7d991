// sh.h: the shell's parts.
//
//      edit.c: a line of text  ->  parse.c: a tree of commands  ->  run.c: processes  ->  an exit status
//
//      a | b > f && c ; d &        becomes         SEQUENCE
//                                                 /        \.
//                                              AND          BACKGROUND
//                                             /   \             |
//                                          PIPE    c            d
//                                         /    \.
//                                        a      b > f
#pragma once

#include <stdbool.h>

#include "kernel/param.h"
#include "user/quire.h"

#define LINE_BYTES  512
#define STATUS_MARK '\1' // stands for $? in a word until the command runs

enum kind { COMMAND, GROUP, PIPE, AND, OR, SEQUENCE, BACKGROUND };

struct redirect {
	struct redirect *next; // in the order written
	int file;              // descriptor that is replaced
	int flags;             // for open
	char *path;
};

struct node {
	enum kind kind;
	struct node *left, *right;    // GROUP and BACKGROUND: left only
	struct redirect *redirects;   // COMMAND and GROUP
	int argc;                     // COMMAND
	char *argv[MAXARG + 1];
};

extern int last_status; // what $? stands for

// The next line of input, without its newline. False at the end of input.
bool read_line(char *line, bool interactive);
void print_history(void);

// The tree for a line; it lives until the next call. NULL when the line is empty, or wrong: then a message was printed and *wrong is true.
struct node *parse(const char *line, bool *wrong);

// Does what the tree says and returns the exit status of its last command.
int run(const struct node *node);
