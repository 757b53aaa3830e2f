//! The parts, by the names of postgres_exporter's collectors, on and off as in its release 0.20.

mod activity;
mod archive;
mod bloat;
mod database;
pub(super) mod older;
pub(super) mod process_idle;
mod replication;
mod server;
pub(super) mod settings;
mod stat_database;
pub(super) mod statements;
mod statio;
mod tables;
mod vacuum;
mod wal_receiver;
mod writers;

pub(super) use server::INFO;

use super::part::Part;

/// All of them, in the order in which they run: what is quick and always wanted comes first.
pub(super) static PARTS: &[&Part] = &[
    &server::STATIC,
    &replication::REPLICATION,
    &replication::SLOTS,
    &replication::STAT_REPLICATION,
    &activity::ACTIVITY,
    &activity::LOCKS,
    &stat_database::STAT_DATABASE,
    &stat_database::CONFLICTS,
    &stat_database::SESSIONS,
    &stat_database::CHECKSUMS,
    &writers::BGWRITER,
    &writers::CHECKPOINTER,
    &archive::ARCHIVER,
    &vacuum::PROGRESS,
    &vacuum::AUTOVACUUM,
    &settings::SETTINGS,
    &server::ROLES,
    &server::POSTMASTER,
    &activity::LONG_RUNNING,
    &process_idle::PROCESS_IDLE,
    &wal_receiver::WAL_RECEIVER,
    &archive::WAL,
    &archive::LOCATION,
    &database::WRAPAROUND,
    &tables::STAT_USER_TABLES,
    &statio::TABLES,
    &statio::INDEXES,
    &statements::STATEMENTS,
    &server::BUFFERCACHE,
    &database::DATABASE,
    &bloat::TABLES,
    &bloat::INDEXES,
];

/// The part of a name.
pub(super) fn find(name: &str) -> Option<&'static Part> {
    PARTS.iter().copied().find(|part| part.name == name)
}

/// Their names, for `collect[]`.
pub(super) const NAMES: &[&str] = &[
    "static",
    "replication",
    "replication_slots",
    "stat_replication",
    "stat_activity",
    "locks",
    "stat_database",
    "stat_database_conflicts",
    "stat_database_sessions",
    "stat_database_checksums",
    "stat_bgwriter",
    "stat_checkpointer",
    "stat_archiver",
    "stat_progress_vacuum",
    "stat_activity_autovacuum",
    "settings",
    "roles",
    "postmaster",
    "long_running_transactions",
    "process_idle",
    "stat_wal_receiver",
    "wal",
    "xlog_location",
    "database_wraparound",
    "stat_user_tables",
    "statio_user_tables",
    "statio_user_indexes",
    "stat_statements",
    "buffercache_summary",
    "database",
    "bloat_tables",
    "bloat_indexes",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_has_its_name_in_the_list() {
        assert_eq!(PARTS.iter().map(|part| part.name).collect::<Vec<_>>(), NAMES);
    }
}
