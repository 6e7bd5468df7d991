// edit.c: reading a line, with editing and history when a person types it.
//
//      $ grep quire READMEcount     length
//                         ^ cursor
//
// The console is switched to raw bytes while a line is edited and back to the kernel's line editing before anything runs. Where that
// cannot be (input is not the console, or the kernel does not offer it) lines are read as they come.
//
//      left, right, ^B, ^F        move                    ^U, ^K, ^W   erase all before, all after, a word
//      Home, End, ^A, ^E          to an end of the line   ^L           clear the screen
//      up, down                   history                 ^C           give up the line
//      ^D                         erase; on an empty line: end of input
//      ^R                         show the line again: the console sends it after a report

#include "user/sh/sh.h"

#define HISTORY 32 // lines kept; the newest place holds the line being typed
#define CONTROL(letter) ((letter) & 0x1f)

static const char prompt[] = "$ ";
static char history[HISTORY][LINE_BYTES];
static uint newest; // number of the line being typed; line n is in history[n % HISTORY]

static char *text;  // the line as it is now
static uint length, cursor;

static void print_text(uint from, uint to)
{
	write(1, text + from, (int)(to - from));
}

static void move_to(uint place)
{
	if (place > cursor)
		print_text(cursor, place);
	else if (place < cursor)
		printf("\033[%uD", cursor - place);
	cursor = place;
}

// Shows the line again from `from` on, and leaves the cursor at `place`.
static void show_from(uint from, uint place)
{
	move_to(from);
	print_text(from, length);
	printf("\033[K");
	cursor = length;
	move_to(place);
}

static void insert(char c)
{
	if (length + 1 >= LINE_BYTES)
		return;
	memmove(text + cursor + 1, text + cursor, (int)(length - cursor));
	text[cursor] = c;
	length++;
	if (cursor + 1 == length) {
		write(1, &c, 1);
		cursor++;
	} else {
		show_from(cursor, cursor + 1);
	}
}

static void erase(uint from, uint to)
{
	if (from >= to)
		return;
	move_to(from);
	memmove(text + from, text + to, (int)(length - to));
	length -= to - from;
	show_from(from, from);
}

static uint word_start(void)
{
	uint place = cursor;

	while (place > 0 && text[place - 1] == ' ')
		place--;
	while (place > 0 && text[place - 1] != ' ')
		place--;
	return place;
}

static void recall(uint *shown, int step)
{
	uint wanted = *shown + (uint)step;

	if (wanted > newest || newest - wanted >= HISTORY || (step < 0 && *shown == 0))
		return;
	text[length] = '\0';
	if (*shown == newest)
		strcpy(history[newest % HISTORY], text); // what was typed so far
	*shown = wanted;
	move_to(0);
	strcpy(text, history[wanted % HISTORY]);
	length = strlen(text);
	show_from(0, length);
}

static char next_byte(void)
{
	char c;

	return read(0, &c, 1) == 1 ? c : CONTROL('D');
}

// What an escape sequence of the terminal stands for.
static char decode_escape(void)
{
	char kind = next_byte(), key = next_byte();

	if (kind != '[' && kind != 'O')
		return 0;
	if (key >= '0' && key <= '9') {
		char digit = key;

		while ((key = next_byte()) >= '0' && key <= ';')
			;
		if (key == '~')
			return digit == '3' ? CONTROL('D') : digit == '1' || digit == '7' ? CONTROL('A') : CONTROL('E');
	}
	switch (key) {
	case 'A':
		return CONTROL('P');
	case 'B':
		return CONTROL('N');
	case 'C':
		return CONTROL('F');
	case 'D':
		return CONTROL('B');
	case 'H':
		return CONTROL('A');
	case 'F':
		return CONTROL('E');
	default:
		return 0;
	}
}

// Keys that move. False when it is none of them.
static bool move(char key, uint *shown)
{
	switch (key) {
	case CONTROL('A'):
		move_to(0);
		return true;
	case CONTROL('E'):
		move_to(length);
		return true;
	case CONTROL('B'):
		move_to(cursor > 0 ? cursor - 1 : 0);
		return true;
	case CONTROL('F'):
		move_to(cursor < length ? cursor + 1 : length);
		return true;
	case CONTROL('P'):
		recall(shown, -1);
		return true;
	case CONTROL('N'):
		recall(shown, 1);
		return true;
	default:
		return false;
	}
}

// Shows prompt and line in a new place, after `before`.
static void show_again(const char *before)
{
	uint place = cursor;

	printf("%s%s", before, prompt);
	print_text(0, length);
	cursor = length;
	move_to(place);
}

static void change(char key)
{
	switch (key) {
	case CONTROL('U'):
		erase(0, cursor);
		break;
	case CONTROL('K'):
		erase(cursor, length);
		break;
	case CONTROL('W'):
		erase(word_start(), cursor);
		break;
	case CONTROL('D'):
		erase(cursor, cursor < length ? cursor + 1 : length);
		break;
	case CONTROL('H'):
	case '\x7f':
		erase(cursor > 0 ? cursor - 1 : 0, cursor);
		break;
	case CONTROL('L'):
		show_again("\033[H\033[2J");
		break;
	case CONTROL('R'):
		show_again("");
		break;
	default:
		if ((uchar)key >= ' ')
			insert(key);
	}
}

// False when the input ended.
static bool edit(void)
{
	uint shown = newest;
	char key;

	length = cursor = 0;
	for (;;) {
		key = next_byte();
		if (key == '\033')
			key = decode_escape();
		if (key == '\r' || key == '\n')
			break;
		if (key == CONTROL('C')) {
			printf("^C");
			length = 0;
			break;
		}
		if (key == CONTROL('D') && length == 0)
			return false;
		if (!move(key, &shown))
			change(key);
	}
	text[length] = '\0';
	return true;
}

static void remember(const char *line)
{
	if (*line == '\0' || (newest > 0 && strcmp(line, history[(newest - 1) % HISTORY]) == 0))
		return;
	strcpy(history[newest % HISTORY], line);
	newest++;
}

void print_history(void)
{
	for (uint n = newest >= HISTORY ? newest - HISTORY + 1 : 0; n < newest; n++)
		printf("%s\n", history[n % HISTORY]);
}

static bool read_plain(char *line)
{
	uint used = 0;
	char c;

	while (read(0, &c, 1) == 1) {
		if (c == '\n') {
			line[used] = '\0';
			return true;
		}
		if (used + 1 < LINE_BYTES)
			line[used++] = c;
	}
	line[used] = '\0';
	return used > 0;
}

bool read_line(char *line, bool interactive)
{
	bool more, raw = interactive && ttymode(TTY_RAW) >= 0;

	if (interactive)
		write(1, prompt, 2); // who sees it may type: the console is ready
	if (!raw)
		return read_plain(line);
	text = line;
	more = edit();
	ttymode(TTY_LINE);
	printf("\n");
	if (more)
		remember(line);
	return more;
}
