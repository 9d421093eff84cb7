/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Searched last: read only where QEMU, before 10.1, has it under this name */
#include "exec/memory.h"
