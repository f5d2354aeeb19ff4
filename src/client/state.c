/* SPDX-License-Identifier: MIT */
/* The folder where a client keeps what outlives it: found by the environment, and made. */
#include "client/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/i18n.h"
#include "base/trust_path.h"

/* True when the variable names an absolute path; *ret has it, up to a colon in a list. */
static bool from_variable(const char *variable, const char *below, bool is_list, char ret[PATH_MAX])
{
    const char *value = getenv(variable);
    if (!value || value[0] != '/')
        return false;
    size_t n = is_list ? strcspn(value, ":") : strlen(value);
    int len = snprintf(ret, PATH_MAX, "%.*s%s", (int)n, value, below);
    return len > 0 && len < PATH_MAX;
}

bool state_path(char ret[PATH_MAX])
{
    return from_variable("STATE_DIRECTORY", "", true, ret) ||
           from_variable("XDG_STATE_HOME", "/gotunnel", false, ret) ||
           from_variable("HOME", "/.local/state/gotunnel", false, ret);
}

int state_open(struct state_folder *ret, struct errmsg *why)
{
    if (!state_path(ret->path))
        return errmsg_set(
            why, ERR_NOTFOUND, "%s",
            _("none of STATE_DIRECTORY, XDG_STATE_HOME and HOME names a folder for it"));
    int err = trust_path(ret->path, TRUST_FOLDER, true, &ret->doubt);
    if (err < 0)
        return errmsg_set(why, err, "%s", ret->doubt.text);
    int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    ret->fd = open(ret->path, flags);
    if (ret->fd < 0 && errno == ENOENT && file_make_folders(ret->path) == 0)
        ret->fd = open(ret->path, flags);
    int errnum = errno;
    if (ret->fd < 0)
        return errmsg_set(why, err_from_errno(errnum), _("cannot open folder %s: %s"), ret->path,
                          errno_text(errnum));
    return 0;
}
