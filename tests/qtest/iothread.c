/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The request queue in an IOThread, in a test
 */
#include "qemu/osdep.h"

#include "iothread.h"

unsigned iothread_eventfds(Viommu *v)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/fd", qtest_pid(v->qts));
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;
    unsigned count = 0;

    while ((name = g_dir_read_name(dir))) {
        g_autofree char *fd = g_build_filename(path, name, NULL);
        g_autofree char *what = g_file_read_link(fd, NULL);

        count += !g_strcmp0(what, "anon_inode:[eventfd]");
    }
    return count;
}

/* It may have stopped to poll for a moment before any of them */
void iothread_assert_polls(Viommu *v, unsigned count)
{
    unsigned kicks = viommu_count(v, "kicks"), unkicked = 0, served = 0;

    while (unkicked < count) {
        uint64_t iova = served++ * 4096ULL;
        unsigned before = kicks;

        viommu_post_map(v, 1, iova, iova + 4095, 0x1000000, READ);
        viommu_kick(v, &v->requests);
        g_assert_cmpuint(viommu_wait(v, &v->requests), ==, 4);
        kicks = viommu_count(v, "kicks");
        unkicked += kicks == before;
    }
    g_assert_cmpuint(viommu_count(v, "mappings"), ==, served);
    assert_status(viommu_unmap(v, 1, 0, served * 4096ULL - 1), OK);
}

void iothread_post_map(Viommu *v, uint32_t domain, uint64_t iova,
                       uint64_t phys)
{
    viommu_post_map(v, domain, iova, iova + 4095, phys, READ | WRITE);
}

void iothread_post_unmap(Viommu *v, uint32_t domain, uint64_t iova)
{
    viommu_post_unmap(v, domain, iova, iova + 4095);
}

void iothread_prepare_unmap(Viommu *v, uint64_t answer)
{
    uint8_t both[32];

    iothread_post_unmap(v, 1, 0);
    viommu_kick(v, &v->requests);
    g_assert_cmpuint(viommu_wait(v, &v->requests), ==, 4);
    qtest_memread(v->qts, v->requests.desc + 32, both, sizeof(both));
    stw_le_p(both + 14, 1);
    stq_le_p(both + 16, answer);
    qtest_memwrite(v->qts, v->requests.desc, both, sizeof(both));
}
