//! The families, by cAdvisor's names. Their labels are those of every container, which [`super::series`] writes, and
//! their own.

use crate::metrics::{Desc, Kind};

/// The labels of every container, with those of the default list of shown labels.
const OWN: &[&str] = &[
    "id",
    "image",
    "name",
    "container_name",
    "container_label_com_docker_compose_project",
    "container_label_com_docker_compose_service",
];

/// A table of families: type, name, help.
macro_rules! families {
    ($($(#[$doc:meta])* $name:ident: [$(($kind:ident, $family:literal, $help:literal)),* $(,)?];)*) => {
        $(
            $(#[$doc])*
            pub(super) static $name: [Desc; [$($family),*].len()] = [$(Desc::new(Kind::$kind, $family, $help, OWN)),*];
        )*
        /// Every family of a container.
        pub(super) fn descs() -> Vec<&'static Desc> {
            let mut all: Vec<&'static Desc> = Vec::new();
            $(all.extend(&$name);)*
            all
        }
    };
}

families! {
    /// What is known without looking at the cgroup.
    ABOUT: [
        (Gauge, "container_last_seen", "When the container was last seen, in seconds since 1970."),
        (Gauge, "container_creation_time_seconds", "When the container was created, in seconds since 1970."),
        (Gauge, "container_start_time_seconds", "When the container was started, in seconds since 1970."),
        (Gauge, "container_health_state", "Docker's health check: 1 healthy, 0 not (or not yet), -1 none defined."),
    ];
    /// What cAdvisor does not tell.
    LIFE: [
        (Counter, "container_restarts_total", "How often Docker's restart policy started it again."),
        (Gauge, "container_exit_code", "The exit code of a container that has ended."),
    ];
    /// Kills for lack of memory.
    OOM: [
        (Counter, "container_oom_events_total", "Processes of the container killed for lack of memory."),
    ];
    /// Limits; 0 is none.
    SPEC: [
        (Gauge, "container_spec_cpu_period", "Period of the processor quota, in microseconds."),
        (Gauge, "container_spec_cpu_shares", "Shares of the processor; 1024 is an equal one."),
        (Gauge, "container_spec_memory_limit_bytes", "Limit of memory; 0 for none."),
        (Gauge, "container_spec_memory_reservation_limit_bytes", "Soft limit of memory; 0 for none."),
        (Gauge, "container_spec_memory_swap_limit_bytes", "Limit of swap; with cgroup version 1 of memory and swap. 0 for none."),
    ];
    /// Only with a quota.
    QUOTA: [
        (Gauge, "container_spec_cpu_quota", "Microseconds of processor time in a period."),
    ];
    /// In all, with a label `cpu`: `total`, or `cpuNN` where the kernel counts by processor.
    CPU_USAGE: [
        (Counter, "container_cpu_usage_seconds_total", "Processor time used."),
    ];
    CPU: [
        (Counter, "container_cpu_user_seconds_total", "Processor time in user mode."),
        (Counter, "container_cpu_system_seconds_total", "Processor time in the kernel."),
    ];
    /// Only with a quota; in the order of `Cpu::throttling`.
    THROTTLING: [
        (Counter, "container_cpu_cfs_periods_total", "Periods in which the quota was enforced."),
        (Counter, "container_cpu_cfs_throttled_periods_total", "Periods in which the container was throttled."),
        (Counter, "container_cpu_cfs_throttled_seconds_total", "Time for which the container was throttled."),
        (Counter, "container_cpu_cfs_burst_periods_total", "Periods in which the container went above its quota by a burst."),
        (Counter, "container_cpu_cfs_burst_seconds_total", "Time used above the quota by bursts."),
    ];
    /// Always 0, as in cAdvisor without its load reader, which kernels with cgroup version 2 do not have.
    LOAD: [
        (Gauge, "container_cpu_load_average_10s", "Runnable tasks over 10 s; 0, as in cAdvisor without its load reader."),
        (Gauge, "container_cpu_load_d_average_10s", "Uninterruptible tasks over 10 s; 0, as in cAdvisor without its load reader."),
    ];
    /// With a label `state`.
    TASKS_STATE: [
        (Gauge, "container_tasks_state", "Tasks by state; 0, as in cAdvisor without its load reader."),
    ];
    /// From `memory.stat`, in the order of `stats::FIELDS`.
    MEMORY_FIELDS: [
        (Gauge, "container_memory_cache", "Page cache, in bytes."),
        (Gauge, "container_memory_rss", "Anonymous memory, in bytes."),
        (Gauge, "container_memory_mapped_file", "Mapped files, in bytes."),
        (Gauge, "container_memory_total_active_file_bytes", "File pages used lately."),
        (Gauge, "container_memory_total_inactive_file_bytes", "File pages that nobody used lately."),
        (Gauge, "container_memory_file_dirty_bytes", "File pages that wait to be written."),
        (Gauge, "container_memory_file_writeback_bytes", "File pages that are being written."),
        (Gauge, "container_memory_kernel_usage", "Memory of the kernel for the container, in bytes."),
        (Counter, "container_memory_pgscan_total", "Pages looked at by reclaim."),
        (Counter, "container_memory_pgsteal_total", "Pages taken back by reclaim."),
        (Counter, "container_memory_workingset_refault_anon_total", "Anonymous pages that were evicted and needed again."),
        (Counter, "container_memory_workingset_refault_file_total", "File pages that were evicted and needed again."),
    ];
    MEMORY: [
        (Gauge, "container_memory_usage_bytes", "All memory charged to the container, page cache included."),
        (Gauge, "container_memory_working_set_bytes", "Usage less the file pages that nobody used lately."),
        (Gauge, "container_memory_swap", "Swap used, in bytes."),
        (Gauge, "container_memory_max_usage_bytes", "The most memory that was ever charged to it."),
        (Counter, "container_memory_failcnt", "How often the limit of memory was hit."),
    ];
    MEMORY_EVENTS: [
        (Counter, "container_memory_events_high_total", "How often it was throttled for passing memory.high."),
        (Counter, "container_memory_events_max_total", "How often it was about to pass memory.max."),
    ];
    /// With labels `failure_type` and `scope`.
    FAULTS: [
        (Counter, "container_memory_failures_total", "Page faults, all and major ones, of itself and with cgroups below."),
    ];
    /// Waiting and stalled, for processors, memory and I/O.
    PRESSURE: [
        (Counter, "container_pressure_cpu_waiting_seconds_total", "Time in which some tasks waited for a processor."),
        (Counter, "container_pressure_cpu_stalled_seconds_total", "Time in which all tasks waited for a processor."),
        (Counter, "container_pressure_memory_waiting_seconds_total", "Time in which some tasks waited for memory."),
        (Counter, "container_pressure_memory_stalled_seconds_total", "Time in which all tasks waited for memory."),
        (Counter, "container_pressure_io_waiting_seconds_total", "Time in which some tasks waited for I/O."),
        (Counter, "container_pressure_io_stalled_seconds_total", "Time in which all tasks waited for I/O."),
    ];
    /// With a label `interface`; in the order of `Interface::counts`.
    NETWORK: [
        (Counter, "container_network_receive_bytes_total", "Bytes received."),
        (Counter, "container_network_receive_packets_total", "Packets received."),
        (Counter, "container_network_receive_errors_total", "Errors while receiving."),
        (Counter, "container_network_receive_packets_dropped_total", "Received packets dropped."),
        (Counter, "container_network_transmit_bytes_total", "Bytes sent."),
        (Counter, "container_network_transmit_packets_total", "Packets sent."),
        (Counter, "container_network_transmit_errors_total", "Errors while sending."),
        (Counter, "container_network_transmit_packets_dropped_total", "Packets dropped before sending."),
    ];
    /// With labels `device`, `major`, `minor` and `operation`.
    BLKIO: [
        (Counter, "container_blkio_device_usage_total", "Bytes read from and written to a block device."),
    ];
    /// With a label `device`: what the cgroup did on it.
    FS_IO: [
        (Counter, "container_fs_reads_bytes_total", "Bytes read."),
        (Counter, "container_fs_writes_bytes_total", "Bytes written."),
        (Counter, "container_fs_reads_total", "Reads completed."),
        (Counter, "container_fs_writes_total", "Writes completed."),
    ];
    /// With a label `device`; in the order of `Io::cost`.
    FS_COST: [
        (Counter, "container_fs_io_cost_usage_seconds_total", "Device time used, by the I/O cost controller."),
        (Counter, "container_fs_io_cost_wait_seconds_total", "Time throttled to wait for a budget, by the I/O cost controller."),
        (Counter, "container_fs_io_cost_indebt_seconds_total", "Time in debt, by the I/O cost controller."),
        (Counter, "container_fs_io_cost_indelay_seconds_total", "Time delayed for debt, by the I/O cost controller."),
    ];
    /// With a label `device`: what everybody did on the disk that holds the container.
    FS_DISK: [
        (Counter, "container_fs_reads_merged_total", "Reads merged, on the whole disk."),
        (Counter, "container_fs_writes_merged_total", "Writes merged, on the whole disk."),
        (Counter, "container_fs_sector_reads_total", "Sectors read, on the whole disk."),
        (Counter, "container_fs_sector_writes_total", "Sectors written, on the whole disk."),
        (Counter, "container_fs_read_seconds_total", "Time spent reading, on the whole disk."),
        (Counter, "container_fs_write_seconds_total", "Time spent writing, on the whole disk."),
        (Gauge, "container_fs_io_current", "I/Os in progress, on the whole disk."),
        (Counter, "container_fs_io_time_seconds_total", "Time in which the whole disk was busy."),
        (Counter, "container_fs_io_time_weighted_seconds_total", "Time in which the whole disk was busy, weighted by the I/Os in progress."),
    ];
    /// With a label `device`.
    FS_SPACE: [
        (Gauge, "container_fs_limit_bytes", "Size of the file system that holds it."),
        (Gauge, "container_fs_inodes_total", "Files that the file system can hold."),
        (Gauge, "container_fs_inodes_free", "Files that the file system can still take."),
    ];
    /// With a label `device`.
    FS_USAGE: [
        (Gauge, "container_fs_usage_bytes", "Bytes that it takes on the file system: its own layer and its log."),
    ];
    /// In the group `process`.
    PROCESS: [
        (Gauge, "container_processes", "Processes in the container."),
        (Gauge, "container_file_descriptors", "Open file descriptors."),
        (Gauge, "container_sockets", "Open sockets."),
    ];
    /// In the group `process`.
    TASKS: [
        (Gauge, "container_threads", "Threads in the container."),
        (Gauge, "container_threads_max", "Threads that the container may have; 0 for no limit."),
    ];
    /// In the group `sched`; in the order of `Stats::scheduled`.
    SCHED: [
        (Counter, "container_cpu_schedstat_run_seconds_total", "Time for which its processes ran."),
        (Counter, "container_cpu_schedstat_runqueue_seconds_total", "Time for which its processes waited for a processor."),
        (Counter, "container_cpu_schedstat_run_periods_total", "How often its processes were scheduled."),
    ];
    /// In the group `tcp`, with a label `tcp_state`.
    TCP: [
        (Gauge, "container_network_tcp_usage_total", "TCP sockets by state."),
        (Gauge, "container_network_tcp6_usage_total", "TCP sockets of IPv6 by state."),
    ];
    /// In the group `udp`, with a label `udp_state`.
    UDP: [
        (Gauge, "container_network_udp_usage_total", "UDP sockets, dropped packets and bytes in queues."),
        (Gauge, "container_network_udp6_usage_total", "UDP sockets of IPv6, dropped packets and bytes in queues."),
    ];
    /// In the group `advtcp`, with a label `tcp_state` that names the counter.
    ADVANCED_TCP: [
        (Gauge, "container_network_advance_tcp_stats_total", "The kernel's counters of TCP, by name."),
    ];
    /// In the group `hugetlb`, with a label `pagesize`; in the order of `Stats::huge_pages`.
    HUGE_PAGES: [
        (Gauge, "container_hugetlb_usage_bytes", "Huge pages in use, in bytes."),
        (Gauge, "container_hugetlb_max_usage_bytes", "The most huge pages that were ever in use; 0 with cgroup version 2."),
        (Counter, "container_hugetlb_failcnt", "How often the limit of huge pages was hit."),
    ];
    /// In the group `process`, with a label `ulimit`.
    ULIMITS: [
        (Gauge, "container_ulimits_soft", "Soft limits of its first process; -1 for none."),
    ];
}

/// Whether the containers could be read.
pub(super) static SCRAPE_ERROR: Desc =
    Desc::gauge("container_scrape_error", "1 if the containers could not be read, else 0.", &[]);
