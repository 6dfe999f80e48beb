use super::*;

fn store(folder: &Path, node: &str) -> Store {
    Store::new(folder.to_owned(), node.to_owned())
}

/// A store with two resources in it.
fn filled(folder: &Path) -> Store {
    let store = store(folder, "shop/cart-1");
    let good = |kind, name: &str| {
        let body = crate::testing::body(kind, name, &[]);
        let resource = byrnie_config::Resource::read(kind, name, &body).unwrap();
        let body = Some(body.into_boxed_slice());
        let good = Good { version: crate::Version::from("7"), resource, references: Box::default(), body };
        (kind, Arc::from(name), Arc::new(good))
    };
    store.save(&[good(Kind::Cluster, "a"), good(Kind::Endpoints, "b")]).unwrap();
    store
}

#[test]
fn what_was_saved_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let kept = filled(folder.path()).load().unwrap();
    let names: Vec<_> = kept.iter().map(|kept| (kept.kind, &*kept.name, &*kept.version)).collect();
    assert_eq!(names, [(Kind::Cluster, "a", "7"), (Kind::Endpoints, "b", "7")]);
    assert_eq!(kept[1].body, crate::testing::body(Kind::Endpoints, "b", &[]));
    assert!(!folder.path().join(DRAFT).exists());
}

#[test]
fn a_first_start_finds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    assert!(store(&folder.path().join("none"), "shop/cart-1").load().unwrap().is_empty());
}

#[test]
fn the_file_of_another_node_or_of_another_format_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path());
    let error = store(folder.path(), "shop/cart-2").load().unwrap_err().to_string();
    assert!(error.contains("begins with \"byrnie-xds 1 shop/cart-1 "), "{error}");
    assert!(error.contains("`byrnie-xds 1 shop/cart-2 LENGTH CHECKSUM` is accepted"), "{error}");
    let path = folder.path().join(FILE);
    let mut bytes = fs::read(&path).unwrap();
    bytes[MAGIC.len() + 1] = b'2';
    fs::write(&path, bytes).unwrap();
    assert!(matches!(store(folder.path(), "shop/cart-1").load(), Err(LoadError::Foreign { .. })));
}

#[test]
fn a_damaged_file_is_told_from_a_whole_one_wherever_the_damage_is() {
    let folder = tempfile::tempdir().unwrap();
    let store = filled(folder.path());
    let path = folder.path().join(FILE);
    let whole = fs::read(&path).unwrap();
    for len in 0..whole.len() {
        fs::write(&path, &whole[..len]).unwrap();
        assert!(store.load().is_err(), "cut at {len}");
    }
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x20;
        fs::write(&path, bytes).unwrap();
        assert!(store.load().is_err(), "flipped at {at}");
    }
}

#[test]
fn a_draft_that_was_left_behind_is_replaced_with_a_file_of_the_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(DRAFT), "half").unwrap();
    fs::set_permissions(folder.path().join(DRAFT), fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(filled(folder.path()).load().unwrap().len(), 2);
    let mode = fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

proptest::proptest! {
    #[test]
    fn no_file_is_read_into_nonsense(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..60)) {
        let store = store(Path::new("/nowhere"), "shop/cart-1");
        let line = format!("{MAGIC} {FORMAT} shop/cart-1 {} {}\n", bytes.len(), checksum(&bytes));
        let whole = [line.as_bytes(), &bytes].concat();
        // Either is fine: what is parsed is read like anything that the control plane sends.
        let _ = store.parse(Path::new(FILE), &whole);
        proptest::prop_assert!(store.parse(Path::new(FILE), &bytes).is_err());
    }
}
