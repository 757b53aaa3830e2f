//! The table of mounts (`mountinfo`, proc_pid_mountinfo(5)).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// One mount, as the host sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    /// The kernel's number of this mount: another one once it was mounted anew.
    pub(super) id: String,
    pub(super) major: String,
    pub(super) minor: String,
    /// Where it is mounted, without the prefix of our own view of the root.
    pub(super) point: PathBuf,
    /// What is mounted, as the table spells it: node_exporter leaves a blank there as `\040`.
    pub(super) device: String,
    pub(super) kind: String,
    pub(super) read_only: bool,
}

/// All mounts of a table. A line that is none is passed over.
pub(super) fn parse(table: &[u8], rootfs: &Path) -> Vec<Mount> {
    table.split(|byte| *byte == b'\n').filter_map(|line| parse_line(line, rootfs)).collect()
}

/// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`
fn parse_line(line: &[u8], rootfs: &Path) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let id = fields.next().filter(|id| !id.is_empty())?;
    let _parent = fields.next()?;
    let device = text(fields.next()?);
    let (major, minor) = device.split_once(':')?;
    let _root = fields.next()?;
    let point = unescape(fields.next()?);
    let options = fields.next()?;
    // Any number of optional fields, ended by a hyphen.
    fields.find(|field| *field == b"-")?;
    let kind = fields.next()?;
    let source = fields.next()?;
    let of_all = fields.next().unwrap_or_default();
    let read_only = |options: &[u8]| options.split(|byte| *byte == b',').any(|option| option == b"ro");
    Some(Mount {
        id: text(id),
        major: major.to_owned(),
        minor: minor.to_owned(),
        point: below(Path::new(OsStr::from_bytes(&point)), rootfs),
        device: text(source),
        kind: text(kind),
        read_only: read_only(options) || read_only(of_all),
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The path as the host sees it, where we see its root as `rootfs`.
fn below(path: &Path, rootfs: &Path) -> PathBuf {
    match path.strip_prefix(rootfs) {
        Ok(rest) => Path::new("/").join(rest),
        Err(_) => path.to_owned(),
    }
}

/// The kernel writes blank, tab, newline, backslash and `#` as a backslash and three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        let octal = tail.get(..3).filter(|digits| *first == b'\\' && digits.iter().all(|d| (b'0'..=b'7').contains(d)));
        if let Some(digits) = octal {
            plain.push(digits.iter().fold(0_u8, |byte, digit| byte.wrapping_mul(8).wrapping_add(digit - b'0')));
            rest = tail.get(3..).unwrap_or_default();
        } else {
            plain.push(*first);
            rest = tail;
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &str, rootfs: &str) -> Option<Mount> {
        parse_line(line.as_bytes(), Path::new(rootfs))
    }

    #[test]
    fn a_line_has_any_number_of_optional_fields() {
        for optional in ["", "shared:1 ", "shared:1 master:2 propagate_from:3 "] {
            let mount =
                one(&format!("36 35 98:0 /a /mnt2 rw,noatime {optional}- ext3 /dev/root rw,errors=continue"), "/");
            let mount = mount.unwrap();
            assert_eq!((mount.id.as_str(), mount.major.as_str(), mount.minor.as_str()), ("36", "98", "0"));
            assert_eq!((mount.point, mount.read_only), (PathBuf::from("/mnt2"), false));
            assert_eq!((mount.kind.as_str(), mount.device.as_str()), ("ext3", "/dev/root"));
        }
    }

    #[test]
    fn read_only_is_an_option_of_the_mount_or_of_its_superblock() {
        assert!(one("1 2 0:1 / /a ro,nosuid - ext4 d rw", "/").unwrap().read_only);
        assert!(one("1 2 0:1 / /a rw - ext4 d rw,ro", "/").unwrap().read_only);
        assert!(!one("1 2 0:1 / /a rw,errors=remount-ro - ext4 d rw", "/").unwrap().read_only);
    }

    #[test]
    fn escapes_are_undone_in_the_mount_point() {
        let mount = one(r"1 2 0:1 / /a\040b\011c\012d\134e\043f\04 rw - cifs //s/my\040share rw", "/").unwrap();
        assert_eq!(mount.point, PathBuf::from("/a b\tc\nd\\e#f\\04"));
        assert_eq!(mount.device, r"//s/my\040share");
    }

    #[test]
    fn the_prefix_of_the_root_is_taken_off_by_whole_names() {
        let point = |point| one(&format!("1 2 0:1 / {point} rw - ext4 d rw"), "/host").unwrap().point;
        assert_eq!(point("/host"), PathBuf::from("/"));
        assert_eq!(point("/host/data"), PathBuf::from("/data"));
        assert_eq!(point("/hostile"), PathBuf::from("/hostile"));
    }

    #[test]
    fn lines_that_are_none_are_passed_over() {
        let table = b"\n1 2 0:1 / /a rw - ext4 d rw\n1 2 01 / /a rw - ext4 d rw\n1 2 0:1 / /a rw ext4 d rw\nx\n1 2 0:1 / /\xff rw - t \n";
        let points: Vec<_> = parse(table, Path::new("/")).into_iter().map(|mount| mount.point).collect();
        assert_eq!(points, [Path::new("/a"), Path::new(OsStr::from_bytes(b"/\xff"))]);
    }
}
