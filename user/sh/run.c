// run.c: from a tree of commands to processes.
//
//      COMMAND, GROUP    one child
//      PIPE              one child a stage, all at once, joined by pipes; the status is the last stage's
//      BACKGROUND        a child of a child that ends at once: init adopts and reaps it
//
// cd, exit and history run in the shell itself; as a stage of a pipe or in the background they change only that child.

#include "user/sh/sh.h"

#define NOT_FOUND 127

static int fork_or_say(void)
{
	int pid = fork();

	if (pid < 0)
		fprintf(2, "sh: cannot fork\n");
	return pid;
}

static int wait_for(int pid)
{
	int ended, status;

	if (pid < 0)
		return 1;
	while ((ended = wait(&status)) >= 0)
		if (ended == pid)
			return status;
	return 1;
}

// Makes descriptor `to` another name of `from`. dup takes the lowest free descriptor, so lower ones are filled first.
static bool rename(int from, int to)
{
	int got;

	if (from == to)
		return true;
	close(to);
	while ((got = dup(from)) >= 0 && got < to)
		;
	close(from);
	return got == to;
}

static bool redirect(const struct redirect *redirect)
{
	for (; redirect; redirect = redirect->next) {
		int file = open(redirect->path, redirect->flags);

		if (file < 0 || !rename(file, redirect->file)) {
			fprintf(2, "sh: cannot open %s\n", redirect->path);
			return false;
		}
	}
	return true;
}

// The word with $? replaced by what it stands for now.
static char *settle(char *word)
{
	char *settled, *to;

	if (!strchr(word, STATUS_MARK) || !(to = settled = malloc(12 * strlen(word) + 1)))
		return word;
	for (; *word; word++)
		if (*word == STATUS_MARK)
			to += snprintf(to, 12, "%d", last_status);
		else
			*to++ = *word;
	*to = '\0';
	return settled;
}

static _Noreturn void execute(const struct node *node)
{
	char path[MAXPATH], *argv[MAXARG + 1] = { 0 };

	for (int i = 0; i < node->argc; i++)
		argv[i] = settle(node->argv[i]);
	exec(argv[0], argv);
	if (!strchr(argv[0], '/') && snprintf(path, sizeof(path), "/%s", argv[0]) < MAXPATH)
		exec(path, argv); // programs are in the root directory
	fprintf(2, "sh: %s: not found\n", argv[0]);
	exit(NOT_FOUND);
}

static bool builtin(const struct node *node, int *status)
{
	const char *name = node->argc > 0 ? node->argv[0] : "";
	const char *argument = node->argc > 1 ? node->argv[1] : 0;

	*status = 0;
	if (strcmp(name, "exit") == 0)
		exit(argument ? atoi(argument) : last_status);
	if (strcmp(name, "history") == 0) {
		print_history();
		return true;
	}
	if (strcmp(name, "cd") != 0)
		return false;
	if (chdir(argument ? argument : "/") < 0) {
		fprintf(2, "sh: cannot go to %s\n", argument ? argument : "/");
		*status = 1;
	}
	return true;
}

// In a child: becomes what the node says.
static _Noreturn void become(const struct node *node)
{
	int status;

	if (!redirect(node->redirects))
		exit(1);
	if (node->kind == GROUP)
		exit(run(node->left));
	if (node->kind != COMMAND)
		exit(run(node));
	if (builtin(node, &status))
		exit(status);
	if (node->argc == 0)
		exit(0); // redirections alone: `> file` makes it
	execute(node);
}

// Starts a stage of a pipe with `input` and `output` in place of 0 and 1 (where they are not -1). `other` is an end that it must not keep.
static int start_stage(const struct node *node, int input, int output, int other)
{
	int pid = fork_or_say();

	if (pid != 0)
		return pid;
	if (other >= 0)
		close(other);
	if ((input >= 0 && !rename(input, 0)) || (output >= 0 && !rename(output, 1)))
		exit(1);
	become(node);
}

static int run_pipe(const struct node *node)
{
	int input = -1, started = 0, last, ended, status, result = 1, ends[2];

	for (; node->kind == PIPE; node = node->right) {
		if (pipe(ends) < 0) {
			fprintf(2, "sh: no pipe\n");
			break;
		}
		started += start_stage(node->left, input, ends[1], ends[0]) > 0;
		close(ends[1]);
		if (input >= 0)
			close(input);
		input = ends[0];
	}
	last = node->kind == PIPE ? -1 : start_stage(node, input, -1, -1);
	started += last > 0;
	if (input >= 0)
		close(input);
	while (started-- > 0 && (ended = wait(&status)) >= 0)
		if (ended == last)
			result = status;
	return result;
}

static int run_background(const struct node *node)
{
	int pid = fork_or_say();

	if (pid == 0) {
		int job = fork_or_say();

		if (job == 0)
			become(node);
		if (job > 0)
			fprintf(2, "[%d]\n", job);
		exit(job < 0);
	}
	return wait_for(pid);
}

int run(const struct node *node)
{
	int status, pid;

	switch (node->kind) {
	case PIPE:
		return run_pipe(node);
	case AND:
		return (last_status = run(node->left)) == 0 ? run(node->right) : last_status;
	case OR:
		return (last_status = run(node->left)) != 0 ? run(node->right) : 0;
	case SEQUENCE:
		last_status = run(node->left);
		return run(node->right);
	case BACKGROUND:
		return run_background(node->left);
	default:
		if (node->kind == COMMAND && builtin(node, &status))
			return status;
		if ((pid = fork_or_say()) == 0)
			become(node);
		return wait_for(pid);
	}
}
