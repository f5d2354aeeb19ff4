/* SPDX-License-Identifier: MIT */
/* `gotunnel server`: from the command line to the running program. */
#pragma once

/* argv without the program's name and the mode. An exit status (app/cli.h). */
int cmd_server(int argc, char **argv);
