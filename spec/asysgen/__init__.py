# SPDX-License-Identifier: MIT
"""Makes wrappers, table and manual page from spec/syscalls.tbl."""
