/* SPDX-License-Identifier: MIT */
/* Files of packaging/service/, and packaging/systemd/common, as parts of the program. */
#pragma once

#include <stddef.h>

extern const unsigned char managers_systemd[], managers_openrc[], managers_procd[],
    managers_common[];
extern const size_t managers_systemd_size, managers_openrc_size, managers_procd_size,
    managers_common_size;
