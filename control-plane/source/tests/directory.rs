//! Real directories, changed in all the ways in which people and programs change them.

// Helpers of tests are tests.
#![allow(clippy::unwrap_used)]

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::Duration,
};

use byrnie_model::{ServiceName, Update, World};
use byrnie_source::{Batch, Directory, Severity};
use tempfile::TempDir;

/// Longer than any change takes to be seen on a busy machine.
const LONG: Duration = Duration::from_secs(20);

/// A directory, and the world that its batches make.
struct Watched {
    directory: Directory,
    world: World,
    /// The Services that some batch took away.
    lost: Vec<ServiceName>,
    findings: Vec<String>,
}

impl Watched {
    fn open(path: &Path) -> Self {
        let (directory, batch) = Directory::open(path).unwrap();
        let mut watched = Self { directory, world: World::default(), lost: Vec::new(), findings: Vec::new() };
        watched.apply(batch);
        watched
    }

    fn apply(&mut self, batch: Batch) {
        for update in &batch.updates {
            if let Update::Service(name, None) = update {
                self.lost.push(name.clone());
            }
        }
        self.world = self.world.apply(batch.updates).0;
        self.findings = batch.findings.iter().map(ToString::to_string).collect();
    }

    /// Takes batches until something holds.
    async fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        while !holds(self) {
            let batch = tokio::time::timeout(LONG, self.directory.next()).await;
            self.apply(batch.unwrap_or_else(|_| panic!("nothing came, and still not: {what}; {:?}", self.findings)));
        }
    }

    async fn until_port(&mut self, service: &str, port: Option<u16>) {
        self.until(&format!("{service} has port {port:?}"), |watched| watched.port(service) == port).await;
    }

    fn port(&self, service: &str) -> Option<u16> {
        self.world.service(&ServiceName::new("shop", service)).map(|service| service.ports[0].number)
    }
}

fn service(name: &str, port: u16) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\n  namespace: shop\nspec:\n  ports:\n  - port: {port}\n"
    )
}

fn directory(files: &[(&str, String)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(directory.path().join(name), text).unwrap();
    }
    directory
}

#[tokio::test]
async fn all_names_formats_and_lists_are_read_at_the_start() {
    let list = r#"{"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "c", "namespace": "shop"},
         "spec": {"ports": [{"port": 3}]}}]}"#;
    let both = format!("{}---\n{}", service("a", 1), service("b", 2));
    let deep = "apiVersion: v1\nkind: ServiceList\nitems:\n- metadata: {name: d, namespace: shop}\n  spec: {ports: [{port: 4}]}\n";
    let dir = directory(&[
        ("both.yaml", both),
        ("list.json", list.to_owned()),
        ("no.txt", service("e", 5)),
        (".f.yaml", service("f", 6)),
    ]);
    fs::create_dir_all(dir.path().join("x/y")).unwrap();
    fs::write(dir.path().join("x/y/deep.yml"), deep).unwrap();
    let watched = Watched::open(dir.path());
    let names: Vec<_> = watched.world.services().map(|service| service.name.name().to_owned()).collect();
    assert_eq!(names, ["a", "b", "c", "d"]);
    assert_eq!(watched.findings, [""; 0]);
}

#[tokio::test]
async fn a_file_written_in_place_is_live() {
    let dir = directory(&[("a.yaml", service("a", 1)), ("b.yaml", service("b", 1))]);
    let mut watched = Watched::open(dir.path());
    for port in [2, 3, 4] {
        fs::write(dir.path().join("a.yaml"), service("a", port)).unwrap();
        watched.until_port("a", Some(port)).await;
    }
    fs::write(dir.path().join("new.yaml"), service("new", 9)).unwrap();
    watched.until_port("new", Some(9)).await;
    assert_eq!(watched.lost, []);
}

#[tokio::test]
async fn a_file_whose_writer_keeps_it_open_is_live_when_it_rests() {
    let dir = directory(&[("a.yaml", service("a", 1))]);
    let mut watched = Watched::open(dir.path());
    let mut file = File::create(dir.path().join("a.yaml")).unwrap();
    file.write_all(service("a", 2).as_bytes()).unwrap();
    file.flush().unwrap();
    watched.until_port("a", Some(2)).await;
    drop(file);
}

#[tokio::test]
async fn a_file_that_is_empty_while_it_is_written_takes_nothing_away() {
    let dir = directory(&[("a.yaml", service("a", 1)), ("b.yaml", service("b", 1))]);
    let mut watched = Watched::open(dir.path());
    let mut truncated = File::create(dir.path().join("a.yaml")).unwrap();
    // The other file rests after the first one did: when it is live the first one was looked at.
    let mut other = File::create(dir.path().join("b.yaml")).unwrap();
    other.write_all(service("b", 2).as_bytes()).unwrap();
    watched.until_port("b", Some(2)).await;
    assert_eq!(watched.port("a"), Some(1));
    truncated.write_all(service("a", 2).as_bytes()).unwrap();
    drop(truncated);
    watched.until_port("a", Some(2)).await;
    assert_eq!(watched.lost, []);
}

#[tokio::test]
async fn a_file_replaced_by_rename_is_live() {
    let dir = directory(&[("a.yaml", service("a", 1))]);
    let mut watched = Watched::open(dir.path());
    for port in [2, 3] {
        fs::write(dir.path().join(".a.tmp"), service("a", port)).unwrap();
        fs::rename(dir.path().join(".a.tmp"), dir.path().join("a.yaml")).unwrap();
        watched.until_port("a", Some(port)).await;
    }
    assert_eq!(watched.lost, []);
}

#[tokio::test]
async fn a_file_that_is_moved_away_and_written_anew_loses_nothing() {
    let dir = directory(&[("a.yaml", service("a", 1))]);
    let mut watched = Watched::open(dir.path());
    for port in [2, 3, 4] {
        fs::rename(dir.path().join("a.yaml"), dir.path().join("a.yaml~")).unwrap();
        fs::write(dir.path().join("a.yaml"), service("a", port)).unwrap();
        watched.until_port("a", Some(port)).await;
    }
    assert_eq!(watched.lost, []);
}

#[tokio::test]
async fn a_removed_file_takes_its_objects_away() {
    let dir = directory(&[("a.yaml", service("a", 1)), ("b.yaml", service("b", 1))]);
    let mut watched = Watched::open(dir.path());
    fs::remove_file(dir.path().join("a.yaml")).unwrap();
    watched.until_port("a", None).await;
    assert_eq!(watched.port("b"), Some(1));
}

#[tokio::test]
async fn subdirectories_come_change_and_go() {
    let dir = directory(&[("a.yaml", service("a", 1))]);
    let mut watched = Watched::open(dir.path());
    let deep = dir.path().join("x/y");
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("b.yaml"), service("b", 1)).unwrap();
    watched.until_port("b", Some(1)).await;
    fs::write(deep.join("b.yaml"), service("b", 2)).unwrap();
    watched.until_port("b", Some(2)).await;
    fs::write(deep.join("c.yaml"), service("c", 1)).unwrap();
    watched.until_port("c", Some(1)).await;
    fs::remove_dir_all(dir.path().join("x")).unwrap();
    watched.until("both are gone", |watched| watched.port("b").is_none() && watched.port("c").is_none()).await;
    assert_eq!(watched.port("a"), Some(1));
}

#[tokio::test]
async fn a_directory_that_is_a_link_follows_its_swap() {
    let dir = tempfile::tempdir().unwrap();
    let version = |name: &str, text: String| {
        fs::create_dir(dir.path().join(name)).unwrap();
        fs::write(dir.path().join(name).join("a.yaml"), text).unwrap();
    };
    version("v1", service("a", 1));
    version("v2", service("a", 2));
    version("v3", service("other", 3));
    let link = dir.path().join("live");
    symlink("v1", &link).unwrap();
    let mut watched = Watched::open(&link);
    let swap = |target: &str| {
        symlink(target, dir.path().join("next")).unwrap();
        fs::rename(dir.path().join("next"), &link).unwrap();
    };
    swap("v2");
    watched.until_port("a", Some(2)).await;
    fs::write(dir.path().join("v2/a.yaml"), service("a", 22)).unwrap();
    watched.until_port("a", Some(22)).await;
    assert_eq!(watched.lost, []);
    swap("v3");
    watched.until("v3 is live", |watched| watched.port("other") == Some(3) && watched.port("a").is_none()).await;
}

#[tokio::test]
async fn a_mounted_config_map_follows_its_swap() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let version = |name: &str, port: u16| {
        fs::create_dir(root.join(name)).unwrap();
        fs::write(root.join(name).join("a.yaml"), service("a", port)).unwrap();
        fs::write(root.join(name).join("b.yaml"), service("b", port)).unwrap();
        symlink(name, root.join("..data_tmp")).unwrap();
        fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
    };
    version("..2026_1", 1);
    symlink("..data/a.yaml", root.join("a.yaml")).unwrap();
    symlink("..data/b.yaml", root.join("b.yaml")).unwrap();
    let mut watched = Watched::open(root);
    assert_eq!((watched.port("a"), watched.port("b")), (Some(1), Some(1)));
    assert_eq!(watched.findings, [""; 0]);
    for (old, new, port) in [("..2026_1", "..2026_2", 2), ("..2026_2", "..2026_3", 3)] {
        version(new, port);
        fs::remove_dir_all(root.join(old)).unwrap();
        watched.until_port("a", Some(port)).await;
        assert_eq!(watched.port("b"), Some(port), "both files change at once");
    }
    assert_eq!(watched.lost, []);
}

#[tokio::test]
async fn links_to_directories_and_files_are_followed_once() {
    let dir = directory(&[("a.yaml", service("a", 1))]);
    let elsewhere = directory(&[("b.yaml", service("b", 1)), ("c.yaml", service("c", 1))]);
    symlink(dir.path(), dir.path().join("self")).unwrap();
    symlink("a.yaml", dir.path().join("z.yaml")).unwrap();
    symlink(elsewhere.path().join("b.yaml"), dir.path().join("b.yaml")).unwrap();
    let mut watched = Watched::open(dir.path());
    assert_eq!((watched.port("a"), watched.port("b"), watched.port("c")), (Some(1), Some(1), None));
    assert_eq!(watched.findings, [""; 0]);
    fs::write(elsewhere.path().join("b.yaml"), service("b", 2)).unwrap();
    watched.until_port("b", Some(2)).await;
    symlink(elsewhere.path(), dir.path().join("more")).unwrap();
    watched.until_port("c", Some(1)).await;
}

#[tokio::test]
async fn a_directory_that_goes_keeps_serving_and_is_found_when_it_returns() {
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("config");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("a.yaml"), service("a", 1)).unwrap();
    let mut watched = Watched::open(&root);
    fs::remove_dir_all(&root).unwrap();
    let told = format!("{}: cannot read the directory:", root.display());
    watched.until("it is told", |watched| watched.findings.iter().any(|finding| finding.starts_with(&told))).await;
    assert_eq!(watched.port("a"), Some(1));
    fs::create_dir(&root).unwrap();
    fs::write(root.join("a.yaml"), service("a", 2)).unwrap();
    watched.until_port("a", Some(2)).await;
    watched.until("nothing is told", |watched| watched.findings.is_empty()).await;
    // It is watched again.
    fs::write(root.join("a.yaml"), service("a", 3)).unwrap();
    watched.until_port("a", Some(3)).await;
}

#[tokio::test]
async fn what_is_broken_keeps_its_last_good_version() {
    let dir = directory(&[("a.yaml", format!("{}---\n{}", service("a", 1), service("b", 1)))]);
    let file = dir.path().join("a.yaml");
    let mut watched = Watched::open(dir.path());
    // One object is not valid: it keeps, the other changes.
    fs::write(&file, format!("{}---\n{}", service("a", 2), service("b", 2).replace("port: 2", "port: x"))).unwrap();
    watched.until_port("a", Some(2)).await;
    assert_eq!(watched.port("b"), Some(1));
    let place = file.display();
    let expected = format!(
        "{place}:17: Service/shop/b: spec.ports[0].port: invalid type: string \"x\", expected a whole number from 1 to 65535"
    );
    assert_eq!(watched.findings, [expected]);
    // A document that cannot be parsed may be any object.
    fs::write(&file, format!("{}---\nkind: [\n---\n", service("a", 3))).unwrap();
    watched.until_port("a", Some(3)).await;
    assert_eq!(watched.port("b"), Some(1));
    assert_eq!(watched.findings.len(), 1);
    // A file that is no text keeps all.
    fs::write(&file, b"kind: Service\nname: \xff\n").unwrap();
    let expected = format!("{place}:2:7: is no UTF-8 text from here");
    watched.until("the text is told", |watched| watched.findings == [expected.clone()]).await;
    assert_eq!((watched.port("a"), watched.port("b")), (Some(3), Some(1)));
    // And when all is well nothing is told.
    fs::write(&file, service("a", 4)).unwrap();
    watched.until_port("a", Some(4)).await;
    assert_eq!(watched.port("b"), None);
    assert_eq!(watched.findings, [""; 0]);
}

#[tokio::test]
async fn of_two_definitions_the_first_by_path_is_in_force() {
    let dir = directory(&[("b.yaml", service("a", 1)), ("c.yaml", service("a", 2))]);
    let mut watched = Watched::open(dir.path());
    assert_eq!(watched.port("a"), Some(1));
    let told = |watched: &str, first: &str| {
        let path = |name: &str| dir.path().join(name).display().to_string();
        vec![format!(
            "{}:1: Service/shop/a: is defined at {}:1 already: this one is ignored",
            path(watched),
            path(first)
        )]
    };
    assert_eq!(watched.findings, told("c.yaml", "b.yaml"));
    fs::remove_file(dir.path().join("b.yaml")).unwrap();
    watched.until_port("a", Some(2)).await;
    assert_eq!(watched.findings, [""; 0]);
    assert_eq!(watched.lost, []);
}

#[tokio::test]
async fn a_change_of_comments_changes_no_object() {
    let dir = directory(&[("a.yaml", service("a", 1))]);
    let mut watched = Watched::open(dir.path());
    fs::write(dir.path().join("a.yaml"), format!("{}# comment\n", service("a", 1))).unwrap();
    fs::write(dir.path().join("b.yaml"), service("b", 1)).unwrap();
    let mut updates = Vec::new();
    while watched.port("b").is_none() {
        let batch = tokio::time::timeout(LONG, watched.directory.next()).await.unwrap();
        updates.extend(batch.updates.clone());
        watched.apply(batch);
    }
    let about_a = |update: &Update| matches!(update, Update::Service(name, _) if name.name() == "a");
    assert!(!updates.iter().any(about_a), "{updates:?}");
}

#[tokio::test]
async fn a_cancelled_wait_loses_nothing() {
    let dir = directory(&[("a.yaml", service("a", 1))]);
    let mut watched = Watched::open(dir.path());
    fs::write(dir.path().join("a.yaml"), service("a", 2)).unwrap();
    for _ in 0..100 {
        tokio::select! {
            biased;
            () = tokio::task::yield_now() => {}
            batch = watched.directory.next() => watched.apply(batch),
        }
    }
    watched.until_port("a", Some(2)).await;
}

#[tokio::test]
async fn many_files_at_once_are_all_live() {
    let dir = directory(&[]);
    let mut watched = Watched::open(dir.path());
    for round in [1, 2] {
        for file in 0..500 {
            fs::write(dir.path().join(format!("{file}.yaml")), service(&format!("s{file}"), round)).unwrap();
        }
        watched
            .until("all are live", |watched| (0..500).all(|file| watched.port(&format!("s{file}")) == Some(round)))
            .await;
    }
    assert_eq!(watched.lost, []);
}

#[test]
fn a_directory_that_cannot_be_read_is_named() {
    let parent = tempfile::tempdir().unwrap();
    let missing = parent.path().join("none");
    let error = Directory::open(&missing).unwrap_err().to_string();
    assert_eq!(
        error,
        format!("cannot read the directory {}: No such file or directory (os error 2)", missing.display())
    );
    let file: PathBuf = parent.path().join("file");
    fs::write(&file, "").unwrap();
    let error = byrnie_source::read_once(&file).unwrap_err().to_string();
    assert_eq!(error, format!("cannot read the directory {}: not a directory", file.display()));
}

#[test]
fn reading_once_tells_the_same() {
    let dir =
        directory(&[("a.yaml", service("a", 1)), ("x.yaml", "apiVersion: apps/v1\nkind: Deployment\n".to_owned())]);
    let batch = byrnie_source::read_once(dir.path()).unwrap();
    assert_eq!(batch.updates.len(), 2, "a Service and its endpoints");
    let told: Vec<_> = batch.findings.iter().map(|finding| (finding.severity, finding.to_string())).collect();
    let place = dir.path().join("x.yaml").display().to_string();
    assert_eq!(
        told,
        [(Severity::Note, format!("{place}:1: apps/v1 Deployment is not read by Byrnie: 1 object skipped"))]
    );
}
