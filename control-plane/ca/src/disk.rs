//! Files that survive a kill and a full disk: a reader sees the old bytes or the new ones, never a part.

use std::{
    ffi::OsString,
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// The mode of files that hold a key.
pub(crate) const SECRET: u32 = 0o600;
/// The mode of files that anyone may read.
pub(crate) const PUBLIC: u32 = 0o644;

/// Makes `dir` and its parents for the owner only; one that exists is left as it is.
pub(crate) fn make_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Makes the directory `dir` with `files` (name, mode, content) in it: all of them, or nothing at that name.
///
/// The caller holds the [`Lock`] of the parent, so what lies at the temporary name is left over from a killed process.
pub(crate) fn create_dir_with(dir: &Path, files: &[(&str, u32, &[u8])]) -> io::Result<()> {
    let staging = beside(dir);
    let attempt = || {
        if staging.try_exists()? {
            fs::remove_dir_all(&staging)?;
        }
        make_dir(&staging)?;
        for (name, mode, content) in files {
            write(&staging.join(name), *mode, content)?;
        }
        sync(&staging)?;
        fs::rename(&staging, dir)?;
        sync(parent(dir))
    };
    attempt().inspect_err(|_| {
        // What cannot be removed now is removed by the next attempt.
        let _ = fs::remove_dir_all(&staging);
    })
}

/// Replaces the file at `path` as a whole. The caller holds the [`Lock`].
pub(crate) fn replace(path: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
    let staging = beside(path);
    let attempt = || {
        if staging.try_exists()? {
            fs::remove_file(&staging)?;
        }
        write(&staging, mode, content)?;
        fs::rename(&staging, path)?;
        sync(parent(path))
    };
    attempt().inspect_err(|_| {
        let _ = fs::remove_file(&staging);
    })
}

/// One process at a time: an advisory lock on a file, released on drop, also by a kill.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits up to `patience` for the lock at `path`; `None` when another process still holds it then.
    pub(crate) fn take(path: &Path, patience: Duration) -> io::Result<Option<Self>> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(SECRET).open(path)?;
        let deadline = Instant::now() + patience;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(Self { _file: file })),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    thread::sleep(Duration::from_millis(20));
                }
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }
}

fn write(path: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Makes the names in `dir` last (fsync(2): that of a file does not cover its directory entry).
fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".new");
    name.into()
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
