/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A PCI device that watches its own address space as VFIO would
 *
 * "pviommu-observer" is for tests alone, as is the "vfio-platform" that the
 * library brings for emulators without.  Property "watch" says how:
 *   none       not at all
 *   listener   a MemoryListener, and an IOMMU notifier on each IOMMU region
 *   vhost      as vhost: told of unmaps alone, and asks for what it misses
 *   vhost-ats  the same, of device IOTLB unmaps, as vhost with ats=on
 *   container  a VFIO container whose host is a list; QEMU's own VFIO
 *              listener feeds it
 *   iommufd    as vfio-pci with an iommufd object, by QEMU's own VFIO code,
 *              on a host that is a model of the kernel's; its library must
 *              be in LD_PRELOAD (preload.h)
 * Property "quota" is the register QUOTA at the start; with "peer=on", BAR 2
 * is memory of a device, as that of a passed-through one.
 * With "announce=on", a container tells the IOMMU of its host device, as
 * vfio-pci does; its pages are those of the machine that the tests run on.
 * Properties for watch=iommufd:
 *   iommufd    the object
 *   iommu      number of the host's IOMMU that the device is behind
 *   bits       width of its IOMMU
 *   mdev       it is a mediated device
 *   msi        first of the 1 MiB that its IOMMU takes for interrupts
 *   nests      its IOMMU is an SMMUv3 with both stages
 *   idr0 idr5  what that has in these registers
 * Read by qom-get, one line of text for each entry:
 *   events     what was received, in order, since the last CLEAR
 *   mappings   what the device reaches: "FIRST LAST BLOCK+OFFSET r|w|rw";
 *              of vhost, what it keeps
 *   descriptor what a nested function is translated by: "ROOT BITS ASID MAIR"
 *              and the stream table entry's "S1CONTEXTPTR"; "" if by nothing
 *   fault      written: "TYPE:ADDRESS:r|w[:TIMES]", all but the last
 *              hexadecimal: what a nested function's SMMU has to tell
 *   vevent     written: hexadecimal bytes, what else is to be read where such
 *              events are
 *   guard      "up" while VFIO's listener would store a refusal, not end QEMU
 * Of the model of the kernel, whichever observer is asked:
 *   calls      "CALL ERRNO TIMES" since QEMU started; errno 0 went well
 *   host       "pinned BYTES", "leaked OBJECTS" (which were there when
 *              /dev/iommu was closed), "unread BYTES" (of events), and a line
 *              for each that is there
 *   fail       written, also with -device: "CALL:TIMES:ERRNO[:N]" has the
 *              next such calls refused, or the N-th and those after it
 *   memlock    most bytes that may be pinned
 *
 * It also moves data: see the registers in BAR 0.  All are little endian.
 */
#ifndef TESTS_QTEST_OBSERVER_H
#define TESTS_QTEST_OBSERVER_H

#define OBSERVER_VENDOR 0x1b36
#define OBSERVER_DEVICE 0x10f0

/* Calls that a host can refuse; a container knows MAP and UNMAP alone */
enum {
    OBSERVER_CALL_ANY,
    OBSERVER_CALL_MAP,
    OBSERVER_CALL_UNMAP,
    OBSERVER_CALL_ATTACH,
    OBSERVER_CALL_DETACH,
    OBSERVER_CALL_IOAS_ALLOC,
    OBSERVER_CALL_HWPT_ALLOC,
    OBSERVER_CALL_DESTROY,
    OBSERVER_CALL_RANGES,
    OBSERVER_CALL_OPEN,
    OBSERVER_CALL_BIND,
    OBSERVER_CALL_INFO,
    OBSERVER_CALL_PROCESS,
    OBSERVER_CALL_PARENT,       /* an HWPT_ALLOC, too */
    OBSERVER_CALL_NESTED,       /* and that */
    OBSERVER_CALL_VIOMMU,
    OBSERVER_CALL_VDEVICE,
    OBSERVER_CALL_VEVENTQ,
    OBSERVER_CALL_INVALIDATE,
    OBSERVER_CALL_OTHER,
    OBSERVER_CALL__MAX,
};

/* Registers in BAR 0 */
enum {
    OBSERVER_ADDRESS = 0x00,     /* u64: IOVA of a transfer */
    OBSERVER_LENGTH = 0x08,      /* u64: bytes; read and write: to BUFFER */
    OBSERVER_COMMAND = 0x10,     /* u32: starts one of the below */
    OBSERVER_RESULT = 0x14,      /* u32: MemTxResult of the last transfer */
    OBSERVER_VALUE = 0x18,       /* u32: the byte of a fill; MISS: 1 to write */
    OBSERVER_HELD = 0x1c,        /* u32: whether HOLD holds a thread */
    OBSERVER_STUCK = 0x20,       /* u64: an unmap comes no further; 0: none */
    OBSERVER_ERRNO = 0x28,       /* u32: what a refusal returns */
    OBSERVER_QUOTA = 0x2c,       /* u32: most mappings, then ENOSPC; 0: any */
    OBSERVER_FAIL_TIMES = 0x30,  /* u32: how many in a row are refused */
    OBSERVER_FAIL = 0x40,        /* u32[]: refuse the n-th such call, 0: none */
    OBSERVER_FAIL_ANY = OBSERVER_FAIL + 4 * OBSERVER_CALL_ANY,
    OBSERVER_FAIL_MAP = OBSERVER_FAIL + 4 * OBSERVER_CALL_MAP,
    OBSERVER_FAIL_UNMAP = OBSERVER_FAIL + 4 * OBSERVER_CALL_UNMAP,
    OBSERVER_FAIL_ATTACH = OBSERVER_FAIL + 4 * OBSERVER_CALL_ATTACH,
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
    OBSERVER_MISS = 7,           /* RESULT: whether vhost then has ADDRESS */
    OBSERVER_HOLD = 8,           /* who reads guest memory at ADDRESS next */
    OBSERVER_LET_GO = 9,         /* of whom HOLD holds */
};

#endif /* TESTS_QTEST_OBSERVER_H */
