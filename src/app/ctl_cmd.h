/* SPDX-License-Identifier: MIT */
/* `gotunnel ctl`: asks a running program, by its control socket. */
#pragma once

/* argv without program and command. An exit status: EXIT_STATUS_OK; _FAILED: the program says no, or its
   answer breaks off; _USAGE; _UNREACHABLE: no program answers; _REJECTED: we may not ask it. */
int cmd_ctl(int argc, char **argv);
