/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu tests: whether the tree in a set is as node.h says
 */
#ifndef PVIOMMU_TEST_TREE_CHECK_H
#define PVIOMMU_TEST_TREE_CHECK_H

#include "pviommu/mappings.h"

/**
 * tree_check - look at every node
 * @set: the set, with nothing hidden
 */
void tree_check(const PviommuMappings *set);

#endif /* PVIOMMU_TEST_TREE_CHECK_H */
