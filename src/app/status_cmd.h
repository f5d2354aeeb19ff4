/* SPDX-License-Identifier: MIT */
/* `gotunnel status`: how a running program is, by its control socket. */
#pragma once

/* argv without program and command. An exit status: EXIT_STATUS_OK; _NOT_UP: with -q, not all is up; _FAILED: the answer
   breaks off; _USAGE; _UNREACHABLE: no program answers; _REJECTED: we may not ask it. */
int cmd_status(int argc, char **argv);
