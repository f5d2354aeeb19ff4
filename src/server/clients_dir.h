/* SPDX-License-Identifier: MIT */
/*
 * The files of clients on the disk: STATE/clients/NAME.yaml, for the owner alone. A file is always a whole
 * one: what is written has another name until it is on the disk. Who changes one holds the folder's lock.
 * All functions may block on the disk, and know no server.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"
#include "conf/client_entry.h"

enum {
    CLIENTS_DIR_MAX = 100000, /* files; more are not looked at */
    CLIENTS_DIR_FILE_MAX = 64 << 10,
    CLIENTS_DIR_LOCK_MS = 5000,
};

#define CLIENTS_DIR_NAME "clients"

struct clients_dir {
    int fd;
    char path[PATH_MAX]; /* for sentences */
};

enum clients_dir_use {
    CLIENTS_DIR_READ,
    CLIENTS_DIR_CHANGE, /* made where it is missing, and locked */
};

/*
 * Opens the folder path. 0: *ret is the caller's (clients_dir_close), and why has a warning or is empty.
 * ERR_NOTFOUND: there is none (READ); ERR_PERM: others could change it (base/trust.h); ERR_TIMEOUT:
 * another process is changing it; or what err_from_errno() makes of a failed call; with a sentence.
 */
int clients_dir_open(struct clients_dir *ret, const char *path, enum clients_dir_use use,
                     struct errmsg *why) MUST_USE;
void clients_dir_close(struct clients_dir *d);

/* A word for the folder itself, which another folder has not, whatever its path. */
enum { CLIENTS_FOLDER_MAX = 48 };
void clients_folder(char ret[CLIENTS_FOLDER_MAX], const struct clients_dir *d);

/* The names of its clients, sorted; also of files whose name is none of a client. */
struct clients_names {
    char **list;
    size_t count;
    bool has_more; /* than CLIENTS_DIR_MAX */
};

/* 0: *ret is the caller's (clients_names_fini). Or an error, with a sentence. */
int clients_dir_names(const struct clients_dir *d, struct clients_names *ret,
                      struct errmsg *why) MUST_USE;
void clients_names_fini(struct clients_names *n);

/* One file, read. {0} is none. */
struct clients_file {
    char *bytes; /* n, NULL without success */
    size_t n;
    struct client_entry entry;
    struct config_errors errors; /* what is wrong with the text */
};

/*
 * Reads the file of the client called name. 0; ERR_INVAL: errors has at least one, or why a sentence;
 * ERR_NOTFOUND: there is none; ERR_PERM: others could read or write it; or as above. A sentence names the
 * file. *f is to be freed by clients_file_fini() in any case, and may be used for the next one without.
 */
int clients_dir_read(const struct clients_dir *d, const char *name, struct clients_file *f,
                     struct errmsg *why) MUST_USE;

/* What is wrong with the file of that name after ERR_INVAL or another error but ERR_NOTFOUND, number i, as
   one line: FILE:LINE:COLUMN: and a sentence. False: that was all. */
enum { CLIENTS_LINE_MAX = PATH_MAX + CONFIG_ERROR_TEXT + 64 };
bool clients_dir_fault(const struct clients_dir *d, const char *name, const struct clients_file *f,
                       const struct errmsg *why, size_t i, char ret[CLIENTS_LINE_MAX]);

void clients_file_fini(struct clients_file *f);

/* Makes the file of a new client. 0; ERR_INUSE: there is one; or as above: then there is none. */
int clients_dir_add(const struct clients_dir *d, const char *name, const char *bytes, size_t n,
                    struct errmsg *why) MUST_USE;

/* Puts another file in the place of one. 0, or as above: then the old one is there as before. */
int clients_dir_replace(const struct clients_dir *d, const char *name, const char *bytes, size_t n,
                        struct errmsg *why) MUST_USE;

/* Renames the file to NAME.revoked, over one that is there. 0; ERR_NOTFOUND: there is none; or as
   above. A server that is told reads it so at once; clients_dir_sync() is to follow. */
int clients_dir_revoke(const struct clients_dir *d, const char *name, struct errmsg *why) MUST_USE;

/* What was revoked is so on the disk, which may take long. 0, or as above. */
int clients_dir_sync(const struct clients_dir *d, struct errmsg *why) MUST_USE;

/* Removes the file of a client that was made a moment ago, and that nobody has heard of, if that can be. */
void clients_dir_drop(const struct clients_dir *d, const char *name);
