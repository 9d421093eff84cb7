/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A hostile guest: registers, endpoints, and the order of things
 */
#include "qemu/osdep.h"

#include "hostile.h"
#include "standard-headers/linux/pci_regs.h"

#define RAM_SIZE 0x10000000ULL

uint64_t hostile_phys(Hostile *h)
{
    uint64_t low = hostile_below(h, 4) ? 0 : hostile_below(h, 0x10000);

    switch (hostile_below(h, 12)) {
    case 0:
        return h->v->requests.desc + low;
    case 1:
        return RAM_SIZE - 4096 + low;           /* and the hole behind */
    case 2:
        return h->v->dev->bar.addr + low % 0x4000;
    case 3:
        return -4096 + low % 8192;
    case 4:
        return 0xc0000 + low;
    case 5:
        return 1ULL << (12 + hostile_below(h, 52));
    default:
        return h->v->data + hostile_below(h, 64) * 4096 + low;
    }
}

uint64_t hostile_iova(Hostile *h)
{
    switch (hostile_below(h, 10)) {
    case 0:
        return hostile_phys(h);
    case 1:
        return 0xfee00000 - 0x4000 + hostile_below(h, 8) * 0x1000;
    case 2:
        return -0x10000 + hostile_below(h, 0x10000);
    default:
        return HIGH + hostile_below(h, 64) * 4096 +
               (hostile_below(h, 4) ? 0 : hostile_below(h, 4096));
    }
}

static uint64_t any_value(Hostile *h)
{
    switch (hostile_below(h, 4)) {
    case 0:
        return hostile_below(h, 4);
    case 1:
        return 1ULL << hostile_below(h, 64);
    case 2:
        return random_next(&h->random);
    default:
        return hostile_phys(h);
    }
}

static void write_bar(Hostile *h, unsigned offset)
{
    QVirtioPCIDevice *d = h->v->dev;

    switch (hostile_below(h, 4)) {
    case 0:
        qpci_io_writeb(d->pdev, d->bar, offset, any_value(h));
        break;
    case 1:
        qpci_io_writew(d->pdev, d->bar, offset & ~1, any_value(h));
        break;
    case 2:
        qpci_io_writeq(d->pdev, d->bar, offset & ~7, any_value(h));
        break;
    default:
        qpci_io_writel(d->pdev, d->bar, offset & ~3, any_value(h));
        break;
    }
}

/* Registers of the device and of the transport */
static void registers(Hostile *h)
{
    QVirtioPCIDevice *d = h->v->dev;

    switch (hostile_below(h, 8)) {
    case 0:
    case 1:
        write_bar(h, d->device_cfg_offset + hostile_below(h, 64));
        break;
    case 2:
    case 3:
        viommu_set_bypass(h->v, hostile_below(h, 2));
        break;
    case 4:
        write_bar(h, d->common_cfg_offset + hostile_below(h, 64));
        break;
    case 5:
        viommu_set_status(h->v, hostile_below(h, 256));
        break;
    case 6:
        write_bar(h, d->notify_cfg_offset + hostile_below(h, 16));
        break;
    default:
        write_bar(h, hostile_below(h, 0x4000));
        break;
    }
}

/* PCI configuration space, but for BARs */
static void pci_registers(Hostile *h)
{
    QPCIDevice *pdev = h->v->dev->pdev;

    if (hostile_below(h, 2)) {
        qpci_config_writew(pdev, PCI_COMMAND, hostile_below(h, 4) ? 7
                           : hostile_below(h, 0x800));
    } else {
        qpci_config_writel(pdev, 0x40 + hostile_below(h, 48) * 4,
                           any_value(h));
    }
}

static void dma(Hostile *h)
{
    Watch *w = h->watch[hostile_below(h, HOSTILE_WATCHES)];
    uint32_t command = hostile_below(h, 3) ? OBSERVER_READ
                                           : 2 + hostile_below(h, 3);

    qpci_io_writeq(w->pdev, w->bar, OBSERVER_ADDRESS, hostile_iova(h));
    qpci_io_writeq(w->pdev, w->bar, OBSERVER_LENGTH,
                   1 + hostile_below(h, hostile_below(h, 4) ? 64 : 65536));
    watch_set(w, OBSERVER_VALUE, hostile_below(h, 256));
    watch_set(w, OBSERVER_COMMAND, command);
}

static void refuse(Hostile *h)
{
    static const int errors[] = { ENOMEM, ENOSPC, EINVAL, EFAULT, EIO };
    static const unsigned calls[] = {
        OBSERVER_FAIL_MAP, OBSERVER_FAIL_MAP, OBSERVER_FAIL_UNMAP,
        OBSERVER_FAIL_ATTACH, OBSERVER_FAIL_ANY,
    };
    Watch *w = h->watch[hostile_below(h, HOSTILE_WATCHES)];

    watch_fail(w, calls[hostile_below(h, ARRAY_SIZE(calls))],
               hostile_below(h, 6), 1 + hostile_below(h, 3),
               errors[hostile_below(h, ARRAY_SIZE(errors))]);
    if (hostile_below(h, 3) == 0) {
        watch_set(w, OBSERVER_QUOTA, hostile_below(h, 12));
    }
}

static bool succeeds(QDict *answer)
{
    bool ok = qdict_haskey(answer, "return");

    qobject_unref(answer);
    return ok;
}

/* As function 1 without function 0, it goes without asking the guest */
static void plug(Hostile *h)
{
    static const char *const watches[] = {
        "none", "listener", "container", "iommufd",
    };

    if (h->plugged) {
        if (succeeds(qtest_qmp(h->v->qts, "{ 'execute': 'device_del', "
                               "'arguments': { 'id': 'hot' } }"))) {
            qtest_qmp_eventwait(h->v->qts, "DEVICE_DELETED");
            h->plugged = false;
        }
        return;
    }
    h->plugged = watch_plug(h->v, watches[hostile_below(h, 4)]);
}

static void renumber_bus(Hostile *h)
{
    QPCIDevice *port = qpci_device_find(h->v->bus, WATCH_PORT_BDF);
    uint8_t number = hostile_below(h, 4);

    qpci_config_writeb(port, PCI_SECONDARY_BUS, number);
    qpci_config_writeb(port, PCI_SUBORDINATE_BUS, number);
    g_free(port);
}

static void look(Hostile *h)
{
    static const char *const names[] = {
        "domains", "endpoints", "mappings", "mapped-bytes", "requests",
        "statuses", "mistakes", "host-refusals", "faults-reported",
        "faults-dropped",
    };

    qobject_unref(viommu_get(h->v, names[hostile_below(h,
                                                       ARRAY_SIZE(names))]));
}

/*
 * A reset and the sizing of BARs move memory about, and VFIO ends QEMU when
 * the host then refuses it to an endpoint in bypass: with any IOMMU and with
 * none.  So this comes before.
 */
void hostile_relent(Hostile *h)
{
    for (unsigned i = 0; i < HOSTILE_WATCHES; i++) {
        for (unsigned j = 0; j < OBSERVER_CALL__MAX; j++) {
            watch_set(h->watch[i], OBSERVER_FAIL + 4 * j, 0);
        }
        watch_set(h->watch[i], OBSERVER_QUOTA, 0);
    }
}

static void reset_machine(Hostile *h)
{
    hostile_relent(h);
    qtest_system_reset(h->v->qts);
    viommu_map_registers(h->v);
    for (unsigned i = 0; i < HOSTILE_WATCHES; i++) {
        watch_find(h->watch[i]);
    }
    renumber_bus(h);
}

void hostile_step(Hostile *h)
{
    static const struct {
        unsigned weight;
        void (*step)(Hostile *h);
    } steps[] = {
        { 300, hostile_request }, { 100, hostile_chain }, { 40, dma },
        { 20, hostile_event_buffers }, { 20, registers },
        { 12, hostile_negotiate }, { 10, refuse }, { 6, hostile_scribble },
        { 6, plug }, { 4, pci_registers }, { 3, renumber_bus }, { 3, look },
        { 1, reset_machine },
    };
    unsigned sum = 0, choice;

    for (unsigned i = 0; i < ARRAY_SIZE(steps); i++) {
        sum += steps[i].weight;
    }
    choice = hostile_below(h, sum);
    for (unsigned i = 0; i < ARRAY_SIZE(steps); i++) {
        if (choice < steps[i].weight) {
            steps[i].step(h);
            return;
        }
        choice -= steps[i].weight;
    }
}

Hostile *hostile_start(uint64_t seed)
{
    static const char *const properties[] = {
        NULL, "boot-bypass=off,guest-tables=on,max-mappings=2000",
        "granule=64k,max-domains=2", "guest-tables=on,max-mappings=2000",
        "max-mappings=20,keep-bypass=off,iommu_platform=on",
    };
    /* The guest does not wait for it, so a seed is not all that counts */
    static const char *const threads[] = {
        "", "-object iothread,id=io,poll-max-ns=1000000 "
        "-global pviommu-device.iothread=io ",
    };
    Hostile *h = g_new0(Hostile, 1);
    g_autofree char *library = watch_library();
    g_autofree char *args = g_strdup_printf(
        WATCH_PORT "%s%s -object iommufd,id=host "
        "-device pviommu-observer,watch=container,id=o0,addr=4.0 "
        "-device pviommu-observer,watch=listener,id=o1,addr=5.0 "
        "-device pviommu-observer,watch=container,id=o2,addr=6.0 "
        "-device pviommu-observer,watch=iommufd,iommufd=host,id=o3,addr=7.0",
        threads[seed % 2], library);

    h->random.state = seed;
    h->v = viommu_boot(properties[hostile_below(h, ARRAY_SIZE(properties))],
                       args);
    viommu_negotiate(h->v, ALL_FEATURES);
    viommu_set_bypass(h->v, 1);
    for (unsigned i = 0; i < HOSTILE_WATCHES; i++) {
        h->watch[i] = watch_open(h->v, i);
    }
    renumber_bus(h);
    return h;
}

void hostile_stop(Hostile *h)
{
    for (unsigned i = 0; i < HOSTILE_WATCHES; i++) {
        watch_close(h->watch[i]);
    }
    viommu_stop(h->v);
    g_free(h);
}
