/* SPDX-License-Identifier: MIT */
/* What a program that runs has seen, as lines of a doctor. */
#pragma once

#include "app/checklist.h"
#include "app/status_view.h"

enum {
    DOCTOR_CUTS_MAX = 8
}; /* clients with a line about what cuts them; of a fleet behind one firewall each has it */

/* A line for each client whose connections something on the way cuts when they are idle. */
void doctor_show_cuts(enum checklist_form form, const struct status_view *v);
