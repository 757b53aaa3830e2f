//! The background writer, and since Postgres 17 the checkpointer apart from it.

use crate::collect::postgres::part::{Column, Part, Query, Scope, Work, counter};

const fn cleaned() -> Column {
    counter(
        "buffers_clean",
        "pg_stat_bgwriter_buffers_clean_total",
        &[],
        "Number of buffers written by the background writer",
    )
}

const fn max_written() -> Column {
    counter(
        "maxwritten_clean",
        "pg_stat_bgwriter_maxwritten_clean_total",
        &[],
        "Number of times the background writer stopped a cleaning scan because it had written too many buffers",
    )
}

const fn allocated() -> Column {
    counter("buffers_alloc", "pg_stat_bgwriter_buffers_alloc_total", &[], "Number of buffers allocated")
}

const fn reset() -> Column {
    counter("reset", "pg_stat_bgwriter_stats_reset_total", &[], "Time at which these statistics were last reset")
}

pub(super) static BGWRITER: Part = Part {
    name: "stat_bgwriter",
    default: true,
    scope: Scope::Server,
    work: Work::Queries(&[
        Query {
            versions: 0..170_000,
            sql: "SELECT checkpoints_timed, checkpoints_req, checkpoint_write_time, checkpoint_sync_time, \
                  buffers_checkpoint, buffers_clean, maxwritten_clean, buffers_backend, buffers_backend_fsync, \
                  buffers_alloc, extract(epoch FROM stats_reset) AS reset FROM pg_stat_bgwriter",
            columns: &[
                counter(
                    "checkpoints_timed",
                    "pg_stat_bgwriter_checkpoints_timed_total",
                    &[],
                    "Number of scheduled checkpoints that have been performed",
                ),
                counter(
                    "checkpoints_req",
                    "pg_stat_bgwriter_checkpoints_req_total",
                    &[],
                    "Number of requested checkpoints that have been performed",
                ),
                counter(
                    "checkpoint_write_time",
                    "pg_stat_bgwriter_checkpoint_write_time_total",
                    &[],
                    "Time spent writing files in checkpoints, in milliseconds",
                ),
                counter(
                    "checkpoint_sync_time",
                    "pg_stat_bgwriter_checkpoint_sync_time_total",
                    &[],
                    "Time spent synchronizing files in checkpoints, in milliseconds",
                ),
                counter(
                    "buffers_checkpoint",
                    "pg_stat_bgwriter_buffers_checkpoint_total",
                    &[],
                    "Number of buffers written during checkpoints",
                ),
                cleaned(),
                max_written(),
                counter(
                    "buffers_backend",
                    "pg_stat_bgwriter_buffers_backend_total",
                    &[],
                    "Number of buffers written directly by a backend",
                ),
                counter(
                    "buffers_backend_fsync",
                    "pg_stat_bgwriter_buffers_backend_fsync_total",
                    &[],
                    "Number of times a backend had to execute its own fsync call",
                ),
                allocated(),
                reset(),
            ],
        },
        Query {
            versions: 170_000..u32::MAX,
            sql: "SELECT buffers_clean, maxwritten_clean, buffers_alloc, extract(epoch FROM stats_reset) AS reset \
                  FROM pg_stat_bgwriter",
            columns: &[cleaned(), max_written(), allocated(), reset()],
        },
    ]),
};

pub(super) static CHECKPOINTER: Part = Part {
    name: "stat_checkpointer",
    default: false,
    scope: Scope::Server,
    work: Work::Queries(&[Query {
        versions: 170_000..u32::MAX,
        sql: "SELECT num_timed, num_requested, restartpoints_timed, restartpoints_req, restartpoints_done, write_time, \
              sync_time, buffers_written, extract(epoch FROM stats_reset) AS reset FROM pg_stat_checkpointer",
        columns: &[
            counter(
                "num_timed",
                "pg_stat_checkpointer_num_timed_total",
                &[],
                "Number of scheduled checkpoints due to timeout",
            ),
            counter(
                "num_requested",
                "pg_stat_checkpointer_num_requested_total",
                &[],
                "Number of requested checkpoints that have been performed",
            ),
            counter(
                "restartpoints_timed",
                "pg_stat_checkpointer_restartpoints_timed_total",
                &[],
                "Number of scheduled restartpoints due to timeout or after a failed attempt to perform it",
            ),
            counter(
                "restartpoints_req",
                "pg_stat_checkpointer_restartpoints_req_total",
                &[],
                "Number of requested restartpoints",
            ),
            counter(
                "restartpoints_done",
                "pg_stat_checkpointer_restartpoints_done_total",
                &[],
                "Number of restartpoints that have been performed",
            ),
            counter(
                "write_time",
                "pg_stat_checkpointer_write_time_total",
                &[],
                "Time spent writing files in checkpoints and restartpoints, in milliseconds",
            ),
            counter(
                "sync_time",
                "pg_stat_checkpointer_sync_time_total",
                &[],
                "Time spent synchronizing files in checkpoints and restartpoints, in milliseconds",
            ),
            counter(
                "buffers_written",
                "pg_stat_checkpointer_buffers_written_total",
                &[],
                "Number of buffers written during checkpoints and restartpoints",
            ),
            counter(
                "reset",
                "pg_stat_checkpointer_stats_reset_total",
                &[],
                "Time at which these statistics were last reset",
            ),
        ],
    }]),
};
