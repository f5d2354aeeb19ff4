/* SPDX-License-Identifier: MIT */
/* A census for a monitor: `gotunnel status -prometheus`. */
#pragma once

#include <stdio.h>

#include "proto/census.h"

/* The text format 0.0.4 of Prometheus; names are those of docs/status.md. clients: those of all threads, in one part. */
void status_prometheus(const struct census *c, const struct census_part *clients, FILE *out);
