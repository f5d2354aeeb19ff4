/* SPDX-License-Identifier: MIT */
/* What `gotunnel service install server` makes a service of. */
#pragma once

#include "app/service_cmd.h"

extern const struct service_kind server_service_kind;
