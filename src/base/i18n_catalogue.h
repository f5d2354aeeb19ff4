/* SPDX-License-Identifier: MIT */
/* Private to base/i18n.c: the compiled catalogues, made by po/meson.build from the .po files. */
#pragma once

#include <stddef.h>

extern const unsigned char i18n_zh_cn_mo[];
extern const size_t i18n_zh_cn_mo_size;
