//! The files that a command reads and writes: no output takes the place of what it is made of, and a report takes the
//! place of an older one only when it is whole.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// What a command does with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// It reads it.
    Read,
    /// It writes it, and what was in it is gone.
    Write,
}

/// A file that was named on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named<'a> {
    /// By which option or argument, as it is typed.
    pub by: &'static str,
    /// The file.
    pub path: &'a Path,
    /// What for.
    pub used: Use,
}

impl<'a> Named<'a> {
    /// A file that is read.
    pub const fn read(by: &'static str, path: &'a Path) -> Self {
        Self {
            by,
            path,
            used: Use::Read,
        }
    }

    /// A file that is written.
    pub const fn write(by: &'static str, path: &'a Path) -> Self {
        Self {
            by,
            path,
            used: Use::Write,
        }
    }
}

/// Two names for one file, of which one is written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{first} and {second} name the same file {}: give one of them another", path.display())]
pub struct SameFile {
    /// How the file was named first.
    pub first: &'static str,
    /// How it was named again.
    pub second: &'static str,
    /// The name that was given again.
    pub path: PathBuf,
}

/// Makes sure that no file is written that is read or written under another name: through links, by another spelling, and
/// as the log that lies beside a recording.
///
/// # Errors
/// Names the first two that are one.
pub fn distinct(named: &[Named<'_>]) -> Result<(), SameFile> {
    for (at, later) in named.iter().enumerate() {
        for earlier in named.get(..at).unwrap_or_default() {
            let written = earlier.used == Use::Write || later.used == Use::Write;
            if written && overlap(earlier, later) {
                return Err(SameFile {
                    first: earlier.by,
                    second: later.by,
                    path: later.path.to_path_buf(),
                });
            }
        }
    }
    Ok(())
}

/// What SQLite keeps beside a recording.
const BESIDE: [&str; 4] = ["", "-wal", "-shm", "-journal"];

fn overlap(one: &Named<'_>, other: &Named<'_>) -> bool {
    let all = |of: &Named<'_>| -> Vec<Identity> {
        let endings: &[&str] = if matches!(of.by, "RECORDING" | "--record") {
            &BESIDE
        } else {
            &[""]
        };
        let beside = |ending: &&str| {
            let mut name = of.path.as_os_str().to_os_string();
            name.push(ending);
            Identity::of(Path::new(&name))
        };
        endings.iter().filter_map(beside).collect()
    };
    let others = all(other);
    all(one).iter().any(|identity| others.contains(identity))
}

/// What makes two names one file.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Identity {
    /// A file that is there: its device and inode.
    There(u64, u64),
    /// One that is not: its folder's device and inode, and its name in it.
    ToCome(u64, u64, OsString),
}

impl Identity {
    /// `None` for what keeps nothing, such as a terminal or `/dev/null`, and for what cannot be looked at.
    fn of(path: &Path) -> Option<Self> {
        let mut path = path.to_path_buf();
        // As many links as Linux follows (path_resolution(7)).
        for _ in 0..40 {
            if let Ok(found) = fs::metadata(&path) {
                return found.is_file().then(|| Self::There(found.dev(), found.ino()));
            }
            let folder = match path.parent() {
                Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
                Some(_) | None => PathBuf::from("."),
            };
            if let Ok(target) = fs::read_link(&path) {
                // A link to what is not there yet: writing makes it there.
                path = folder.join(target);
            } else {
                let found = fs::metadata(folder).ok()?;
                let name = path.file_name()?.to_os_string();
                return Some(Self::ToCome(found.dev(), found.ino(), name));
            }
        }
        None
    }
}

/// Finds out whether a file can be written, and leaves everything as it was.
///
/// # Errors
/// When it cannot.
pub fn writable(path: &Path) -> io::Result<()> {
    if fs::metadata(path).is_ok() {
        return OpenOptions::new().append(true).open(path).map(drop);
    }
    OpenOptions::new().create(true).append(true).open(path)?;
    // Through a link the file is there under another name, and stays, empty.
    if fs::symlink_metadata(path).is_ok_and(|made| made.is_file() && made.len() == 0) {
        fs::remove_file(path)?;
    }
    Ok(())
}

/// Writes a file as a whole: whoever reads meanwhile, and whoever finds a full disk, has the old one. What keeps nothing,
/// such as a pipe, is written to.
///
/// # Errors
/// When it cannot be written; then the old one is as it was.
pub fn replace(path: &Path, text: &str) -> io::Result<()> {
    // Through links: it is what they lead to that is replaced.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let old = fs::metadata(&target).ok();
    if old.as_ref().is_some_and(|old| !old.is_file() || old.nlink() > 1) {
        return fs::write(path, text);
    }
    let mut name = OsString::from(".");
    name.push(target.file_name().unwrap_or_default());
    name.push(format!(".{}.part", std::process::id()));
    let part = target.with_file_name(name);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    if let Some(old) = &old {
        options.mode(old.permissions().mode());
    }
    // A file may be writable in a folder that is not.
    let Ok(mut file) = options.open(&part) else {
        return fs::write(path, text);
    };
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| fs::rename(&part, &target));
    if written.is_err() {
        // What could not be written is of no use.
        drop(fs::remove_file(&part));
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn a_file_under_two_names_is_one() {
        let folder = place();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("run.sqlite"), "x").unwrap();
        std::os::unix::fs::symlink(at("run.sqlite"), at("link")).unwrap();
        std::os::unix::fs::symlink("link", at("link-to-link")).unwrap();
        fs::hard_link(at("run.sqlite"), at("hard")).unwrap();
        std::os::unix::fs::symlink(at("new.json"), at("dangling")).unwrap();
        fs::create_dir(at("sub")).unwrap();
        let (sub, run) = (at("sub/../run.sqlite"), at("run.sqlite"));
        for other in [
            at("link"),
            at("link-to-link"),
            at("hard"),
            sub,
            at("run.sqlite-wal"),
        ] {
            let named = [Named::read("RECORDING", &run), Named::write("--json", &other)];
            let same = distinct(&named).unwrap_err();
            assert_eq!(
                (same.first, same.second),
                ("RECORDING", "--json"),
                "{}",
                other.display()
            );
        }
        let (new, dangling) = (at("new.json"), at("dangling"));
        let named = [Named::write("--json", &new), Named::write("--html", &dangling)];
        assert!(distinct(&named).is_err());
        let (other, null) = (at("other.json"), PathBuf::from("/dev/null"));
        let apart = [
            Named::read("RECORDING", &run),
            Named::read("--agent-evidence", &run),
            Named::write("--json", &other),
            Named::write("--html", &null),
            Named::write("--markdown", &null),
        ];
        assert_eq!(distinct(&apart), Ok(()));
    }

    #[test]
    fn looking_whether_a_file_can_be_written_leaves_none() {
        let folder = place();
        let file = folder.path().join("report.json");
        writable(&file).unwrap();
        assert!(!file.exists());
        fs::write(&file, "old").unwrap();
        writable(&file).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "old");
        assert!(writable(&folder.path().join("no/such/folder")).is_err());
    }

    #[test]
    fn a_report_takes_the_place_of_an_old_one_with_its_mode_and_behind_its_link() {
        let folder = place();
        let (file, link) = (folder.path().join("report.json"), folder.path().join("link"));
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        replace(&link, "new").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        let names: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(names.len(), 2, "nothing else is left");
    }
}
