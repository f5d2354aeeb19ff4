# SPDX-License-Identifier: MIT
"""Recipes: how each tunnel is started with both ends on the loopback, with TLS where it has it."""
