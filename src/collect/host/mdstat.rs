//! The table `/proc/mdstat`: two or more lines an array, made for people.

/// An array as the table tells it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Array {
    pub(super) device: String,
    /// What it is doing, in the words of the metric.
    pub(super) state: &'static str,
    /// Disks that it needs, and how many are in sync, have failed, or wait.
    pub(super) required: u64,
    pub(super) active: u64,
    pub(super) failed: u64,
    pub(super) spare: u64,
    /// Blocks of 1 KiB, and how many of them are in sync.
    pub(super) blocks: u64,
    pub(super) synced: u64,
}

/// Words of the line on what is being done, with the state that they stand for.
const WORK: [(&str, &str); 4] =
    [("recovery", "recovering"), ("reshape", "reshaping"), ("resync", "resync"), ("check", "check")];

/// All arrays, or what is wrong.
pub(super) fn parse(text: &str) -> Result<Vec<Array>, String> {
    let mut arrays = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        // `Personalities : …` and `unused devices: …` are no arrays.
        let Some((device, rest)) = line.split_once(" : ").filter(|(device, _)| !device.contains(' ')) else { continue };
        if device == "Personalities" {
            continue;
        }
        let mut more = Vec::new();
        while let Some(line) = lines.next_if(|line| line.starts_with(' ')) {
            more.push(line);
        }
        arrays.push(array(device, rest, &more).ok_or_else(|| format!("the array {device} is not as documented"))?);
    }
    Ok(arrays)
}

fn array(device: &str, rest: &str, more: &[&str]) -> Option<Array> {
    let (status, more) = more.split_first()?;
    let blocks = status.split_ascii_whitespace().next()?.parse().ok()?;
    let state = match rest.split_ascii_whitespace().next()? {
        "active" => "active",
        "inactive" => "inactive",
        _ => "other",
    };
    let (required, active) = if ["raid0", "linear"].iter().any(|level| rest.contains(level)) {
        // No disk may be missing: only disks have a number in brackets.
        let disks = rest.matches('[').count() as u64;
        (disks, disks)
    } else if state == "inactive" {
        (0, 0)
    } else {
        disks(status)?
    };
    let (failed, spare) = (rest.matches("(F)").count() as u64, rest.matches("(S)").count() as u64);
    let mut array = Array { device: device.to_owned(), state, required, active, failed, spare, blocks, synced: blocks };
    let working =
        more.iter().find_map(|line| WORK.iter().find(|(word, _)| line.contains(word)).map(|work| (line, work)));
    if let Some((line, (_, state))) = working {
        array.state = state;
        array.synced = if ["PENDING", "DELAYED"].iter().any(|word| line.contains(word)) { 0 } else { synced(line)? };
    }
    Some(array)
}

/// `[2/1]` of `1046528 blocks super 1.2 [2/1] [U_]`.
fn disks(status: &str) -> Option<(u64, u64)> {
    status.split_ascii_whitespace().find_map(|word| {
        let (required, active) = word.strip_prefix('[')?.strip_suffix(']')?.split_once('/')?;
        Some((required.parse().ok()?, active.parse().ok()?))
    })
}

/// The first number of `recovery =  8.5% (16775552/195310144) finish=17.0min`.
fn synced(line: &str) -> Option<u64> {
    line.split_once('(')?.1.split_once('/')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// State, required, active, failed, spare, blocks, synced.
    fn parsed(lines: &str) -> Vec<(&'static str, u64, u64, u64, u64, u64, u64)> {
        let text = format!("Personalities : [raid1] [raid6]\n{lines}\nunused devices: <none>\n");
        let arrays = parse(&text).unwrap();
        arrays.iter().map(|a| (a.state, a.required, a.active, a.failed, a.spare, a.blocks, a.synced)).collect()
    }

    #[test]
    fn the_lines_below_an_array_tell_its_disks_and_its_work() {
        let healthy = "md127 : active raid1 sdi2[0] sdj2[1]\n      312319552 blocks [2/2] [UU]\n";
        assert_eq!(parsed(healthy), [("active", 2, 2, 0, 0, 312_319_552, 312_319_552)]);
        let recovering = "md8 : active raid1 sdb1[1] sda1[0] sdc[2](S) sde[3](F)\n      195310144 blocks [2/1] [U_]\n      \
            [=>...]  recovery =  8.5% (16775552/195310144) finish=17.0min speed=259783K/sec\n";
        assert_eq!(parsed(recovering), [("recovering", 2, 1, 1, 1, 195_310_144, 16_775_552)]);
        let bitmap = "md3 : active (auto-read-only) raid6 sda1[0] sdb1[1]\n      5 blocks super 1.2 level 6 [8/8] [UUUUUUUU]\n      \
            bitmap: 0/30 pages [0KB], 65536KB chunk\n      \tresync=PENDING\n";
        assert_eq!(parsed(bitmap), [("resync", 8, 8, 0, 0, 5, 0)]);
        let check = "md0 : active raid1 a[0] b[1]\n   9 blocks [2/2] [UU]\n   [=>] check = 1.0% (3/9) finish=1min speed=1K/sec\n";
        assert_eq!(parsed(check), [("check", 2, 2, 0, 0, 9, 3)]);
    }

    #[test]
    fn arrays_without_redundancy_and_inactive_ones_have_no_count() {
        let text = "md120 : active linear sda1[1] sdb1[0]\n      2095104 blocks super 1.2 0k rounding\n\n\
            md219 : inactive sdb[2](S) sdc[1](S) sda[0](S)\n      7932 blocks super external:imsm\n";
        assert_eq!(parsed(text), [("active", 2, 2, 0, 0, 2_095_104, 2_095_104), ("inactive", 0, 0, 0, 3, 7932, 7932)]);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for text in ["md0 : active raid1 a[0]\n", "md0 : active raid1 a[0]\n   many blocks [1/1] [U]\n"] {
            assert_eq!(parse(text).unwrap_err(), "the array md0 is not as documented");
        }
    }
}
