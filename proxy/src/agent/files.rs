//! What the agent leaves for Envoy in the file system. Each comes in place of what an earlier agent left, at once.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use tokio::net::UnixListener;

/// The longest path of a socket: `sun_path` of unix(7) without its end, and without [`NEXT`].
pub const SOCKET_PATH_LIMIT: usize = 107 - NEXT.len();
/// What a file's name ends with until it takes its place.
const NEXT: &str = ".new";

/// Listens at `path`, for this user alone.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    let next = fresh(path)?;
    let listener = UnixListener::bind(&next)?;
    fs::set_permissions(&next, fs::Permissions::from_mode(0o600))?;
    fs::rename(&next, path)?;
    Ok(listener)
}

/// Writes `text` to `path`.
pub fn replace(path: &Path, text: &str) -> io::Result<()> {
    let next = fresh(path)?;
    fs::write(&next, text)?;
    fs::rename(&next, path)
}

/// The name that a file has first, free of what a crash left there.
fn fresh(path: &Path) -> io::Result<PathBuf> {
    let mut next = path.as_os_str().to_owned();
    next.push(NEXT);
    match fs::remove_file(&next) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(next.into()),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixStream;

    use super::*;

    #[tokio::test]
    async fn a_socket_takes_the_place_of_one_that_was_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("xds.sock");
        drop(bind(&path).unwrap());
        fs::write(folder.path().join("xds.sock.new"), "of a crash").unwrap();
        let listener = bind(&path).unwrap();
        let (_, accepted) = tokio::join!(UnixStream::connect(&path), listener.accept());
        accepted.unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let long = folder.path().join("x".repeat(SOCKET_PATH_LIMIT));
        assert!(bind(&long).is_err());
    }
}
