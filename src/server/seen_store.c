/* SPDX-License-Identifier: MIT */
/* When clients were here last, on the disk. */
#include "server/seen_store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/i18n.h"
#include "base/trust_path.h"

#define TMP "." SEEN_STORE_NAME ".gotunnel-tmp"

static int cannot_read(const char *dir, struct errmsg *why)
{
    int errnum = errno;
    return errmsg_set(why, err_from_errno(errnum), _("cannot read %s/%s: %s"), dir, SEEN_STORE_NAME,
                      errno_text(errnum));
}

/* One byte more than it may have shows that it has too many. */
static int read_file(int fd, const char *dir, struct last_seen *t, struct errmsg *why)
{
    char *text = malloc(LAST_SEEN_FILE_MAX + 1);
    if (!text)
        return errmsg_set(why, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
    ssize_t n = file_read_all(fd, text, LAST_SEEN_FILE_MAX + 1);
    int err = n < 0 ? cannot_read(dir, why) : last_seen_parse(t, text, (size_t)n);
    if (n >= 0 && err < 0)
        (void)errmsg_set(why, err, "%s/%s %s", dir, SEEN_STORE_NAME,
                         _("is damaged; it will be replaced"));
    free(text);
    return err;
}

int seen_store_read(int dirfd, const char *dir, struct last_seen *t, struct errmsg *why)
{
    char path[PATH_MAX];
    why->text[0] = '\0';
    int fd =
        openat(dirfd, SEEN_STORE_NAME, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? 0 : cannot_read(dir, why);
    (void)snprintf(path, sizeof path, "%s/%s", dir, SEEN_STORE_NAME); /* for a sentence */
    int err = trust_file(fd, path, TRUST_SECRET, false, why);
    if (err == 0)
        err = read_file(fd, dir, t, why);
    (void)close(fd); /* only read */
    return err;
}

int seen_store_write(int dirfd, const char *dir, const char *bytes, size_t n, struct errmsg *why)
{
    (void)unlinkat(dirfd, TMP, 0); /* what a crash has left */
    if (file_create(dirfd, TMP, 0600, bytes, n) == 0 &&
        renameat(dirfd, TMP, dirfd, SEEN_STORE_NAME) == 0) {
        int err = file_sync_folder(dirfd);
        (void)err; /* the old file may be back after a power cut */
        return 0;
    }
    int errnum = errno;
    bool is_others = errnum == EEXIST || errnum == ENOENT; /* who writes at the same time */
    if (!is_others)
        (void)unlinkat(dirfd, TMP, 0);
    return errmsg_set(why, is_others ? ERR_AGAIN : err_from_errno(errnum),
                      _("cannot write %s/%s: %s"), dir, SEEN_STORE_NAME, errno_text(errnum));
}
