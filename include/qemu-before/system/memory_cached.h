/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Searched last: read only where QEMU, before 11.0, has it in another header */
#include "system/memory.h"
