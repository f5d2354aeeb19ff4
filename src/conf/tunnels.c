/* SPDX-License-Identifier: MIT */
/* A list of tunnels, and the flag that adds one. */
#include "conf/tunnels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

enum { ROOM_MIN = 4 };

struct tunnels tunnels_view(const struct tunnels *ts)
{
    return (struct tunnels){.count = ts->count, .at = ts->at};
}

void tunnels_fini(struct tunnels *ts)
{
    if (ts->room > 0)
        free(ts->at);
    *ts = (struct tunnels){.count = 0};
}

/* A copy with room for so many, one or more. */
static int copy_with_room(const struct tunnels *ts, uint32_t room, struct tunnels *ret)
{
    struct tunnel_option *at = calloc(room, sizeof *at);
    if (!at)
        return ERR_NOMEM;
    if (ts->count > 0)
        memcpy(at, ts->at, ts->count * sizeof *at);
    *ret = (struct tunnels){.count = ts->count, .room = room, .at = at};
    return 0;
}

int tunnels_copy(const struct tunnels *ts, struct tunnels *ret)
{
    *ret = (struct tunnels){.count = 0};
    return ts->count > 0 ? copy_with_room(ts, ts->count, ret) : 0;
}

/* For one more. */
static int make_room(struct tunnels *ts)
{
    struct tunnels larger;
    if (ts->count < ts->room)
        return 0;
    int err = copy_with_room(ts, ts->count < ROOM_MIN ? ROOM_MIN : 2 * ts->count, &larger);
    if (err < 0)
        return err;
    tunnels_fini(ts);
    *ts = larger;
    return 0;
}

bool tunnels_name_is_valid(const char *text)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t n = strlen(text);
    return n >= 1 && n <= TUNNEL_NAME_MAX && strspn(text, allowed) == n;
}

const struct tunnel_option *tunnels_find(const struct tunnels *ts, const char *name)
{
    for (uint32_t i = 0; i < ts->count; i++)
        if (strcmp(ts->at[i].name, name) == 0)
            return &ts->at[i];
    return NULL;
}

const struct tunnel_option *tunnels_at_port(const struct tunnels *ts, int32_t port)
{
    for (uint32_t i = 0; i < ts->count && port != 0; i++)
        if (ts->at[i].port == port)
            return &ts->at[i];
    return NULL;
}

/* The one in the list's place i. A name that is too long is cut. */
static struct tunnel_option option_at(uint32_t i, const char *name, int32_t port,
                                      const char *target)
{
    struct tunnel_option t = {.port = port, .target = target};
    if (*name)
        (void)snprintf(t.name, sizeof t.name, "%s", name);
    else if (port > 0)
        (void)snprintf(t.name, sizeof t.name, "%d", port);
    else
        (void)snprintf(t.name, sizeof t.name, "any-%u", i + 1);
    return t;
}

struct tunnels tunnels_of_one(struct tunnel_option *room, const char *name, int32_t port,
                              const char *target)
{
    *room = option_at(0, name, port, target);
    return (struct tunnels){.count = 1, .at = room};
}

int tunnels_add(struct tunnels *ts, const char *name, int32_t port, const char *target)
{
    if (ts->count == TUNNELS_MAX)
        return ERR_LIMIT;
    struct tunnel_option t = option_at(ts->count, name, port, target);
    if (!tunnels_name_is_valid(*name ? name : t.name))
        return ERR_INVAL;
    if (tunnels_at_port(ts, port))
        return ERR_INUSE;
    if (tunnels_find(ts, t.name))
        return ERR_EXISTS;
    int err = make_room(ts);
    if (err < 0)
        return err;
    ts->at[ts->count++] = t;
    return 0;
}

/* 0 .. 65535 in digits, n of them. */
static int take_port(const char *s, size_t n, int32_t *ret)
{
    int32_t port = 0;
    if (n == 0 || strspn(s, "0123456789") < n)
        return ERR_INVAL;
    for (size_t i = 0; i < n && port <= 65535; i++)
        port = port * 10 + (s[i] - '0');
    *ret = port;
    return port <= 65535 ? 0 : ERR_RANGE;
}

int tunnels_parse(const char *text, struct tunnels *ret)
{
    char name[TUNNEL_NAME_MAX + 1] = "";
    int32_t port;
    size_t n = strcspn(text, "=");
    const char *second = text[n] ? strchr(text + n + 1, '=') : NULL;
    if (!text[n])
        return ERR_INVAL;
    if (second && memchr(text + n, ':', (size_t)(second - text) - n))
        second = NULL; /* it stands in the target */
    if (second) {
        if (n == 0 || n >= sizeof name)
            return ERR_INVAL;
        memcpy(name, text, n);
        text += n + 1;
        n = (size_t)(second - text);
    }
    int err = take_port(text, n, &port);
    if (err == 0 && !text[n + 1])
        err = ERR_INVAL;
    return err < 0 ? err : tunnels_add(ret, name, port, text + n + 1);
}
