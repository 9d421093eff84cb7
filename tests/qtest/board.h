/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The machines that the tests run on, and what differs between them
 *
 * The environment variable PVIOMMU_BOARD names one; without it, it is q35.
 * QTEST_QEMU_BINARY must be the emulator of its architecture.
 */
#ifndef TESTS_QTEST_BOARD_H
#define TESTS_QTEST_BOARD_H

#include "libqos/pci.h"

typedef struct Viommu Viommu;
typedef struct ViommuQueue ViommuQueue;

/**
 * struct Board - a machine with an IOMMU
 * @name: as PVIOMMU_BOARD has it
 * @machine: its option -machine, and what goes with it
 * @prefix: what the names of its tests begin with
 * @ram: guest-physical address of its memory
 * @ram_block: QEMU's name for that memory
 * @holes: how what a host holds of a MAP over the memory and the hole before
 *         it, or behind if there is none, begins, what is in it, and its end
 * @msi_first: where its interrupt controller takes stores of devices
 * @msi_last: last byte of that
 * @ecam: guest-physical address of PCI configuration space; 0 for a PC, which
 *        has ports for it
 * @bars: where BARs may be put; 0 with @ecam for libqos's own place
 * @slot: guest-physical address of the virtio-mmio slot that holds the
 *        IOMMU; 0 where it is a PCI function, at 00:10.0
 */
typedef struct Board {
    const char *name;
    const char *machine;
    const char *prefix;
    uint64_t ram;
    const char *ram_block;
    const char *holes[3];
    uint64_t msi_first;
    uint64_t msi_last;
    uint64_t ecam;
    uint32_t bars;
    uint64_t slot;
} Board;

/**
 * board - the board that the tests run on
 *
 * Return: never NULL.
 */
const Board *board(void);

/* Where guest memory begins */
#define RAM (board()->ram)

/* What every endpoint reserves */
#define MSI_FIRST (board()->msi_first)
#define MSI_LAST (board()->msi_last)

/**
 * board_add_test - add a test under the name that it has on this board
 * @name: such as "attach/absent-endpoint"
 * @func: the test
 */
void board_add_test(const char *name, void (*func)(void));

/**
 * board_add_pci_test - the same for a test of the PCI function alone
 * @name: as for board_add_test()
 * @func: the test
 */
void board_add_pci_test(const char *name, void (*func)(void));

/**
 * board_device_arg - the IOMMU as part of a command line
 * @properties: as for viommu_start()
 *
 * Return: owned by the caller.
 */
char *board_device_arg(const char *properties);

/**
 * board_assert_queue_max - see that a queue of ours may have as many entries
 * @size: what the transport says: VIRTQUEUE_MAX_SIZE where QEMU gives each
 *        queue that, on virtio-mmio before 11.1 (hw_compat_11_0 in QEMU),
 *        everywhere in 10.0.13 (virtio_add_queue())
 */
void board_assert_queue_max(unsigned size);

/**
 * board_pci_new - the PCI bus of an emulator
 * @v: the emulator
 *
 * Return: the bus, to be freed by board_pci_free().
 */
QPCIBus *board_pci_new(Viommu *v);
void board_pci_free(QPCIBus *bus);

/**
 * board_find_device - find the IOMMU, and its registers
 * @v: the emulator; sets @v->vdev, and @v->dev or @v->mmio
 */
void board_find_device(Viommu *v);
void board_forget_device(Viommu *v);

/**
 * board_enable_queue - tell the IOMMU where the queue that is selected lies
 * @v: the emulator
 * @queue: the queue
 */
void board_enable_queue(Viommu *v, const ViommuQueue *queue);

/**
 * board_notify_queue - tell the IOMMU of buffers
 * @v: the emulator
 * @queue: the queue
 */
void board_notify_queue(Viommu *v, const ViommuQueue *queue);

/* Registers of the IOMMU that both forms have */
typedef enum BoardRegister {
    BOARD_FEATURES_SELECT,
    BOARD_STATUS,
    BOARD_NOTIFY,               /* of queue 0 */
    BOARD_CONFIG,
} BoardRegister;

/**
 * board_register - where a register of the IOMMU is
 * @v: the emulator
 * @reg: which
 *
 * Return: its guest-physical address.
 */
uint64_t board_register(const Viommu *v, BoardRegister reg);

#endif /* TESTS_QTEST_BOARD_H */
