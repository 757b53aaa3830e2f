//! cAdvisor. The daemon that it takes is started by the tests of the collector, which call this with what it wrote.

use crate::support::compat::{Exceptions, compare, compare_series, reference};

/// A real scrape of a host with cgroup version 1.
const REFERENCE: &str = "cadvisor-0.60.5-cgroup1";

/// What of the reference is missing in `ours`: families, types and names of labels, and the label sets of the root and
/// of the machine where they do not name a device, an interface or the machine.
pub(crate) fn missing(ours: &str) -> Vec<String> {
    let (exceptions, reference) = (Exceptions::of(REFERENCE), reference(REFERENCE));
    let mut found = compare(&reference, ours, &exceptions);
    // The containers of the reference are others than ours: each family's sets are compared without what names them.
    let naming = [
        "id",
        "image",
        "name",
        "device",
        "interface",
        "cpu",
        "boot_id",
        "machine_id",
        "system_uuid",
        "kernelVersion",
        "osVersion",
        "dockerVersion",
        "cadvisorVersion",
        "cadvisorRevision",
        "container_label_com_docker_compose_project",
        "container_label_com_docker_compose_service",
        "container_name",
    ];
    found.extend(compare_series(&reference, ours, &exceptions, &naming, |_| true));
    found
}
