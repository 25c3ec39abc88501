//! The operating system's disk stays below its root and keeps the names that it makes.

pub(crate) mod hooked;

use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::{Access, Disk, OsDisk};

fn disk(root: &Path) -> OsDisk {
    let disk = OsDisk::new(root);
    disk.create_dir("").unwrap();
    disk
}

#[test]
fn nothing_outside_the_root_is_reached() {
    let home = tempfile::tempdir().unwrap();
    let (root, outside) = (home.path().join("store"), home.path().join("outside"));
    let disk = disk(&root);
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("file"), b"theirs").unwrap();
    symlink(&outside, root.join("link")).unwrap();
    symlink(outside.join("file"), root.join("file")).unwrap();
    let kind = |error: std::io::Error| error.kind();
    for path in ["../outside/file", "/etc/hostname", "link/file"] {
        let opened = disk.open(path, Access::Read).map(drop).map_err(kind);
        assert_eq!(opened, Err(ErrorKind::InvalidInput), "{path}");
        let created = disk.create(path).map(drop).map_err(kind);
        assert_eq!(created, Err(ErrorKind::InvalidInput), "{path}");
        let removed = disk.remove(path).map_err(kind);
        assert_eq!(removed, Err(ErrorKind::InvalidInput), "{path}");
    }
    assert!(
        disk.open("file", Access::Read).is_err(),
        "a link was followed"
    );
    for done in [
        disk.list("link").map(drop),
        disk.create_dir("link"),
        disk.create_dir("link/inner"),
        disk.sync_dir("link"),
        disk.rename("link/file", "mine"),
    ] {
        assert_eq!(done.map_err(kind), Err(ErrorKind::InvalidInput));
    }
    assert_eq!(std::fs::read(outside.join("file")).unwrap(), b"theirs");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
}

#[test]
fn a_root_is_made_with_its_parents_and_only_its_owner_enters() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().unwrap();
    let root = home.path().join("a/b/store");
    let disk = disk(&root);
    disk.create_dir("").unwrap();
    disk.create_dir("inner").unwrap();
    disk.create_dir("inner").unwrap();
    for made in [&root, &root.join("inner")] {
        let mode = std::fs::metadata(made).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{}", made.display());
    }
    // A root that is a link is the caller's choice, and is followed.
    let link = home.path().join("link");
    symlink(&root, &link).unwrap();
    let by_link = OsDisk::new(&link);
    by_link.create_dir("").unwrap();
    by_link.create("file").unwrap();
    assert_eq!(disk.list("").unwrap().len(), 2);
}

#[test]
fn a_file_with_a_second_name_is_read_and_not_written() {
    let home = tempfile::tempdir().unwrap();
    let disk = disk(home.path());
    disk.create("file").unwrap().write_at(0, b"x").unwrap();
    std::fs::hard_link(home.path().join("file"), home.path().join("backup")).unwrap();
    disk.open("file", Access::Read).unwrap();
    for refused in [disk.open("file", Access::ReadWrite), disk.lock("file")] {
        let error = refused.map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("second name"), "{error}");
    }
    disk.remove("backup").unwrap();
    disk.open("file", Access::ReadWrite).unwrap();
}

#[test]
fn a_lock_has_one_holder_and_a_file_one_creator() {
    let home = tempfile::tempdir().unwrap();
    let disk = disk(home.path());
    let held = disk.lock("lock").unwrap();
    assert_eq!(disk.lock("lock").unwrap_err().kind(), ErrorKind::WouldBlock);
    drop(held);
    disk.lock("lock").unwrap();
    disk.create("file").unwrap().write_at(3, b"x").unwrap();
    assert_eq!(
        disk.create("file").unwrap_err().kind(),
        ErrorKind::AlreadyExists
    );
    let file = disk.open("file", Access::Read).unwrap();
    let mut bytes = [7; 8];
    assert_eq!(file.read_at(0, &mut bytes).unwrap(), 4);
    assert_eq!(bytes, [0, 0, 0, b'x', 7, 7, 7, 7]);
    assert!(file.write_at(0, b"y").is_err(), "a reader wrote");
    disk.create_dir("dir").unwrap();
    assert_eq!(
        disk.open("dir", Access::Read).unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
}

#[test]
fn lengths_are_those_of_regular_files() {
    let home = tempfile::tempdir().unwrap();
    let disk = disk(home.path());
    disk.create_dir("dir").unwrap();
    disk.create_dir("dir/inner").unwrap();
    disk.create("dir/empty").unwrap();
    let file = disk.create("dir/file").unwrap();
    file.set_len(5_000_000_000).unwrap();
    symlink("file", home.path().join("dir/link")).unwrap();
    let names = ["file", "nothing", "empty", "link", "inner"].map(str::to_owned);
    let lens = disk.lens("dir", &names).unwrap();
    let lens: Vec<_> = lens.into_iter().map(Result::unwrap).collect();
    assert_eq!(lens, [Some(5_000_000_000), None, Some(0), None, None]);
    let error = |dir: &str| disk.lens(dir, &names).unwrap_err().kind();
    assert_eq!(error("absent"), ErrorKind::NotFound);
    symlink("dir", home.path().join("other")).unwrap();
    assert_eq!(error("other"), ErrorKind::InvalidInput);
}
