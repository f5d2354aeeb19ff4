/* SPDX-License-Identifier: MIT */
/* A census for a monitor. Of the inside of a program, and of `gotunnel status -prometheus`. */
#pragma once

#include <stdio.h>

#include "proto/census.h"

/* The text format 0.0.4 of Prometheus; names are those of docs/status.md. clients: those of one part; of a census of several
   threads its parts are to be read as one. */
void status_prometheus(const struct census *c, const struct census_part *clients, FILE *out);
