//! What a replica receives.

use crate::collect::postgres::part::{Part, Query, Scope, Work, counter, gauge};

const RECEIVER: &[&str] = &["slot_name", "status", "upstream_host"];

pub(super) static WAL_RECEIVER: Part = Part {
    name: "stat_wal_receiver",
    default: false,
    scope: Scope::Server,
    work: Work::Queries(&[
        Query {
            versions: 130_000..u32::MAX,
            sql: "SELECT slot_name, status, sender_host AS upstream_host, flushed_lsn - '0/0' AS flushed \
                  FROM pg_stat_wal_receiver",
            columns: &[counter(
                "flushed",
                "pg_stat_wal_receiver_flushed_lsn",
                RECEIVER,
                "Last position of the log received and flushed to disk",
            )],
        },
        Query {
            versions: 110_000..u32::MAX,
            sql: "SELECT slot_name, status, sender_host AS upstream_host, receive_start_lsn - '0/0' AS start, \
                  receive_start_tli, received_tli, extract(epoch FROM last_msg_send_time) AS sent, \
                  extract(epoch FROM last_msg_receipt_time) AS received, latest_end_lsn - '0/0' AS latest, \
                  extract(epoch FROM latest_end_time) AS latest_time FROM pg_stat_wal_receiver",
            columns: &[
                counter(
                    "start",
                    "pg_stat_wal_receiver_receive_start_lsn",
                    RECEIVER,
                    "First position of the log when the receiver was started",
                ),
                gauge(
                    "receive_start_tli",
                    "pg_stat_wal_receiver_receive_start_tli",
                    RECEIVER,
                    "First timeline number used when WAL receiver is started",
                ),
                gauge(
                    "received_tli",
                    "pg_stat_wal_receiver_received_tli",
                    RECEIVER,
                    "Timeline of the last position received and flushed to disk",
                ),
                counter(
                    "sent",
                    "pg_stat_wal_receiver_last_msg_send_time",
                    RECEIVER,
                    "Send time of last message received from origin WAL sender",
                ),
                counter(
                    "received",
                    "pg_stat_wal_receiver_last_msg_receipt_time",
                    RECEIVER,
                    "Receipt time of last message received from origin WAL sender",
                ),
                counter(
                    "latest",
                    "pg_stat_wal_receiver_latest_end_lsn",
                    RECEIVER,
                    "Last position reported to origin WAL sender",
                ),
                counter(
                    "latest_time",
                    "pg_stat_wal_receiver_latest_end_time",
                    RECEIVER,
                    "Time of last position reported to origin WAL sender",
                ),
            ],
        },
    ]),
};
