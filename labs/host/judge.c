// judge.c: runs a lab's checks, each in a process of its own with a limit of CPU time, and reports one JSON object a line: see judge.h.
//
//     run [--list] [--seed N] [--timeout MILLISECONDS] [--out FILE] [CHECK ...]
//
// What the checked code prints goes to a file of its own and never into the report. The exit status is 0 when all checks were judged,
// whatever came out.
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sanitizer/common_interface_defs.h>

#include "../../mm/host/random.h"
#include "judge.h"

#define CALLS 12
#define TEXT  240
#define MAP   1600

static struct shared { // with the child
	enum { RUNS, FAILED, HOLE, STUCK, PASSED } end;
	char rule[TEXT], expected[TEXT], actual[TEXT], file[TEXT], map[MAP];
	int line;
	uint64_t place;
	unsigned calls;
	char call[CALLS][TEXT / 2];
} *shared;

static struct check *checks, **checks_end = &checks;
static uint64_t seed = 1, stream;
static unsigned patience = 1500; // milliseconds of CPU time for a check
#define HURRY 1000               // after one that was stuck; the longest check takes 350
static bool closing; // the map is being drawn, or there is nothing to add any more
void (*judge_map)(uint64_t place, char *to, size_t bytes);

void check_register(struct check *check)
{
	*checks_end = check;
	checks_end = &check->next;
}

uint64_t random_next(void)
{
	return random_step(&stream);
}

uint64_t random_below(uint64_t limit)
{
	return random_next() % limit;
}

// ---- what a check says, in the child

void call(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(shared->call[shared->calls++ % CALLS], sizeof shared->call[0], format, arguments);
	va_end(arguments);
}

void answer(const char *format, ...)
{
	char *last = shared->call[(shared->calls + CALLS - 1) % CALLS];
	size_t used = strlen(last);
	va_list arguments;
	used += (size_t)snprintf(last + used, sizeof shared->call[0] - used, " = ");
	va_start(arguments, format);
	if (used < sizeof shared->call[0])
		vsnprintf(last + used, sizeof shared->call[0] - used, format, arguments);
	va_end(arguments);
}

const char *say(const char *format, ...)
{
	static char buffer[8][TEXT];
	static unsigned next;
	char *text = buffer[next++ % 8];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, TEXT, format, arguments);
	va_end(arguments);
	return text;
}

void judge_place(uint64_t place)
{
	shared->place = place;
}

void judge_rule(const char *rule)
{
	snprintf(shared->rule, TEXT, "%s", rule);
}

static void draw(void)
{
	if (closing)
		return;
	closing = true;
	if (judge_map && shared->place != NOWHERE)
		judge_map(shared->place, shared->map, MAP);
}

void fail(const char *file, int line, uint64_t place, const char *rule, const char *expected, const char *actual)
{
	shared->end = FAILED;
	shared->place = place;
	shared->line = line;
	snprintf(shared->file, TEXT, "%s", file);
	if (rule != shared->rule)
		snprintf(shared->rule, TEXT, "%s", rule);
	snprintf(shared->expected, TEXT, "%s", expected);
	snprintf(shared->actual, TEXT, "%s", actual);
	draw();
	_exit(1);
}

static void panicked(const char *rule, uintptr_t where)
{
	snprintf(shared->actual, TEXT, "panic: %s (at %#lx)", rule, (unsigned long)where);
	shared->end = strncmp(rule, "Lab ", 4) == 0 ? HOLE : FAILED;
	draw();
	__sanitizer_print_stack_trace();
	_exit(1);
}

// What test.h says is "ACTUAL, expected EXPECTED", "expected: CONDITION" or "expected a panic: RULE".
static _Noreturn void fail_in_two(const char *file, int line, char *text)
{
	char *expected = strstr(text, "expected");
	if (!expected)
		fail(file, line, shared->place, shared->rule, "", text);
	const char *actual = strstr(expected, " panic:") ? "no panic" : "it is not so";
	if (expected >= text + 2) {
		expected[-2] = '\0';
		actual = text;
	}
	expected += strlen("expected");
	if (strcmp(strchr(expected, '\0') - 2, ": ") == 0) // any panic will do
		strchr(expected, '\0')[-2] = '\0';
	fail(file, line, shared->place, shared->rule, expected + strspn(expected, ": "), actual);
}

// For EXPECT and the models of mm/host. An EXPECT_PANIC may have met a hole instead of a rule.
void test_fail(const char *file, int line, const char *format, ...)
{
	char text[2 * TEXT];
	va_list arguments;
	if (strncmp(panic_rule, "Lab ", 4) == 0)
		panicked(panic_rule, 0);
	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	fail_in_two(file, line, text);
}

static void too_long(int signal)
{
	(void)signal;
	shared->end = STUCK;
	snprintf(shared->actual, TEXT, "no end after %u milliseconds of work", patience);
	__sanitizer_print_stack_trace();
	draw();
	_exit(1);
}

// ---- the parent

static void print_text(FILE *out, const char *text, size_t length)
{
	fputc('"', out);
	for (const char *c = text; c < text + length && *c; c++)
		if (*c == '"' || *c == '\\' || *c < ' ' || *c > '~')
			fprintf(out, "\\u%04x", (unsigned char)*c);
		else
			fputc(*c, out);
	fputc('"', out);
}

static void print_string(FILE *out, const char *name, const char *text, size_t length)
{
	fprintf(out, ", \"%s\": ", name);
	print_text(out, text, length);
}

static void print_file(FILE *out, const char *name, int file) // its first bytes
{
	static char text[16384];
	ssize_t length = pread(file, text, sizeof text - 1, 0);
	print_string(out, name, text, length > 0 ? (size_t)length : 0);
}

static void report(FILE *out, const char *name, int status, int said)
{
	bool good = WIFEXITED(status) && WEXITSTATUS(status) == 0 && shared->end == PASSED;
	const char *ends[] = { "crashed", "failed", "hole", "stuck", good ? "ok" : "crashed" };
	const char *end = shared->end <= PASSED ? ends[shared->end] : "crashed";
	fprintf(out, "{\"check\": \"%s\", \"end\": \"%s\", \"line\": %d, \"seed\": %llu", name, end, shared->line,
		(unsigned long long)seed);
	print_string(out, "rule", shared->rule, TEXT);
	print_string(out, "expected", shared->expected, TEXT);
	print_string(out, "actual", shared->actual, TEXT);
	print_string(out, "file", shared->file, TEXT);
	print_string(out, "map", shared->map, MAP);
	if (!good)
		print_file(out, "said", said);
	fprintf(out, ", \"calls\": [");
	unsigned first = shared->calls < CALLS ? 0 : shared->calls - CALLS;
	for (unsigned i = first; i < shared->calls; i++) {
		fputs(i > first ? ", " : "", out);
		print_text(out, shared->call[i % CALLS], TEXT / 2);
	}
	fprintf(out, "]}\n");
}

static _Noreturn void child(const struct check *check, int said, int out)
{
	struct rlimit core = { 0, 0 };
	if (out > 2)
		close(out); // the report is the parent's to write
	dup2(said, 1);
	dup2(said, 2);
	setrlimit(RLIMIT_CORE, &core);
	signal(SIGPROF, too_long);
	signal(SIGALRM, too_long);
	setitimer(ITIMER_PROF, &(struct itimerval){ .it_value = { patience / 1000, patience % 1000 * 1000 } }, NULL);
	alarm(60); // for what waits and does no work
	__sanitizer_set_death_callback(draw);
	host_panic_report = panicked;
	stream = seed;
	for (const char *c = check->name; *c; c++)
		stream = (stream ^ (unsigned char)*c) * 0x100000001b3;
	check->run();
	shared->end = PASSED; // whoever ends the process earlier has not
	_exit(0);
}

static void judge(const struct check *check, FILE *out)
{
	int status = 0;
	char path[] = "/tmp/quire-check-XXXXXX";
	int said = mkstemp(path);
	if (said < 0) {
		perror(path);
		exit(2);
	}
	unlink(path);
	memset(shared, 0, sizeof *shared);
	shared->place = NOWHERE;
	pid_t pid = fork();
	if (pid == 0)
		child(check, said, fileno(out));
	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		perror("fork");
		exit(2);
	}
	report(out, check->name, status, said);
	if (shared->end == STUCK && patience > HURRY)
		patience = HURRY; // whoever waits for the report has waited once
	close(said);
}

static bool wanted(const char *name, int count, char **names)
{
	for (int i = 0; i < count; i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return count == 0;
}

int main(int argc, char **argv)
{
	FILE *out = stdout;
	bool list = false;
	int at = 1;
	for (; at < argc && strncmp(argv[at], "--", 2) == 0; at++) {
		if (strcmp(argv[at], "--list") == 0)
			list = true;
		else if (strcmp(argv[at], "--seed") == 0 && at + 1 < argc)
			seed = strtoull(argv[++at], NULL, 0);
		else if (strcmp(argv[at], "--timeout") == 0 && at + 1 < argc)
			patience = (unsigned)strtoul(argv[++at], NULL, 0);
		else if (strcmp(argv[at], "--out") == 0 && at + 1 < argc)
			out = fopen(argv[++at], "w");
	}
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED || !out) {
		perror(argv[0]);
		return 2;
	}
	for (struct check *check = checks; check; check = check->next) {
		if (!wanted(check->name, argc - at, argv + at))
			continue;
		if (list)
			fprintf(out, "%s\n", check->name);
		else
			judge(check, out);
		fflush(out); // a child must not inherit what is not written yet
	}
	return fclose(out) ? 2 : 0;
}
