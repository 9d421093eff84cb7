/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest memory that changes while a passed-through device is behind the
 * IOMMU
 *
 * One observer stays in bypass, where VFIO's own listener follows memory;
 * another is translated by one MAP over the memory that changes.  What the
 * second one's host holds must be what the first one's holds, cut to the
 * MAP and moved.
 */
#include "qemu/osdep.h"

#include "libqos/virtio.h"
#include "standard-headers/linux/pci_regs.h"
#include "standard-headers/linux/virtio_ids.h"
#include "standard-headers/linux/virtio_mem.h"
#include "dimm.h"
#include "watch.h"

#define MiB (1ULL << 20)

typedef struct Scene {
    Viommu *v;
    Watch *w;
    Watch *bypass;
    Watch *table;               /* NULL but with iommufd */
    uint64_t phys;
    uint64_t size;
} Scene;

/*
 * o0 is translated: HIGH leads to @size bytes at @phys.  o1 is in bypass, by
 * VFIO's own listener; so is o2, by a host page table.
 */
static Scene *scene_new(const char *how, const char *extra, uint64_t phys,
                        uint64_t size)
{
    Scene *s = g_new0(Scene, 1);
    g_autofree char *arg = watch_arg(how, 1);
    g_autofree char *all = g_strdup_printf(
        "%s -device pviommu-observer,watch=container,id=o1,addr=5.0 %s %s",
        arg, watch_is_iommufd(how)
        ? "-device pviommu-observer,watch=iommufd,iommufd=host,id=o2,addr=6.0"
        : "", extra);

    s->v = viommu_start(NULL, all);
    s->w = watch_open(s->v, 0);
    s->bypass = watch_open(s->v, 1);
    s->table = watch_is_iommufd(how) ? watch_open(s->v, 2) : NULL;
    s->phys = phys;
    s->size = size;
    assert_status(viommu_attach(s->v, 1, s->w->endpoint), OK);
    assert_status(viommu_map(s->v, 1, HIGH, HIGH + (size - 1), phys,
                             READ | WRITE), OK);
    return s;
}

static void scene_free(Scene *s)
{
    assert_status(viommu_unmap(s->v, 1, HIGH, HIGH + (s->size - 1)), OK);
    assert_holds_nothing(s->w);
    assert_status(viommu_detach(s->v, 1, s->w->endpoint), OK);
    viommu_assert_alive(s->v);
    watch_close(s->w);
    watch_close(s->bypass);
    if (s->table) {
        watch_close(s->table);
    }
    viommu_stop(s->v);
    g_free(s);
}

/* Move the part of a line of the host's set that is under the MAP */
static void move_line(const Scene *s, const char *line, GString *out)
{
    g_auto(GStrv) word = g_strsplit(line, " ", 4);
    g_auto(GStrv) block = NULL;
    uint64_t first, last, offset, from, to;

    if (g_strv_length(word) < 4) {
        return;
    }
    first = g_ascii_strtoull(word[0], NULL, 16);
    last = g_ascii_strtoull(word[1], NULL, 16);
    block = g_strsplit(word[2], "+", 2);
    offset = g_ascii_strtoull(block[1], NULL, 16);
    from = MAX(first, s->phys);
    to = MIN(last, s->phys + (s->size - 1));
    if (from <= to) {
        g_string_append_printf(out, "%" PRIx64 " %" PRIx64 " %s+%" PRIx64
                               " %s\n", from - s->phys + HIGH,
                               to - s->phys + HIGH, block[0],
                               offset + (from - first), word[3]);
    }
}

/* All hosts hold the same memory; returns how many pieces of it */
static unsigned assert_follows(Scene *s)
{
    g_autofree char *ram = watch_get(s->bypass, "mappings");
    g_autofree char *held = watch_get(s->w, "mappings");
    g_auto(GStrv) line = g_strsplit(ram, "\n", 0);
    g_autoptr(GString) expected = g_string_new(NULL);
    unsigned pieces = 0;

    for (unsigned i = 0; line[i]; i++) {
        move_line(s, line[i], expected);
    }
    g_assert_cmpstr(held, ==, expected->str);
    if (s->table) {
        g_autofree char *table = watch_get(s->table, "mappings");

        g_assert_cmpstr(table, ==, ram);
    }
    for (const char *c = held; *c; c++) {
        pieces += *c == '\n';
    }
    return pieces;
}

/* What was there at the MAP and what a new MAP finds must be the same */
static void assert_same_anew(Scene *s)
{
    g_autofree char *held = watch_get(s->w, "mappings");
    g_autofree char *anew = NULL;

    assert_status(viommu_unmap(s->v, 1, HIGH, HIGH + (s->size - 1)), OK);
    assert_holds_nothing(s->w);
    assert_status(viommu_map(s->v, 1, HIGH, HIGH + (s->size - 1), s->phys,
                             READ | WRITE), OK);
    anew = watch_get(s->w, "mappings");
    g_assert_cmpstr(anew, ==, held);
}

/* ROM shadowing: the registers PAM0 to PAM6 of the host bridge */
static void test_pam(const void *how)
{
    Scene *s = scene_new(how, "", 0xc0000, 0x40000);
    QPCIDevice *mch = qpci_device_find(s->v->bus, 0);

    assert_follows(s);
    for (unsigned i = 0; i < 7; i++) {
        qpci_config_writeb(mch, 0x90 + i, 0x33);        /* RAM */
        assert_follows(s);
        qpci_config_writeb(mch, 0x90 + i, 0x11);        /* read only */
        assert_follows(s);
    }
    assert_same_anew(s);
    for (unsigned i = 0; i < 7; i++) {
        qpci_config_writeb(mch, 0x90 + i, 0x00);        /* ROM */
        assert_follows(s);
    }
    assert_same_anew(s);
    g_free(mch);
    scene_free(s);
}

/* RAM behind the VGA window, opened and closed by the register SMRAM */
static void assert_window(Scene *s, const char *line)
{
    g_autofree char *held = NULL;

    assert_follows(s);
    assert_same_anew(s);
    held = watch_get(s->w, "mappings");
    g_assert_true(g_str_has_prefix(held, line));
}

static void test_smram(const void *how)
{
    Scene *s = scene_new(how, "-device VGA,addr=8.0", 0x90000, 0x40000);
    QPCIDevice *mch = qpci_device_find(s->v->bus, 0);

    for (unsigned i = 0; i < 2; i++) {
        assert_window(s, "100000000 10000ffff pc.ram+90000 rw\n");
        qpci_config_writeb(mch, 0x9d, 0x4a);
        assert_window(s, "100000000 10002ffff pc.ram+90000 rw\n");
        qpci_config_writeb(mch, 0x9d, 0x0a);
    }
    g_free(mch);
    scene_free(s);
}

/* A BAR that is RAM comes, moves and goes */
static void move_bar(QPCIDevice *pdev, uint32_t address)
{
    qpci_config_writew(pdev, PCI_COMMAND, 0);
    qpci_config_writel(pdev, PCI_BASE_ADDRESS_2, address);
    qpci_config_writel(pdev, PCI_BASE_ADDRESS_3, 0);
    qpci_config_writew(pdev, PCI_COMMAND,
                       PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

static void test_bar(const void *how)
{
    Scene *s = scene_new(how, WATCH_BAR, 0xd0000000, 4 * MiB);
    QPCIDevice *pdev = qpci_device_find(s->v->bus, 8 << 3);

    g_assert_cmpuint(assert_follows(s), ==, 0);         /* a hole */
    move_bar(pdev, 0xd0000000);
    g_assert_cmpuint(assert_follows(s), ==, 1);
    assert_same_anew(s);
    move_bar(pdev, 0xd0200000);
    g_assert_cmpuint(assert_follows(s), ==, 1);
    move_bar(pdev, 0xd8000000);
    g_assert_cmpuint(assert_follows(s), ==, 0);
    move_bar(pdev, 0xd0300000);
    g_assert_cmpuint(assert_follows(s), ==, 1);
    qpci_config_writew(pdev, PCI_COMMAND, 0);
    g_assert_cmpuint(assert_follows(s), ==, 0);
    g_free(pdev);
    scene_free(s);
}

/* Memory hotplug of the board: eject through the ACPI registers */
static void test_dimm(const void *how)
{
    /* 256 MiB of RAM, then a hole up to 4 GiB where DIMMs go */
    Scene *s = scene_new(how, "-m 256M,slots=2,maxmem=1G", DIMM_PHYS,
                         512 * MiB);

    g_assert_cmpuint(assert_follows(s), ==, 0);
    dimm_plug(s->v->qts, "one");
    g_assert_cmpuint(assert_follows(s), ==, 1);
    assert_same_anew(s);
    dimm_unplug(s->v->qts);
    g_assert_cmpuint(assert_follows(s), ==, 0);
    dimm_plug(s->v->qts, "two");
    g_assert_cmpuint(assert_follows(s), ==, 1);
    scene_free(s);
}

/*
 * vhost keeps where QEMU has the memory, in bypass too; QEMU may have other
 * things there once the memory has left
 */
static void test_vhost_bypass(const void *how)
{
    static const char *const page = "1000000 1000fff pc.ram+1000000 rw\n";
    g_autofree char *arg = watch_arg(how, 1);
    g_autofree char *all = g_strdup_printf("%s -m 256M,slots=2,maxmem=1G",
                                           arg);
    Viommu *v = viommu_start(NULL, all);
    Watch *w = watch_open(v, 0);

    for (unsigned i = 0; i < 2; i++) {
        g_autofree char *before = NULL, *after = NULL;

        dimm_plug(v->qts, i ? "two" : "one");
        g_assert_true(watch_miss(w, 0x1000000, true));
        g_assert_true(watch_miss(w, DIMM_PHYS, true));
        g_assert_true(watch_miss(w, DIMM_PHYS + 128 * MiB - 1, false));
        before = watch_get(w, "mappings");
        g_assert_nonnull(strstr(before, "107fff000 107ffffff "));
        dimm_unplug(v->qts);
        after = watch_get(w, "mappings");
        g_assert_cmpstr(after, ==, page);
        g_assert_false(watch_miss(w, DIMM_PHYS, true));
        /* The same after it was translated for a time */
        assert_status(viommu_attach(v, 1, w->endpoint), OK);
        assert_holds_nothing(w);
        assert_status(viommu_detach(v, 1, w->endpoint), OK);
    }
    watch_close(w);
    viommu_stop(v);
}

/* A host that has no room for the memory that comes */
static void test_dimm_refused(const void *how)
{
    Scene *s = scene_new(how, "-m 256M,slots=2,maxmem=1G", DIMM_PHYS,
                         512 * MiB);

    watch_fail(s->w, OBSERVER_FAIL_MAP, 1, 1, ENOMEM);
    dimm_plug(s->v->qts, "one");
    assert_holds_nothing(s->w);
    g_assert_cmpuint(viommu_count(s->v, "host-refusals"), ==, 1);
    assert_state(s->v, s->w->endpoint, "translated");
    dimm_unplug(s->v->qts);
    dimm_plug(s->v->qts, "two");
    g_assert_cmpuint(assert_follows(s), ==, 1);
    scene_free(s);
}

/* virtio-mem: blocks that are plugged and unplugged in place */
#define VMEM_BLOCK (2 * MiB)

typedef struct VirtioMem {
    Scene *s;
    QVirtioPCIDevice *dev;
    QVirtQueue *vq;
    uint64_t base;
} VirtioMem;

static void vmem_start(VirtioMem *m)
{
    QPCIAddress address = { .devfn = 9 << 3 };
    uint64_t features;

    m->dev = virtio_pci_new(m->s->v->bus, &address);
    g_assert_nonnull(m->dev);
    g_assert_cmpuint(m->dev->vdev.device_type, ==, VIRTIO_ID_MEM);
    qvirtio_pci_device_enable(m->dev);
    qvirtio_start_device(&m->dev->vdev);
    features = qvirtio_get_features(&m->dev->vdev);
    features &= FEATURE(VIRTIO_F_VERSION_1) |
                FEATURE(VIRTIO_MEM_F_UNPLUGGED_INACCESSIBLE);
    qvirtio_set_features(&m->dev->vdev, features);
    m->vq = qvirtqueue_setup(&m->dev->vdev, &m->s->v->alloc, 0);
    qvirtio_set_driver_ok(&m->dev->vdev);
    m->base = qvirtio_config_readq(&m->dev->vdev,
                                   offsetof(struct virtio_mem_config, addr));
}

static uint16_t vmem_request(VirtioMem *m, uint16_t type, unsigned block,
                             unsigned count)
{
    QTestState *qts = m->s->v->qts;
    uint64_t at = guest_alloc(&m->s->v->alloc, 4096);
    struct virtio_mem_req req = {
        .type = cpu_to_le16(type),
        .u.plug.addr = cpu_to_le64(m->base + block * VMEM_BLOCK),
        .u.plug.nb_blocks = cpu_to_le16(count),
    };
    uint16_t answer;
    uint32_t head;

    qtest_memwrite(qts, at, &req, sizeof(req));
    head = qvirtqueue_add(qts, m->vq, at, sizeof(req), false, true);
    qvirtqueue_add(qts, m->vq, at + sizeof(req),
                   sizeof(struct virtio_mem_resp), true, false);
    qvirtqueue_kick(qts, &m->dev->vdev, m->vq, head);
    qvirtio_wait_used_elem(qts, &m->dev->vdev, m->vq, head, NULL,
                           30 * G_TIME_SPAN_SECOND);
    answer = qtest_readw(qts, at + sizeof(req));
    guest_free(&m->s->v->alloc, at);
    return answer;
}

static void vmem_want(VirtioMem *m, uint64_t size)
{
    qtest_qmp_assert_success(m->s->v->qts, "{ 'execute': 'qom-set',"
                             " 'arguments': { 'path': 'vm0', 'property':"
                             " 'requested-size', 'value': %" PRIu64 " } }",
                             size);
}

#define VMEM "-m 256M,slots=2,maxmem=1G " \
             "-object memory-backend-ram,id=vmem,size=128M " \
             "-device virtio-mem-pci,id=vm0,memdev=vmem,block-size=2M," \
             "requested-size=0,"

static VirtioMem vmem_new(const char *how)
{
    VirtioMem m = {
        .s = scene_new(how, VMEM "addr=9.0", DIMM_PHYS, 512 * MiB),
    };

    vmem_start(&m);
    g_assert_cmphex(m.base, >=, DIMM_PHYS);
    g_assert_cmphex(m.base, <, DIMM_PHYS + m.s->size);
    return m;
}

static void vmem_free(VirtioMem *m)
{
    qvirtqueue_cleanup(m->dev->vdev.bus, m->vq, &m->s->v->alloc);
    qvirtio_pci_device_disable(m->dev);
    g_free(m->dev->pdev);
    g_free(m->dev);
    scene_free(m->s);
}

static void test_virtio_mem(const void *how)
{
    VirtioMem m = vmem_new(how);

    g_assert_cmpuint(assert_follows(m.s), ==, 0);
    vmem_want(&m, 64 * MiB);
    g_assert_cmpuint(vmem_request(&m, VIRTIO_MEM_REQ_PLUG, 0, 8), ==,
                     VIRTIO_MEM_RESP_ACK);
    g_assert_cmpuint(assert_follows(m.s), ==, 8);
    g_assert_cmpuint(vmem_request(&m, VIRTIO_MEM_REQ_PLUG, 12, 1), ==,
                     VIRTIO_MEM_RESP_ACK);
    g_assert_cmpuint(assert_follows(m.s), ==, 9);
    assert_same_anew(m.s);

    /* Blocks out of the middle of one MAP */
    vmem_want(&m, 4 * MiB);
    g_assert_cmpuint(vmem_request(&m, VIRTIO_MEM_REQ_UNPLUG, 2, 3), ==,
                     VIRTIO_MEM_RESP_ACK);
    g_assert_cmpuint(assert_follows(m.s), ==, 6);
    assert_same_anew(m.s);
    vmem_want(&m, 0);
    g_assert_cmpuint(vmem_request(&m, VIRTIO_MEM_REQ_UNPLUG_ALL, 0, 0), ==,
                     VIRTIO_MEM_RESP_ACK);
    g_assert_cmpuint(assert_follows(m.s), ==, 0);
    vmem_free(&m);
}

/* One MAP from inside a block to inside another, with all others unplugged */
static void test_virtio_mem_inside(const void *how)
{
    VirtioMem m = vmem_new(how);
    Scene *s = m.s;

    vmem_want(&m, 64 * MiB);
    assert_status(viommu_unmap(s->v, 1, HIGH, HIGH + (s->size - 1)), OK);
    s->phys = m.base + VMEM_BLOCK / 2;
    s->size = 4 * VMEM_BLOCK;
    assert_status(viommu_map(s->v, 1, HIGH, HIGH + (s->size - 1), s->phys,
                             READ | WRITE), OK);
    for (unsigned block = 0; block <= 4; block += 2) {
        g_assert_cmpuint(vmem_request(&m, VIRTIO_MEM_REQ_PLUG, block, 1), ==,
                         VIRTIO_MEM_RESP_ACK);
        g_assert_cmpuint(assert_follows(s), ==, block / 2 + 1);
        assert_same_anew(s);
    }
    for (unsigned block = 0; block <= 4; block += 2) {
        g_assert_cmpuint(vmem_request(&m, VIRTIO_MEM_REQ_UNPLUG, block, 1),
                         ==, VIRTIO_MEM_RESP_ACK);
        g_assert_cmpuint(assert_follows(s), ==, 2 - block / 2);
        assert_same_anew(s);
    }
    vmem_free(&m);
}

/* What the host refuses is not plugged, and the guest is told */
static void test_virtio_mem_refused(const void *how)
{
    VirtioMem m = vmem_new(how);

    vmem_want(&m, 64 * MiB);
    for (unsigned n = 1; n <= 4; n++) {
        watch_fail(m.s->w, OBSERVER_FAIL_MAP, n, 1, ENOMEM);
        g_assert_cmpuint(vmem_request(&m, VIRTIO_MEM_REQ_PLUG, 0, 4), ==,
                         VIRTIO_MEM_RESP_BUSY);
        g_assert_cmpuint(assert_follows(m.s), ==, 0);
    }
    g_assert_cmpuint(vmem_request(&m, VIRTIO_MEM_REQ_PLUG, 0, 4), ==,
                     VIRTIO_MEM_RESP_ACK);
    g_assert_cmpuint(assert_follows(m.s), ==, 4);
    vmem_free(&m);
}

/* Two mappings of it: what the first one got goes when the second is refused */
static void test_virtio_mem_refused_second(const void *how)
{
    VirtioMem m = vmem_new(how);
    Scene *s = m.s;
    uint64_t second = HIGH + 1024 * MiB;

    assert_status(viommu_map(s->v, 1, second, second + (s->size - 1),
                             s->phys, READ), OK);
    vmem_want(&m, 64 * MiB);
    for (unsigned n = 1; n <= 8; n++) {
        watch_fail(s->w, OBSERVER_FAIL_MAP, n, 1, ENOMEM);
        g_assert_cmpuint(vmem_request(&m, VIRTIO_MEM_REQ_PLUG, 0, 4), ==,
                         VIRTIO_MEM_RESP_BUSY);
        assert_holds_nothing(s->w);
    }
    g_assert_cmpuint(vmem_request(&m, VIRTIO_MEM_REQ_PLUG, 0, 4), ==,
                     VIRTIO_MEM_RESP_ACK);
    assert_status(viommu_unmap(s->v, 1, second, second + (s->size - 1)), OK);
    g_assert_cmpuint(assert_follows(s), ==, 4);
    vmem_free(&m);
}

/*
 * The devices leave, and with them the memory that they could have had.  As
 * function 1 without function 0, one leaves without asking the guest.
 */
static void test_virtio_mem_leaves(const void *how)
{
    Scene *s = scene_new(how, "-global ICH9-LPC.acpi-pci-hotplug-with-bridge-"
                         "support=off -device pcie-root-port,id=rp,addr=3.0,chassis=1 "
                         "-object memory-backend-ram,id=other,size=128M "
                         "-device virtio-mem-pci,id=vm1,memdev=other,"
                         "block-size=2M,bus=rp,addr=0.2 "
                         VMEM "bus=rp,addr=0.1", DIMM_PHYS, 512 * MiB);

    for (unsigned i = 0; i < 2; i++) {
        g_autofree char *id = g_strdup_printf("vm%u", i);

        qtest_qmp_assert_success(s->v->qts, "{ 'execute': 'device_del',"
                                 " 'arguments': { 'id': %s } }", id);
        qtest_qmp_eventwait(s->v->qts, "DEVICE_DELETED");
        g_assert_cmpuint(assert_follows(s), ==, 0);
    }
    /* Where it was, other memory comes */
    dimm_plug(s->v->qts, "after");
    g_assert_cmpuint(assert_follows(s), ==, 1);
    scene_free(s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    watch_add("memory", "pam", test_pam);
    watch_add("memory", "smram", test_smram);
    watch_add("memory", "bar", test_bar);
    watch_add("memory", "dimm", test_dimm);
    qtest_add_data_func("/pviommu/memory/vhost-in-bypass", "vhost",
                        test_vhost_bypass);
    qtest_add_data_func("/pviommu/memory/vhost-ats-in-bypass", "vhost-ats",
                        test_vhost_bypass);
    watch_add("memory", "dimm-refused", test_dimm_refused);
    watch_add("memory", "virtio-mem", test_virtio_mem);
    watch_add("memory", "virtio-mem-inside", test_virtio_mem_inside);
    watch_add("memory", "virtio-mem-refused-second",
              test_virtio_mem_refused_second);
    watch_add("memory", "virtio-mem-leaves", test_virtio_mem_leaves);
    watch_add("memory", "virtio-mem-refused", test_virtio_mem_refused);
    return g_test_run();
}
