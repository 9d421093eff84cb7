/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A PCI device that watches its own address space as VFIO would
 *
 * "pviommu-observer" is for tests alone.  Property "watch" says how:
 *   none       not at all
 *   listener   a MemoryListener, and an IOMMU notifier on each IOMMU region
 *   vhost      the same, but told of unmaps alone, and no replay
 *   vhost-ats  the same, of device IOTLB unmaps, as vhost with ats=on
 *   container  a VFIO container whose host is a list; QEMU's own VFIO
 *              listener feeds it
 * Property "quota" is the register QUOTA at the start; with "peer=on", BAR 2
 * is memory of a device, as that of a passed-through one.
 * Read by qom-get, one line of text for each entry:
 *   events     what was received, in order, since the last CLEAR
 *   mappings   what the host holds: "FIRST LAST BLOCK+OFFSET r|rw"
 *   guard      "up" while VFIO's listener would store a refusal, not end QEMU
 *
 * It also moves data: see the registers in BAR 0.  All are little endian.
 */
#ifndef TESTS_QTEST_OBSERVER_H
#define TESTS_QTEST_OBSERVER_H

#define OBSERVER_VENDOR 0x1b36
#define OBSERVER_DEVICE 0x10f0

/* Registers in BAR 0 */
enum {
    OBSERVER_ADDRESS = 0x00,     /* u64: IOVA of a transfer */
    OBSERVER_LENGTH = 0x08,      /* u64: bytes; read and write: to BUFFER */
    OBSERVER_COMMAND = 0x10,     /* u32: starts one of the below */
    OBSERVER_RESULT = 0x14,      /* u32: MemTxResult of the last transfer */
    OBSERVER_VALUE = 0x18,       /* u32: the byte of a fill */
    OBSERVER_FAIL_MAP = 0x20,    /* u32: refuse the n-th map, 0: none */
    OBSERVER_FAIL_UNMAP = 0x24,  /* u32: the same for unmaps */
    OBSERVER_ERRNO = 0x28,       /* u32: what a refusal returns */
    OBSERVER_QUOTA = 0x2c,       /* u32: most mappings, then ENOSPC; 0: any */
    OBSERVER_FAIL_TIMES = 0x30,  /* u32: how many in a row are refused */
    OBSERVER_BUFFER = 0x1000,    /* the data */
    OBSERVER_BUFFER_SIZE = 0x10000,
    OBSERVER_BAR_SIZE = 0x20000,
    OBSERVER_PEER_SIZE = 0x10000,
};

/* Commands */
enum {
    OBSERVER_READ = 1,           /* memory to BUFFER */
    OBSERVER_WRITE = 2,          /* BUFFER to memory */
    OBSERVER_FILL = 3,           /* VALUE to memory, any LENGTH */
    OBSERVER_MSI = 4,            /* interrupt 0 */
    OBSERVER_CLEAR = 5,          /* forget the events */
    OBSERVER_LOOKUP = 6,         /* RESULT: what a read may keep, 1 r, 2 w */
};

#endif /* TESTS_QTEST_OBSERVER_H */
