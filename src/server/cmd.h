/* SPDX-License-Identifier: MIT */
/* `gotunnel server`: from the command line to the running program. */
#pragma once

#include "base/attr.h"
#include "conf/snapshot.h"

/* argv without the program's name and the mode. An exit status (app/cli.h). */
int cmd_server(int argc, char **argv);

/* What it begins with: the options of this command line, with nothing missing, and one reference, which is the
   caller's; NULL: it has been said, exit with *ret_status. */
struct snapshot *server_read_options(int argc, char **argv, int *ret_status) MUST_USE;

/* `gotunnel doctor` of a server: the same command line, and -json; what would keep clients or users out is shown,
   and what to do. EXIT_STATUS_OK: nothing has failed; EXIT_STATUS_FAILED: something has. */
int server_doctor(int argc, char **argv);
