/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Trials of what devices, machines and their callbacks are made of
 */
#include "qemu/osdep.h"
#include "qemu/notify.h"
#include "hw/arm/virt.h"
#include "hw/core/boards.h"
#include "hw/core/qdev.h"
#include "hw/core/sysbus.h"
#include "hw/virtio/virtio.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "qobject/qnull.h"
#include "qobject/qnum.h"
#include "qapi/qmp-registry.h"
#include "qapi/qobject-input-visitor.h"
#include "qapi/visitor-impl.h"

#include <malloc.h>

#include "pviommu/compat.h"

#include "abi-trial.h"

static unsigned calls, wrong;

static void wrong_device(DeviceListener *listener, DeviceState *dev)
{
    wrong++;
}

static bool hide_device(DeviceListener *listener, const QDict *opts,
                        bool from_json, Error **errp)
{
    calls++;
    return true;
}

static bool try_device_listener(void)
{
    PVIOMMU_TRIAL_ROOMY(DeviceListener, listener);
    bool hidden, ok;

    listener.it.realize = wrong_device;
    listener.it.unrealize = wrong_device;
    listener.it.hide_device = hide_device;
    calls = wrong = 0;
    device_listener_register(&listener.it);
    hidden = qdev_should_hide_device(NULL, false, NULL);
    ok = hidden && calls == 1 && !wrong && PVIOMMU_TRIAL_IN_ROOM(listener);
    device_listener_unregister(&listener.it);
    return ok;
}

static void notify(Notifier *notifier, void *data)
{
    calls += data == &calls;
}

static bool try_notifier(void)
{
    PVIOMMU_TRIAL_ROOMY(Notifier, notifier);
    PVIOMMU_TRIAL_ROOMY(NotifierList, list);

    notifier.it.notify = notify;
    calls = 0;
    notifier_list_init(&list.it);
    notifier_list_add(&list.it, &notifier.it);
    notifier_list_notify(&list.it, &calls);
    return calls == 1 && PVIOMMU_TRIAL_IN_ROOM(notifier);
}

static bool try_realized(void)
{
    g_autofree DeviceState *dev = pviommu_trial_fake(TYPE_DEVICE,
                                                     sizeof(*dev));
    bool before = object_property_get_bool(OBJECT(dev), "realized", NULL);

    dev->realized = true;
    return !before && object_property_get_bool(OBJECT(dev), "realized", NULL);
}

static bool try_sysbus(void)
{
    g_autofree SysBusDevice *dev = pviommu_trial_fake(TYPE_SYS_BUS_DEVICE,
                                                      sizeof(*dev));
    MemoryRegion *mr = (MemoryRegion *)&calls;

    if (!dev) {
        return true;
    }
    sysbus_init_mmio(dev, mr);
    sysbus_init_mmio(dev, mr);
    return dev->num_mmio == 2 && dev->mmio[1].addr == (hwaddr)-1 &&
           dev->mmio[1].memory == mr;
}

static bool try_machine(void)
{
    g_autofree MachineState *machine = pviommu_trial_fake(TYPE_MACHINE,
                                                          sizeof(*machine));
    bool ok = object_property_set_str(OBJECT(machine), "dtb", "trial", NULL) &&
              !g_strcmp0(machine->dtb, "trial") && !machine->fdt;

    if (ok) {
        g_free(machine->dtb);
    }
    return ok;
}

static bool try_virt(void)
{
    g_autofree VirtMachineState *virt = NULL;

    /* RISC-V has another of that name */
    if (!object_class_by_name("arm-cpu")) {
        return true;
    }
    virt = pviommu_trial_fake(TYPE_VIRT_MACHINE, sizeof(*virt));
    return !virt ||
           (object_property_set_str(OBJECT(virt), "acpi", "off", NULL) &&
            virt->acpi == ON_OFF_AUTO_OFF &&
            object_property_set_str(OBJECT(virt), "iommu", "smmuv3", NULL) &&
            virt->iommu == VIRT_IOMMU_SMMUV3);
}

static void get_config(VirtIODevice *vdev, uint8_t *config)
{
    calls++;
    config[1] = 0x5a;
}

static void set_config(VirtIODevice *vdev, const uint8_t *config)
{
    calls += config[2] == 0xa5;
}

static bool try_virtio(void)
{
    uint8_t config[4] = { };
    g_autofree VirtIODevice *vdev = pviommu_trial_fake(TYPE_VIRTIO_DEVICE,
                                                       sizeof(*vdev));
    g_autofree VirtioDeviceClass *klass = NULL;

    if (!vdev) {
        return true;
    }
    klass = pviommu_trial_class(vdev, sizeof(*klass));
    klass->get_config = get_config;
    klass->set_config = set_config;
    vdev->config = config;
    vdev->config_len = sizeof(config);
    calls = 0;
    if (virtio_config_readb(vdev, 1) != 0x5a || calls != 1) {
        return false;
    }
    virtio_config_writeb(vdev, 2, 0xa5);
    return calls == 2;
}

static bool is_fresh(QObject *obj, QType type)
{
    bool is = obj->base.type == type && obj->base.refcnt == 1;

    if (is) {
        qobject_unref(obj);
    }
    return is;
}

static bool try_qobject(void)
{
    return is_fresh((QObject *)qdict_new(), QTYPE_QDICT) &&
           is_fresh((QObject *)qlist_new(), QTYPE_QLIST) &&
           is_fresh((QObject *)qnum_from_int(1), QTYPE_QNUM) &&
           qnull_.base.type == QTYPE_QNULL;
}

static bool try_visitor(void)
{
    QNum *number = qnum_from_int(1);
    Visitor *v = qobject_input_visitor_new((QObject *)number);
    bool ok = v->type == VISITOR_INPUT && v->type_any && v->type_null &&
              v->type_str && !v->complete;

    visit_free(v);
    qobject_unref(number);
    return ok;
}

static void command(QDict *args, QObject **ret, Error **errp)
{
}

static bool try_command(void)
{
    PVIOMMU_TRIAL_ROOMY(QmpCommandList, list);
    const QmpCommand *registered;

    QTAILQ_INIT(&list.it);
    qmp_register_command(&list.it, "pviommu-trial", command,
                         QCO_ALLOW_PRECONFIG, 1);
    registered = QTAILQ_FIRST(&list.it);
    return registered && registered == QTAILQ_LAST(&list.it) &&
           malloc_usable_size((void *)registered) >= sizeof(*registered) &&
           !g_strcmp0(registered->name, "pviommu-trial") &&
           registered->fn == command && registered->enabled &&
           registered->options == QCO_ALLOW_PRECONFIG &&
           registered->features == 1 && PVIOMMU_TRIAL_IN_ROOM(list);
}

const PviommuTrial pviommu_trials_qdev[] = {
    { "DeviceListener", try_device_listener },
    { "Notifier", try_notifier },
    { "DeviceState", try_realized },
    { "SysBusDevice", try_sysbus },
    { "MachineState", try_machine },
    { "VirtMachineState", try_virt },
    { "VirtIODevice, VirtioDeviceClass", try_virtio },
    { "QObject", try_qobject },
    { "Visitor", try_visitor },
    { "QmpCommand", try_command },
    { }
};
