/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: the IOMMU itself: groups, endpoints, domains, translation
 *
 * An endpoint is an id that the guest may attach.  Endpoints that share one
 * address space on the host's side form a group and move together; most
 * groups hold one endpoint.  A domain exists while an endpoint is attached
 * to it and is for life either a bypass domain, one with mappings, or one with
 * a table that the guest owns.
 *
 * A request changes state here first and the host afterwards.  What it
 * changed is described by a struct PviommuChange, which the caller shows to
 * the host and then either commits or undoes; neither can fail.  One change
 * is under way at a time.
 *
 * Locking: none inside.  pviommu_translate() and all other functions that
 * take const objects may run in several threads at once; a function that
 * changes state excludes all of them.  The caller's lock is not needed while
 * the host is being shown a change.  That there is a lock is asserted, once
 * the caller has said that threads share the IOMMU: see
 * pviommu_iommu_share().
 */
#ifndef PVIOMMU_IOMMU_H
#define PVIOMMU_IOMMU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pviommu/mappings.h"
#include "pviommu/regions.h"
#include "pviommu/table.h"
#include "pviommu/wire.h"

typedef struct PviommuIommu PviommuIommu;
typedef struct PviommuDomain PviommuDomain;
typedef struct PviommuGroup PviommuGroup;
typedef struct PviommuEndpoint PviommuEndpoint;

/* Not an endpoint id: what an endpoint without a number has */
#define PVIOMMU_NO_ID UINT64_MAX

/**
 * struct PviommuConfig - what the device offers
 * @page_size_mask: lowest bit is the granule; not 0
 * @input_first: lowest IOVA that may be mapped
 * @input_last: highest IOVA that may be mapped, inclusive
 * @domain_first: lowest domain id
 * @domain_last: highest domain id, inclusive
 * @probe_size: bytes of properties in a PROBE
 * @max_domains: how many domains may exist at once
 * @max_mappings: how many mappings may exist at once, in all domains
 * @bypass: whether unattached endpoints bypass
 */
typedef struct PviommuConfig {
    uint64_t page_size_mask;
    uint64_t input_first;
    uint64_t input_last;
    uint32_t domain_first;
    uint32_t domain_last;
    uint32_t probe_size;
    uint32_t max_domains;
    uint64_t max_mappings;
    bool bypass;
} PviommuConfig;

/**
 * enum PviommuState - what a group's accesses meet
 * @PVIOMMU_BLOCKED: all fault, but for MSI regions
 * @PVIOMMU_BYPASS: all pass unchanged
 * @PVIOMMU_TRANSLATED: the domain's mappings decide, or the guest's table
 */
typedef enum PviommuState {
    PVIOMMU_BLOCKED,
    PVIOMMU_BYPASS,
    PVIOMMU_TRANSLATED,
} PviommuState;

/**
 * enum PviommuChangeKind - what a change asks of the host
 * @PVIOMMU_CHANGE_NONE: nothing
 * @PVIOMMU_CHANGE_SWITCH: a group goes from one domain to another
 * @PVIOMMU_CHANGE_MAP: a domain has a new mapping
 * @PVIOMMU_CHANGE_UNMAP: a domain has lost mappings
 * @PVIOMMU_CHANGE_INVALIDATE: entries of a domain's table may have changed
 */
typedef enum PviommuChangeKind {
    PVIOMMU_CHANGE_NONE,
    PVIOMMU_CHANGE_SWITCH,
    PVIOMMU_CHANGE_MAP,
    PVIOMMU_CHANGE_UNMAP,
    PVIOMMU_CHANGE_INVALIDATE,
} PviommuChangeKind;

/**
 * struct PviommuChange - state that changed and can still be undone
 * @kind: what it is
 * @group: SWITCH: the group that moves
 * @from: SWITCH: the domain that it leaves, NULL for none; alive until commit
 * @to: SWITCH: the domain that it enters, NULL for none
 * @domain: MAP, UNMAP, INVALIDATE: whose mappings or entries changed
 * @mapping: MAP: the new one.  UNMAP, INVALIDATE: @mapping.first and .last are
 *           the range
 * @endpoint: private to core: the endpoint that was attached or detached
 * @left: private to core: the domain that @endpoint left, NULL for none
 * @entered: private to core: the domain that @endpoint entered
 * @was_fenced: private to core: whether @group was fenced before
 */
typedef struct PviommuChange {
    PviommuChangeKind kind;
    PviommuGroup *group;
    PviommuDomain *from;
    PviommuDomain *to;
    PviommuDomain *domain;
    PviommuMapping mapping;
    PviommuEndpoint *endpoint;
    PviommuDomain *left;
    PviommuDomain *entered;
    bool was_fenced;
} PviommuChange;

/**
 * pviommu_iommu_new - make an IOMMU without endpoints
 * @config: what it offers, copied
 *
 * Return: the IOMMU, owned by the caller.
 */
PviommuIommu *pviommu_iommu_new(const PviommuConfig *config);

/**
 * pviommu_iommu_free - free an IOMMU
 * @iommu: the IOMMU, with no group left; NULL is allowed
 */
void pviommu_iommu_free(PviommuIommu *iommu);

/**
 * pviommu_iommu_share - let other threads translate
 * @iommu: the IOMMU; for the rest of its life
 *
 * From here on a function that changes state may only be called between
 * pviommu_iommu_begin() and pviommu_iommu_end(); elsewhere it aborts.
 */
void pviommu_iommu_share(PviommuIommu *iommu);

/**
 * pviommu_iommu_begin - say that all other threads are excluded
 * @iommu: the IOMMU, shared; the caller has just taken its lock to write
 */
void pviommu_iommu_begin(PviommuIommu *iommu);

/**
 * pviommu_iommu_end - the opposite of pviommu_iommu_begin()
 * @iommu: the IOMMU; the caller is about to drop its lock
 */
void pviommu_iommu_end(PviommuIommu *iommu);

/**
 * pviommu_iommu_config - what the IOMMU offers
 * @iommu: the IOMMU
 *
 * Return: the configuration, valid while @iommu lives.
 */
const PviommuConfig *pviommu_iommu_config(const PviommuIommu *iommu);

/**
 * pviommu_iommu_set_config - change what the IOMMU offers
 * @iommu: the IOMMU, with no endpoint attached
 * @config: the new values, copied
 */
void pviommu_iommu_set_config(PviommuIommu *iommu,
                              const PviommuConfig *config);

/**
 * pviommu_iommu_set_bypass - set what unattached endpoints meet
 * @iommu: the IOMMU
 * @bypass: true for identity, false for faults
 *
 * The caller then brings the host in line for every group without a domain.
 * Section "Device configuration layout".
 */
void pviommu_iommu_set_bypass(PviommuIommu *iommu, bool bypass);

/**
 * pviommu_iommu_set_features - say what the driver accepted
 * @iommu: the IOMMU
 * @features: bit mask; 0 before negotiation
 */
void pviommu_iommu_set_features(PviommuIommu *iommu, uint64_t features);

/**
 * pviommu_iommu_domain_count - how many domains exist
 * @iommu: the IOMMU
 *
 * Return: the number.
 */
size_t pviommu_iommu_domain_count(const PviommuIommu *iommu);

/**
 * pviommu_iommu_mapping_count - how many mappings exist in all domains
 * @iommu: the IOMMU
 *
 * Return: the number.
 */
uint64_t pviommu_iommu_mapping_count(const PviommuIommu *iommu);

/**
 * pviommu_iommu_domain - find a domain
 * @iommu: the IOMMU
 * @id: its number
 *
 * Return: the domain, or NULL when none of that number has endpoints.
 */
PviommuDomain *pviommu_iommu_domain(const PviommuIommu *iommu, uint32_t id);

/**
 * typedef PviommuDomainFunc - called for a domain
 * @domain: the domain
 * @opaque: as given
 */
typedef void PviommuDomainFunc(PviommuDomain *domain, void *opaque);

/**
 * pviommu_iommu_foreach_domain - visit every domain, in order of id
 * @iommu: the IOMMU
 * @func: called for each; of state it may change fences alone
 * @opaque: handed on to @func
 */
void pviommu_iommu_foreach_domain(const PviommuIommu *iommu,
                                  PviommuDomainFunc *func, void *opaque);

/**
 * pviommu_iommu_endpoint - find an endpoint
 * @iommu: the IOMMU
 * @id: its number, as pviommu_iommu_renumber() gave it
 *
 * Return: the endpoint, or NULL.
 */
PviommuEndpoint *pviommu_iommu_endpoint(const PviommuIommu *iommu,
                                        uint32_t id);

/**
 * pviommu_iommu_detach_next - detach one endpoint that is attached
 * @iommu: the IOMMU
 * @change: what changed, to be committed; as for DETACH
 *
 * Repeated until it returns false, this is what a reset of the device does.
 *
 * Return: whether an endpoint was attached.
 */
bool pviommu_iommu_detach_next(PviommuIommu *iommu, PviommuChange *change);

/**
 * pviommu_group_new - make a group without endpoints
 * @iommu: the IOMMU
 * @opaque: the caller's own; NULL marks a group that has no address space,
 *          whose switches are of no concern to the host (kind is then NONE)
 *
 * Return: the group, owned by the caller.
 */
PviommuGroup *pviommu_group_new(PviommuIommu *iommu, void *opaque);

/**
 * pviommu_group_free - free a group
 * @group: the group, without endpoints; NULL is allowed
 */
void pviommu_group_free(PviommuGroup *group);

/**
 * pviommu_group_opaque - what the caller gave
 * @group: the group
 *
 * Return: the pointer given to pviommu_group_new().
 */
void *pviommu_group_opaque(const PviommuGroup *group);

/**
 * pviommu_group_set_regions - set the reserved regions of a group
 * @group: the group
 * @regions: the list, taken over
 *
 * Mappings that exist are left alone.
 */
void pviommu_group_set_regions(PviommuGroup *group, PviommuRegions *regions);

/**
 * pviommu_group_regions - the reserved regions of a group
 * @group: the group
 *
 * Return: the list, valid until it is set again; NULL if it never was.
 */
const PviommuRegions *pviommu_group_regions(const PviommuGroup *group);

/**
 * pviommu_group_set_formats - set which tables of the guest a group can have
 * @group: the group
 * @formats: which; none at first
 *
 * A domain with a table that the group is in already is left alone.
 */
void pviommu_group_set_formats(PviommuGroup *group,
                               PviommuFormats formats);

/**
 * pviommu_group_formats - which tables of the guest a group can have
 * @group: the group
 *
 * Return: as set.
 */
PviommuFormats pviommu_group_formats(const PviommuGroup *group);

/**
 * pviommu_group_set_fenced - block a group that the host could not serve
 * @group: the group
 * @fenced: true: the group is blocked whatever its domain and bypass say
 *
 * A change of the group's domain clears the fence, and so does an ATTACH to
 * the domain that it has; undoing that puts it back.  One that is set while
 * such a change is under way stays, however the change ends.
 */
void pviommu_group_set_fenced(PviommuGroup *group, bool fenced);

/**
 * pviommu_group_fenced - whether a group is blocked for the host's sake
 * @group: the group
 *
 * Return: as set.
 */
bool pviommu_group_fenced(const PviommuGroup *group);

/**
 * pviommu_group_domain - the domain of a group
 * @group: the group
 *
 * Return: the domain that its attached endpoints share, or NULL when none of
 * them is attached.
 */
PviommuDomain *pviommu_group_domain(const PviommuGroup *group);

/**
 * pviommu_group_state - what the group's accesses meet
 * @group: the group
 *
 * Return: the state that domain, bypass and fence give.
 */
PviommuState pviommu_group_state(const PviommuGroup *group);

/**
 * pviommu_endpoint_new - add an endpoint to a group
 * @group: the group
 * @opaque: the caller's own
 *
 * It has no id until pviommu_iommu_renumber() gives it one.
 *
 * Return: the endpoint, owned by the caller.
 */
PviommuEndpoint *pviommu_endpoint_new(PviommuGroup *group, void *opaque);

/**
 * pviommu_endpoint_opaque - what the caller gave
 * @endpoint: the endpoint
 *
 * Return: the pointer given to pviommu_endpoint_new().
 */
void *pviommu_endpoint_opaque(const PviommuEndpoint *endpoint);

/**
 * pviommu_endpoint_free - free an endpoint
 * @endpoint: the endpoint, not attached; NULL is allowed
 */
void pviommu_endpoint_free(PviommuEndpoint *endpoint);

/**
 * pviommu_endpoint_detach - detach an endpoint that goes away
 * @endpoint: the endpoint
 * @change: what changed, to be committed; kind NONE when it was not attached
 */
void pviommu_endpoint_detach(PviommuEndpoint *endpoint,
                             PviommuChange *change);

/**
 * pviommu_endpoint_id - the number of an endpoint
 * @endpoint: the endpoint
 *
 * Return: 0 to 2^32 - 1, or PVIOMMU_NO_ID.
 */
uint64_t pviommu_endpoint_id(const PviommuEndpoint *endpoint);

/**
 * pviommu_endpoint_group - the group of an endpoint
 * @endpoint: the endpoint
 *
 * Return: the group.
 */
PviommuGroup *pviommu_endpoint_group(const PviommuEndpoint *endpoint);

/**
 * pviommu_endpoint_domain - the domain that an endpoint is attached to
 * @endpoint: the endpoint
 *
 * Return: the domain, or NULL.
 */
PviommuDomain *pviommu_endpoint_domain(const PviommuEndpoint *endpoint);

/**
 * typedef PviommuIdFunc - say the number of an endpoint
 * @endpoint: the endpoint
 * @opaque: as given
 *
 * Return: its id now, or PVIOMMU_NO_ID.
 */
typedef uint64_t PviommuIdFunc(const PviommuEndpoint *endpoint, void *opaque);

/**
 * pviommu_iommu_renumber - give every endpoint its number anew
 * @iommu: the IOMMU
 * @id: called once for each endpoint, in the order of their making
 * @opaque: handed on to @id
 *
 * Of two endpoints with the same number the first made has it, the other
 * has none.  Attachments stay.  Cheap when no number changed.
 */
void pviommu_iommu_renumber(PviommuIommu *iommu, PviommuIdFunc *id,
                            void *opaque);

/**
 * pviommu_domain_id - the number of a domain
 * @domain: the domain
 *
 * Return: its id.
 */
uint32_t pviommu_domain_id(const PviommuDomain *domain);

/**
 * pviommu_domain_bypass - whether a domain is a bypass domain
 * @domain: the domain
 *
 * Return: true if so; it has no mappings then.
 */
bool pviommu_domain_bypass(const PviommuDomain *domain);

/**
 * pviommu_domain_table - the table of the guest that a domain has
 * @domain: the domain
 *
 * Return: the table, valid while the domain lives; NULL for a domain of
 * another kind.  Where there is one, the mappings are its shadow, see
 * pviommu/shadow.h.
 */
const PviommuGuestTable *pviommu_domain_table(const PviommuDomain *domain);

/**
 * pviommu_domain_set_opaque - keep something of the caller's with a domain
 * @domain: the domain
 * @opaque: a pointer, given back by whatever frees the domain
 */
void pviommu_domain_set_opaque(PviommuDomain *domain, void *opaque);

/**
 * pviommu_domain_opaque - what the caller keeps with a domain
 * @domain: the domain
 *
 * Return: the pointer set last, NULL if none was.
 */
void *pviommu_domain_opaque(const PviommuDomain *domain);

/**
 * pviommu_domain_mappings - the mappings of a domain
 * @domain: the domain
 *
 * Mappings that a change under way removed are not seen.
 *
 * Return: the set, valid while the domain lives.
 */
const PviommuMappings *pviommu_domain_mappings(const PviommuDomain *domain);

/**
 * pviommu_domain_next_group - walk the groups of a domain
 * @domain: the domain
 * @group: the last one, NULL to start
 *
 * Groups without an address space (opaque NULL) are left out.
 *
 * Return: the next group, or NULL.
 */
PviommuGroup *pviommu_domain_next_group(const PviommuDomain *domain,
                                        const PviommuGroup *group);

/**
 * pviommu_change_next_removed - walk the mappings that an UNMAP removed
 * @change: an UNMAP, neither committed nor undone
 * @iter: the walk; start with { 0 }
 * @mapping: where to put the next
 *
 * Return: whether there was one.
 */
bool pviommu_change_next_removed(const PviommuChange *change,
                                 PviommuMappingIter *iter,
                                 PviommuMapping *mapping);

/**
 * pviommu_change_commit - make a change final
 * @iommu: the IOMMU
 * @change: the change; afterwards of kind NONE
 *
 * Frees the domain that lost its last endpoint, and removed mappings.
 *
 * Return: the opaque pointer of the domain that was freed, now the caller's;
 * NULL when none was freed.
 */
void *pviommu_change_commit(PviommuIommu *iommu, PviommuChange *change);

/**
 * pviommu_change_undo - go back to the state before a change
 * @iommu: the IOMMU
 * @change: the change; afterwards of kind NONE
 *
 * Needs no memory.  Frees the domain that the change made.
 *
 * Return: as pviommu_change_commit().
 */
void *pviommu_change_undo(PviommuIommu *iommu, PviommuChange *change);

/**
 * struct PviommuTranslation - what became of an access
 * @first: first IOVA of the block around the address that translates alike
 * @last: last IOVA of that block, inclusive
 * @phys: guest-physical address of @first
 * @flags: PVIOMMU_MAP_F_READ and _WRITE that the block allows
 * @reason: PVIOMMU_FAULT_R_*, when the access faults
 */
struct PviommuTranslation {
    uint64_t first;
    uint64_t last;
    uint64_t phys;
    uint32_t flags;
    uint8_t reason;
};

/**
 * pviommu_translate - translate one access
 * @group: whose access
 * @iova: its address
 * @access: PVIOMMU_MAP_F_READ, _WRITE or both; 0 asks without accessing
 * @translation: the result, always filled in whole; the block of a fault is
 *               @iova alone with no flags
 *
 * MSI regions translate to themselves in every state (writable only is not
 * enforced); RESERVED ones fault with reason MAPPING when the group is
 * translated.  A group in bypass passes everything.  Where a table of the
 * guest decides, this faults: see pviommu_translate_by_table().
 *
 * Return: true when the access is allowed (for @access 0: when anything is
 * mapped there), false when it faults.
 */
bool pviommu_translate(const PviommuGroup *group, uint64_t iova,
                       uint32_t access, PviommuTranslation *translation);

/**
 * struct PviommuTableView - what a table of the guest decides
 * @table: the table
 * @first: first IOVA of the range around an address in which it does
 * @last: last IOVA of that range, inclusive
 */
typedef struct PviommuTableView {
    PviommuGuestTable table;
    uint64_t first;
    uint64_t last;
} PviommuTableView;

/**
 * pviommu_translate_by_table - see whether a table of the guest decides
 * @group: whose access
 * @iova: its address
 * @view: filled in if so; holds nothing of the group's, so that the walk needs
 *        no lock
 *
 * Return: whether pviommu_view_walk() is to be asked, and not
 * pviommu_translate().
 */
bool pviommu_translate_by_table(const PviommuGroup *group, uint64_t iova,
                                PviommuTableView *view);

/**
 * pviommu_view_walk - translate one access by a table
 * @view: the table and its range
 * @iova: the address that @view was made for
 * @access: as for pviommu_translate()
 * @read: reads an entry
 * @opaque: handed on to @read
 * @translation: as of pviommu_translate()
 *
 * Return: as pviommu_translate().
 */
bool pviommu_view_walk(const PviommuTableView *view, uint64_t iova,
                       uint32_t access, PviommuReadEntry *read, void *opaque,
                       PviommuTranslation *translation);

#endif /* PVIOMMU_IOMMU_H */
