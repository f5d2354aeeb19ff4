/* SPDX-License-Identifier: MIT */
/* From a census to lines of a checklist. */
#include "app/doctor_view.h"

#include <stdio.h>
#include <string.h>

#include "base/escape.h"
#include "base/i18n.h"

static void show_cut(enum checklist_form form, const struct census_client *k)
{
    char detail[CHECKLIST_TEXT_MAX], address[ESCAPE_BUF];
    long long seconds = k->idle_cut_ms / 1000;
    (void)snprintf(detail, sizeof detail,
                   P_("something on the way to %s cuts connections that are idle for %lld second",
                      "something on the way to %s cuts connections that are idle for %lld seconds",
                      seconds),
                   escape_text(address, k->address, strlen(k->address)), seconds); /* cut */
    const struct checklist_step step = {
        .word = "idle",
        .state = CHECKLIST_WARN,
        .title = _("idle"),
        .name = k->name,
        .detail = detail,
        .hint =
            _("users are not cut off, but stand still for a moment each time: let the firewall, "
              "NAT or proxy there keep idle TCP connections for some minutes")};
    checklist_show(form, &step);
}

void doctor_show_cuts(enum checklist_form form, const struct status_view *v)
{
    unsigned shown = 0;
    for (const struct census_client *k = NULL; (k = census_next_client(v->clients, k));)
        if (k->idle_cut_ms > 0 && shown++ < DOCTOR_CUTS_MAX)
            show_cut(form, k);
}
