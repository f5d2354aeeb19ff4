/* SPDX-License-Identifier: MIT */
/* `gotunnel client`: from the command line to the running program. */
#pragma once

/* argv without the program's name and the mode. An exit status (app/cli.h). */
int cmd_client(int argc, char **argv);

/* `gotunnel join`: STRING TARGET [-flag value ...] behind it. The same. */
int cmd_join(int argc, char **argv);
