/* SPDX-License-Identifier: MIT */
/*
 * `gotunnel up`: the first start of a server in one command. Makes the folder for its state, the CA and one client,
 * shows the line for the machine of the service, and is the server from then on.
 */
#pragma once

#include "base/attr.h"

/* argv without the program's name and the mode. An exit status (app/cli.h). */
int cmd_up(int argc, char **argv) MUST_USE;
