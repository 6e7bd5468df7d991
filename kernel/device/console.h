// console.h: the person's terminal: line editing over the serial port, and the keys that act at once.
#pragma once

void console_init(void);
int console_mode(int raw); // 0: lines, edited here; 1: each byte as it comes, without echo. Returns the mode before.
void console_put(char c);  // one character of kernel output, at once
