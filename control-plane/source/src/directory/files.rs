//! Which files and directories lie under the directory, seen through symbolic links.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    ffi::OsString,
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::{Component, Path, PathBuf},
};

use super::documents::Format;

/// Files larger than this are refused: no Kubernetes object may be larger than 1.5 MiB (etcd's limit of a request).
pub const LARGEST_FILE: u64 = 8 << 20;

/// As many as the kernel follows (`MAXSYMLINKS`).
const MOST_LINKS: usize = 40;

/// All there is under a directory at one moment.
#[derive(Debug, Default)]
pub struct Listing {
    /// By the path that the user sees. Of several that lead to one file only the first is here.
    pub files: BTreeMap<PathBuf, Found>,
    /// Directories that hold them, by real path.
    pub directories: HashMap<PathBuf, Folder>,
    /// Links whose change would make the listing another: real directory and name.
    pub hinges: HashSet<PathBuf>,
    /// Directories and links that cannot be read, with the reason.
    pub unreadable: Vec<(PathBuf, String)>,
}

/// A file to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Without links.
    pub real: PathBuf,
    /// What changes with its content.
    pub stamp: Stamp,
}

/// A directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// The path that the user sees.
    pub seen: PathBuf,
    /// What tells it from a later one of the same name.
    pub identity: Identity,
}

/// Device and inode.
pub type Identity = (u64, u64);

/// What changes when a file's content does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    identity: Identity,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// Lists what lies under `root`. An error is about `root` itself.
pub fn list(root: &Path) -> io::Result<Listing> {
    let mut listing = Listing::default();
    let real = fs::canonicalize(root)?;
    let metadata = fs::metadata(&real)?;
    if !metadata.is_dir() {
        return Err(io::Error::new(io::ErrorKind::NotADirectory, "not a directory"));
    }
    let mut open = VecDeque::from([(root.to_path_buf(), real, identity(&metadata))]);
    while let Some((seen, real, identity)) = open.pop_front() {
        if listing.directories.contains_key(&real) {
            continue;
        }
        listing.directories.insert(real.clone(), Folder { seen: seen.clone(), identity });
        match fs::read_dir(&real).and_then(|entries| entries.collect::<io::Result<Vec<_>>>()) {
            Ok(mut entries) => {
                // One order, so that of two links to one directory always the same is followed.
                entries.sort_by_key(fs::DirEntry::file_name);
                for entry in entries {
                    listing.take(&seen, &real, &entry.file_name(), &mut open);
                }
            }
            Err(error) if seen == root => return Err(error),
            Err(error) => listing.unreadable.push((seen, error.to_string())),
        }
    }
    let mut real = HashSet::new();
    listing.files.retain(|_, found| real.insert(found.real.clone()));
    Ok(listing)
}

/// The format of a file by its name; `None` where it is not read.
pub fn format(path: &Path) -> Option<Format> {
    match path.extension()?.to_str()? {
        "yaml" | "yml" => Some(Format::Yaml),
        "json" => Some(Format::Json),
        _ => None,
    }
}

/// Whether a name is hidden: editors' own files, and the versions of a mounted ConfigMap (`..data`), whose files are
/// seen through links beside them.
pub fn is_hidden(name: &OsString) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

/// What changes with the content of a file.
pub fn stamp(metadata: &Metadata) -> Stamp {
    Stamp {
        identity: identity(metadata),
        size: metadata.size(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    }
}

/// The links by which a path is found, as real directory and name, and the path's own name: when one of them changes,
/// the path leads elsewhere. Where the path leads nowhere, the last is the first name that is missing.
pub fn hinges(path: &Path) -> Vec<PathBuf> {
    let mut hinges = Vec::new();
    let mut here = PathBuf::from("/");
    let mut rest: VecDeque<OsString> = names(path);
    let mut links = 0;
    while let Some(name) = rest.pop_front() {
        if name == ".." {
            here.pop();
            continue;
        }
        let next = here.join(&name);
        let is_link = match fs::symlink_metadata(&next) {
            Ok(metadata) => metadata.is_symlink(),
            Err(_) => {
                hinges.push(next);
                return hinges;
            }
        };
        if is_link || rest.is_empty() {
            hinges.push(next.clone());
        }
        if !is_link {
            here = next;
            continue;
        }
        links += 1;
        let Ok(target) = fs::read_link(&next) else { return hinges };
        if links > MOST_LINKS {
            return hinges;
        }
        if target.is_absolute() {
            here = PathBuf::from("/");
        }
        let mut target = names(&target);
        target.append(&mut rest);
        rest = target;
    }
    hinges
}

fn names(path: &Path) -> VecDeque<OsString> {
    let name = |component: Component<'_>| match component {
        Component::Normal(_) | Component::ParentDir => Some(component.as_os_str().to_owned()),
        _ => None,
    };
    path.components().filter_map(name).collect()
}

/// What tells a directory from a later one of the same name.
pub fn identity_of(path: &Path) -> Option<Identity> {
    fs::metadata(path).ok().map(|metadata| identity(&metadata))
}

fn identity(metadata: &Metadata) -> Identity {
    (metadata.dev(), metadata.ino())
}

impl Listing {
    fn take(&mut self, seen: &Path, real: &Path, name: &OsString, open: &mut VecDeque<(PathBuf, PathBuf, Identity)>) {
        if is_hidden(name) {
            return;
        }
        let (seen, real) = (seen.join(name), real.join(name));
        let Ok(own) = fs::symlink_metadata(&real) else { return };
        if !own.is_symlink() {
            return self.take_real(seen, real, &own, open);
        }
        self.hinges.extend(hinges(&real));
        match fs::canonicalize(&real).and_then(|target| Ok((fs::metadata(&target)?, target))) {
            Ok((metadata, target)) => self.take_real(seen, target, &metadata, open),
            // A link that leads nowhere may have led to a file; one of another name never was of interest.
            Err(error) if format(&seen).is_some() => self.unreadable.push((seen, error.to_string())),
            Err(_) => {}
        }
    }

    fn take_real(
        &mut self,
        seen: PathBuf,
        real: PathBuf,
        metadata: &Metadata,
        open: &mut VecDeque<(PathBuf, PathBuf, Identity)>,
    ) {
        if metadata.is_dir() {
            open.push_back((seen, real, identity(metadata)));
        } else if metadata.is_file() && format(&seen).is_some() {
            self.files.insert(seen, Found { real, stamp: stamp(metadata) });
        }
    }
}
