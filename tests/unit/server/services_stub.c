/* SPDX-License-Identifier: MIT */
/* In place of services.c, for tests of a session that has none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "kit.h"

int services_new(struct agent *a)
{
    (void)a;
    kit_did("services");
    return kit.services_err;
}

void services_end(struct agent *a)
{
    (void)a;
}

void services_stop(struct agent *a)
{
    (void)a;
}

bool services_on_line(struct agent *a, struct hello_text line)
{
    (void)a;
    (void)line;
    return true;
}

void services_count(struct service *v)
{
    (void)v;
    fail();
}

void services_on_relay_over(struct agent *a, uint32_t key)
{
    (void)a;
    (void)key;
}

void services_tell(const struct agent *a)
{
    (void)a;
}

void services_allow(struct agent *a, int tunnels)
{
    (void)a;
    (void)tunnels;
}

void services_look_at_ports(struct agent *a)
{
    (void)a;
}

const struct listener *services_listener(const struct agent *a)
{
    (void)a;
    return NULL;
}
