//! Where the database lies. A write-ahead log needs memory that all its users share and locks that hold, and file
//! systems over a network have neither reliably; they are warned about, not refused, because some of them do.

use std::path::Path;

use tracing::warn;

/// Types of file systems that lie on another machine, as Linux names them.
const REMOTE: &[&str] = &[
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "ceph",
    "glusterfs",
    "fuse.sshfs",
    "afs",
    "lustre",
];

/// Warns when the database lies on another machine; where that cannot be found out, says nothing.
pub fn warn_if_remote(database: &Path) {
    let Ok(mounts) = std::fs::read_to_string("/proc/self/mountinfo") else {
        return;
    };
    if let Some(kind) = kind_of(&mounts, database).filter(|kind| REMOTE.contains(kind)) {
        let path = database.display();
        warn!(%path, kind, "the database lies on a network file system, where SQLite can lose or damage it");
    }
}

/// Type of the file system that is mounted nearest above the path. A line reads
/// `36 35 98:0 /root /mount/point options - type source options`.
fn kind_of<'a>(mounts: &'a str, database: &Path) -> Option<&'a str> {
    let mounted = mounts.lines().filter_map(|line| {
        let point = line.split(' ').nth(4)?.replace("\\040", " ");
        let kind = line.split(" - ").nth(1)?.split(' ').next()?;
        database.starts_with(&point).then_some((point.len(), kind))
    });
    // Of two mounts at the same point the later one hides the other.
    mounted.max_by_key(|(length, _)| *length).map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
40 22 0:35 / /srv/shared\\040data rw,relatime shared:2 master:3 - nfs4 host:/export rw,vers=4.2
41 22 0:36 / /srv rw - xfs /dev/sdb rw
42 22 0:37 / /srv rw - cifs //host/share rw
";

    #[test]
    fn the_nearest_and_latest_mount_decides() {
        let kind = |path: &str| kind_of(MOUNTS, Path::new(path));
        assert_eq!(kind("/var/lib/quintet.db"), Some("ext4"));
        assert_eq!(kind("/srv/shared data/quintet.db"), Some("nfs4"));
        assert_eq!(kind("/srv/other/quintet.db"), Some("cifs"));
        assert_eq!(kind("/srvother/quintet.db"), Some("ext4"));
        assert_eq!(kind_of("nonsense\n", Path::new("/quintet.db")), None);
    }
}
