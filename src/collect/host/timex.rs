//! `timex`: how the kernel keeps the clock right (adjtimex(2), which only asks here).

use async_trait::async_trait;

use super::{Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::metrics::Desc;

const fn gauge(name: &'static str, help: &'static str) -> Desc {
    Desc::gauge(name, help, &[])
}

const fn counter(name: &'static str, help: &'static str) -> Desc {
    Desc::counter(name, help, &[])
}

/// The families, in the order of [`values`].
static FAMILIES: [Desc; 17] = [
    gauge("node_timex_sync_status", "Is clock synchronized to a reliable server (1 = yes, 0 = no)."),
    gauge("node_timex_offset_seconds", "Time offset in between local system and reference clock."),
    gauge("node_timex_frequency_adjustment_ratio", "Local clock frequency adjustment."),
    gauge("node_timex_maxerror_seconds", "Maximum error in seconds."),
    gauge("node_timex_estimated_error_seconds", "Estimated error in seconds."),
    gauge("node_timex_status", "Value of the status array bits."),
    gauge("node_timex_loop_time_constant", "Phase-locked loop time constant."),
    gauge("node_timex_tick_seconds", "Seconds between clock ticks."),
    gauge("node_timex_pps_frequency_hertz", "Pulse per second frequency."),
    gauge("node_timex_pps_jitter_seconds", "Pulse per second jitter."),
    gauge("node_timex_pps_shift_seconds", "Pulse per second interval duration."),
    gauge("node_timex_pps_stability_hertz", "Pulse per second stability, average of recent frequency changes."),
    counter("node_timex_pps_jitter_total", "Pulse per second count of jitter limit exceeded events."),
    counter("node_timex_pps_calibration_total", "Pulse per second count of calibration intervals."),
    counter("node_timex_pps_error_total", "Pulse per second count of calibration errors."),
    counter("node_timex_pps_stability_exceeded_total", "Pulse per second count of stability limit exceeded events."),
    gauge("node_timex_tai_offset_seconds", "International Atomic Time (TAI) offset."),
];

pub(super) struct ClockState;

impl Listed for ClockState {
    fn descs() -> Vec<&'static Desc> {
        FAMILIES.iter().collect()
    }

    fn new(_site: &Site<'_>) -> Self {
        Self
    }
}

#[async_trait]
impl Part for ClockState {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        for (desc, value) in FAMILIES.iter().zip(values()?) {
            run.batch.push(desc, &[], value);
        }
        Ok(())
    }
}

#[cfg(target_os = "linux")]
fn values() -> Result<[f64; 17], CollectError> {
    /// The clock is not synchronised (TIME_ERROR).
    const NOT_SYNCHRONISED: i32 = 5;
    /// Offset and jitter are nanoseconds, else microseconds (STA_NANO).
    const NANOSECONDS: i32 = 0x2000;
    /// Frequencies are millionths, with 16 bits after the point.
    const FREQUENCY: f64 = 65_536e6;
    /// All other times are microseconds.
    const MICRO: f64 = 1e6;

    let mut timex = rtime_clock::adjtime::Timex::new();
    let state = rtime_clock::adjtime::adjtimex(&mut timex).map_err(|source| match source.kind() {
        // A container may be forbidden to ask.
        std::io::ErrorKind::PermissionDenied => super::sysfs::no_data("adjtimex".as_ref()),
        _ => CollectError::Io { what: "adjtimex".to_owned(), source },
    })?;
    let timex = timex.0;
    let unit = if timex.status & NANOSECONDS == 0 { MICRO } else { 1e9 };
    Ok([
        f64::from(state != NOT_SYNCHRONISED),
        timex.offset as f64 / unit,
        1.0 + timex.freq as f64 / FREQUENCY,
        timex.maxerror as f64 / MICRO,
        timex.esterror as f64 / MICRO,
        f64::from(timex.status),
        timex.constant as f64,
        timex.tick as f64 / MICRO,
        timex.ppsfreq as f64 / FREQUENCY,
        timex.jitter as f64 / unit,
        f64::from(timex.shift),
        timex.stabil as f64 / FREQUENCY,
        timex.jitcnt as f64,
        timex.calcnt as f64,
        timex.errcnt as f64,
        timex.stbcnt as f64,
        f64::from(timex.tai),
    ])
}

#[cfg(not(target_os = "linux"))]
fn values() -> Result<[f64; 17], CollectError> {
    Err(super::sysfs::no_data("adjtimex".as_ref()))
}
