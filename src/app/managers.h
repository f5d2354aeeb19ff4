/* SPDX-License-Identifier: MIT */
/*
 * Service managers of a machine, a row for each: how one is found, what it has to be told of a program, and the
 * commands that start and stop it. Runs programs, and waits for them.
 */
#pragma once

#include <linux/limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/attr.h"

#define SERVICE_STATES "/var/lib/"
#define SERVICE_CONFIG "/etc/gotunnel"

enum { MANAGER_COMMANDS = 3, MANAGER_COMMAND_MAX = 128 };

struct manager {
    const char *name;
    const char *sign; /* is there where it runs */
    const char *unit; /* the path of a program's file; with the form of `start` */
    mode_t mode;      /* of that file */
    const unsigned char *text;
    const size_t *size;
    /* What is run, in this order, the words with one blank between them; @mode@ stands for the program. */
    const char *start[MANAGER_COMMANDS], *stop[MANAGER_COMMANDS];
    const char *look; /* shows a person how it goes */
};

/* A program that is to be a service. */
struct service {
    const char *mode;     /* "server", "client" */
    const char *run;      /* its folder below /run */
    const char *exe;      /* the whole path of this program */
    char state[PATH_MAX]; /* the folder that it works in, a whole path */
    /* systemd makes the folder, and gives it to the service's user: it is in SERVICE_STATES. */
    bool is_managers;
    const char *user; /* of systemd's service; NULL: one that it makes for it alone */
    char secret_file
        [PATH_MAX];      /* systemd reads it for the program, or shows it to a user's; "": none */
    bool has_join;       /* the file client.join of SERVICE_CONFIG as well */
    bool opens_low_port; /* below 1024 */
    bool waits;          /* a start is over when the program is ready */
};

/* The one that runs this machine; NULL: none that is known. */
const struct manager *manager_find(void);

/* text with s->mode in the place of @mode@, as in a row. False: it does not fit. */
bool manager_name(char *ret, size_t size, const char *text, const struct service *s);

/* The file for s, which the caller frees. NULL: no memory. */
char *manager_unit(const struct manager *m, const struct service *s) MUST_USE;

/* Runs the commands until one fails, with our standard output and error. 0; or its exit status, 128 and more by a
   signal; or -1 with errno: it could not be run. ret_command: which one that is. */
int manager_run(const char *const commands[MANAGER_COMMANDS], const struct service *s,
                char ret_command[MANAGER_COMMAND_MAX]) MUST_USE;
