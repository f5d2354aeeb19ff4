/* SPDX-License-Identifier: MIT */
/* What a command line says, once more for a file. */
#include "app/flag_lines.h"

#include <linux/limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "proto/json_text.h"

static const struct option *find_row(const struct mode *m, const char *name, size_t n)
{
    for (size_t i = 0; i < m->count; i++)
        if (strlen(m->options[i].name) == n && strncmp(m->options[i].name, name, n) == 0)
            return &m->options[i];
    return NULL;
}

static bool is_one_of(const char *const *all, const char *name)
{
    while (*all && strcmp(*all, name) != 0)
        all++;
    return *all;
}

/* A file may have a key once. */
static void drop_line(char *lines, const char *key)
{
    size_t n = strlen(key);
    for (char *at = lines, *next; *at; at = next) {
        next = strchr(at, '\n') + 1; /* each has one */
        if (strncmp(at, key, n) != 0 || at[n] != ':')
            continue;
        memmove(at, next, strlen(next) + 1);
        return;
    }
}

int flag_line(char *lines, size_t size, const struct mode *m, const char *const *but, int argc,
              char **argv, int *ret_err)
{
    char value[2 * PATH_MAX], cwd[PATH_MAX] = "";
    const char *name = argv[0] + strspn(argv[0], "-"), *key;
    size_t n = strcspn(name, "="), used;
    const struct option *o = find_row(m, name, n);
    bool has_value = name[n] == '=', takes_next = o && o->value && !has_value && argc > 1;
    *ret_err = 0;
    if (!o || option_place(o, &key) != OPTION_TOP || is_one_of(but, o->name))
        return takes_next ? 2 : 1;
    const char *text = has_value ? name + n + 1 : takes_next ? argv[1] : "true";
    bool is_relative = option_is_path(o) && *text && *text != '/' && getcwd(cwd, sizeof cwd);
    int len = snprintf(value, sizeof value, "%s%s%s", is_relative ? cwd : "",
                       is_relative ? "/" : "", text);
    char quoted[6 * sizeof value]; /* a byte becomes six at most */
    if (len < 0 || (size_t)len >= sizeof value) {
        *ret_err = ERR_LIMIT; /* what is cut would mean something else */
        return takes_next ? 2 : 1;
    }
    (void)json_text_put(quoted, sizeof quoted, value); /* fits */
    drop_line(lines, key);
    used = strlen(lines);
    size_t put = (size_t)snprintf(lines + used, size - used, "%s: \"%s\"\n", key, quoted);
    if (put >= size - used)
        *ret_err = ERR_LIMIT;
    return takes_next ? 2 : 1;
}
