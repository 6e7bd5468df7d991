// random.h: the device that gives programs random numbers: repeatable ones when the boot argument seed= says so.
#pragma once

void random_init(void);
