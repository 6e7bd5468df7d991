"""Submissions of lab 03 that attack the grader. Each is the skeleton, which has no points, and an attack: any point would be a gain.

ATTACKS   name: (what it tries, its text in place of the body of `add`, text before the file, a word of the grader's answer)

The attacks on the guest alone are patches in grading/hostile/pages.
"""

ON_HOST = "#ifdef __x86_64__\n{}\n#endif\n"   # so that the kernel compiles, and is judged as well

# name: (what it tries, statements, declarations, word that must be in the explanation of the host's checks)
ATTACKS = {
    "prints-a-report": ("prints what a check that passed reports, into every file that is open",
                        r'dprintf(1, "{\"check\": \"cut\", \"end\": \"ok\", \"rule\": \"\", \"calls\": []}\n");'
                        r'for (int i = 3; i < 64; i++) dprintf(i, "{\"check\": \"cut\", \"end\": \"ok\"}\n");',
                        ON_HOST.format("extern int dprintf(int, const char *, ...);"), "it uses dprintf"),
    "exits-early": ("ends the process with success in the middle of a check", "_exit(0);", ON_HOST.format("extern void _exit(int);"),
                    "it uses _exit"),
    "own-system-call": ("makes system calls without the C library", '__asm__ volatile("syscall" : : "a"(231L), "D"(0L));', "", "assembler"),
    "constructor": ("runs before main", "", "__attribute__((constructor)) static void early(void) { for (;;) ; }\n", "constructor"),
    "section": ("puts a function among those that run before main", "",
                'static void early(void) {}\n__attribute__((section(".init_array"))) void (*const run_early)(void) = early;\n', "section"),
    "own-fail": ("takes the place of the function that reports failures", "",
                 ON_HOST.format("_Noreturn void fail(const char *f, int l, uint64_t p, const char *r, const char *e, const char *a)\n"
                                "{ (void)f; (void)l; (void)p; (void)r; (void)e; (void)a; for (;;) ; }"), "it defines fail"),
    "own-memcmp": ("takes the place of a library function that the checks compare with", "",
                   ON_HOST.format("int memcmp(const void *a, const void *b, size_t n);\n"
                                  "int memcmp(const void *a, const void *b, size_t n) { (void)a; (void)b; (void)n; return 0; }"),
                   "it defines memcmp"),
    "own-fork": ("takes the place of a system call's wrapper", "", ON_HOST.format("int fork(void);\nint fork(void) { return 1; }"),
                 "it defines fork"),
    "weak": ("gives another name to a symbol of the checks", "", "#pragma weak judge_rule\n", "#pragma weak"),
    "alias": ("makes a function of its own answer to another name", "",
              'static int nothing(void) { return 0; }\nint atexit_of_mine(void) __attribute__((alias("nothing")));\n', "alias"),
    "sanitizer-off": ("switches the address sanitizer off for itself", "",
                      "__attribute__((no_sanitize_address)) static void quiet(void) {}\n",
                      "no_sanitize_address"),
    "kills-its-judge": ("ends the process that waits for its verdict", "kill(getppid(), 9);",
                        ON_HOST.format("extern int kill(int, int), getppid(void);"), "it uses getppid"),
    "traces-its-judge": ("attaches to the process that waits for its verdict", "ptrace(16, 1, 0, 0);",
                         ON_HOST.format("extern long ptrace(int, ...);"), "it uses ptrace"),
    "opens-a-socket": ("talks to the world outside", "socket(2, 1, 0);", ON_HOST.format("extern int socket(int, int, int);"),
                       "it uses socket"),
    "fork-bomb": ("makes processes without end", "for (;;) fork();", ON_HOST.format("extern int fork(void);"), "it uses fork"),
    "daemon": ("leaves a process behind that outlives its grading", "daemon(0, 0);", ON_HOST.format("extern int daemon(int, int);"),
               "it uses daemon"),
    "reads-answers": ("opens a file of the grader's machine", 'fopen("/etc/passwd", "r");',
                      ON_HOST.format("extern void *fopen(const char *, const char *);"), "it uses fopen"),
    "death-callback": ("asks the sanitizer to call it when it dies", "__sanitizer_set_death_callback(0);",
                       ON_HOST.format("extern void __sanitizer_set_death_callback(void (*)(void));"), "__sanitizer_set_death_callback"),
    "jumps-out": ("leaves a check by the jump of EXPECT_PANIC", "panic_jump = 0;", ON_HOST.format("extern void *panic_jump;"),
                  "it uses panic_jump"),
    "includes-passwd": ("lets the compiler show a file of the grader's machine", "", '#include "/etc/passwd"\n', "No such file"),
    "includes-shadow": ("the same by a path that leads out of the tree", "", '#include "../../../../../../etc/shadow"\n', "No such file"),
    "raw-string": ("hides assembler between two strings that end by other rules", "",
                   'static const char *one = R"(")"; __asm__("nop"); static const char *two = R"(")";\n', "raw string"),
    "spaced-brackets": ("runs before main, by an attribute that is spelt otherwise", "",
                        "[ [gnu::constructor] ] static void early(void) { for (;;) ; }\n", "constructor"),
    "digraphs": ("the same with digraphs", "", "<:<:gnu::constructor:>:> static void early(void) { for (;;) ; }\n", "constructor"),
    "copies-the-object": ("takes the reference's own code, where it was compiled before", "",
                          '__asm__(".incbin \\"build/kernel-judge/mm/page_buddy.c.o\\"");\n', "file not found"),
    "copies-the-kernel": ("takes the reference's kernel", "", '__asm__(".incbin \\"build/kernel-judge/quire.elf\\"");\n', "file not found"),
    "incbin": ("copies a file of the grader's machine into the program", "", '__asm__(".incbin \\"/etc/passwd\\"");\n', "file not found"),
    "includes-zero": ("lets the preprocessor read without end", "", '#include "/dev/zero"\n', "memory"),
    "includes-itself": ("lets the preprocessor branch without end", "",
                        "#if __INCLUDE_LEVEL__ < 190\n#include \"page_buddy.c\"\n#include \"page_buddy.c\"\n#endif\n", "was stopped"),
    "macro-bomb": ("makes text grow exponentially", "",
                   "#define A(x) x x x x x x x x\n#define B(x) A(A(A(x)))\nint bomb = 0 B(B(B(+ 1)));\n", "was stopped"),
    "large-array": ("makes an object file of many gigabytes", "", "int large[1UL << 32] = { 1 };\n", "does not compile"),
    "hangs": ("never comes back", "for (;;) ;", "", "no end after"),
    "recurses": ("nests calls without end", "add(zone, first, count);",
                 "static void add(struct zone *zone, uint32_t first, uint32_t count);\n",
                 "calls nested without end"),
    "wild-pointer": ("writes over all memory that it can reach",
                     "for (volatile char *at = (char *)zone;; at++) *at = 0x5a;", "", ""),
}


def make(name, skeleton):
    """The text of mm/page_buddy.c."""
    _, statements, declarations, _ = ATTACKS[name]
    lines = skeleton.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("static void add("))
    hole = next(i for i in range(at, len(lines)) if "port_panic" in lines[i])
    if statements:
        lines[hole] = ON_HOST.format(statements) if declarations.startswith("#ifdef") or "asm" in statements else statements
    last = max(i for i, line in enumerate(lines) if line.startswith("#include"))
    return "\n".join(lines[:last + 1]) + "\n" + declarations + "\n".join(lines[last + 1:]) + "\n"
