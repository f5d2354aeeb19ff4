/* SPDX-License-Identifier: MIT */
/* What `gotunnel service install client` makes a service of. */
#pragma once

#include "app/service_cmd.h"

extern const struct service_kind client_service_kind;
