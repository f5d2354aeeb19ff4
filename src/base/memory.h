/* SPDX-License-Identifier: MIT */
/* The process's memory as the system sees it. */
#pragma once

/* Gives back to the system what was freed and the C library still keeps; nothing where that is musl,
   which keeps little. Takes milliseconds for hundreds of megabytes: for rare occasions. */
void memory_give_back(void);
