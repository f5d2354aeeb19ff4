/* SPDX-License-Identifier: MIT */
#include "server/up_record.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/flag_lines.h"
#include "base/file.h"
#include "conf/snapshot.h"
#include "proto/json_text.h"

#define HIDDEN ".up.yaml.new"

int up_record_begin(struct up_record *r, const struct mode *m, int argc, char **argv)
{
    static const char *const but[] = {"certs", "control", "secret", NULL};
    int err = 0;
    for (int i = 0; i < argc && err == 0;)
        i += flag_line(r->flags, sizeof r->flags, m, but, argc - i, argv + i, &err);
    return err;
}

static bool has_line(const char *lines, const char *key)
{
    size_t n = strlen(key);
    for (const char *at = lines; *at; at = strchr(at, '\n') + 1) /* each has one */
        if (strncmp(at, key, n) == 0 && at[n] == ':')
            return true;
    return false;
}

/* Where the state is now; its certificates may not be there yet. */
static void put_certs(FILE *to, const char *state, const char *certs)
{
    char whole[PATH_MAX], path[2 * PATH_MAX], quoted[4 * PATH_MAX];
    size_t n = strlen(certs), from;
    while (n > 1 && certs[n - 1] == '/')
        n--;
    for (from = n; from > 0 && certs[from - 1] != '/';)
        from--;
    const char *folder = realpath(state, whole) ? whole : state;
    (void)snprintf(path, sizeof path, "%s/%.*s", folder, (int)(n - from), certs + from); /* fits */
    (void)json_text_put(quoted, sizeof quoted, path);
    fprintf(to, "certs: \"%s\"\n", quoted);
}

static void put_all(FILE *to, const struct up_record *r, const char *state, const char *certs,
                    const struct server_options *o)
{
    char whole[PATH_MAX];
    const char *config = o->common.config;
    fprintf(to, "# written by gotunnel up: what its last start was told\n");
    if (*config)
        fprintf(to, UP_RECORD_CONFIG "%s\n", realpath(config, whole) ? whole : config);
    else if (*o->common.secret && !*o->common.secret_file)
        fprintf(to, UP_RECORD_SECRET "\n");
    put_certs(to, state, certs);
    if (!has_line(r->flags, "legacy"))
        fprintf(to, "legacy: never\n");
    fprintf(to, "%s", r->flags);
}

static int put_file(const char *state, const char *text, size_t n)
{
    int dirfd = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dirfd < 0)
        return -1;
    (void)unlinkat(dirfd, HIDDEN, 0); /* of a start that was ended */
    int r = file_create(dirfd, HIDDEN, 0600, text, n);
    if (r == 0)
        r = renameat(dirfd, HIDDEN, dirfd, UP_RECORD);
    int errnum = errno;
    (void)close(dirfd); /* a folder */
    errno = errnum;
    return r;
}

int up_record_write(const struct up_record *r, const char *state, const char *certs,
                    const struct server_options *o, struct errmsg *why)
{
    char *text = NULL;
    size_t n = 0;
    FILE *to = open_memstream(&text, &n);
    if (!to)
        return errmsg_set(why, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
    put_all(to, r, state, certs, o);
    int err = fclose(to) == 0 ? 0 : ERR_NOMEM;
    if (err == 0 && put_file(state, text, n) < 0)
        err = errmsg_set(why, err_from_errno(errno), "%s/" UP_RECORD ": %s", state,
                         errno_text(errno));
    else if (err < 0)
        (void)errmsg_set(why, err, "%s", err_text(err));
    free(text);
    return err;
}
