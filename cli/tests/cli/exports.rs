//! What `export --output` writes to, and what it leaves alone.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::*;

/// A store with a thread, and an empty folder to export into.
fn home() -> Home {
    let home = Home::new();
    home.import(&home.write("a.jsonl", rollout(THREAD).as_bytes()), 0);
    fs::create_dir(home.path("out")).unwrap();
    home
}

/// Names and bytes of the files in a folder, or of the file itself.
fn tree(path: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    if !path.is_dir() {
        return vec![(path.to_owned(), fs::read(path).unwrap())];
    }
    let entries = fs::read_dir(path).unwrap();
    let mut found: Vec<_> = entries
        .flat_map(|entry| tree(&entry.unwrap().path()))
        .collect();
    found.sort();
    found
}

#[track_caller]
fn export(home: &Home, output: &Path, exit: i32) {
    let out = home.run(&["export", THREAD, "-o", output.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(exit), "{output:?}: {said}");
}

#[track_caller]
fn assert_only(home: &Home, names: &[&str]) {
    let entries = fs::read_dir(home.path("out")).unwrap();
    let mut found: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
    found.sort();
    assert_eq!(found, names);
}

#[test]
fn a_file_is_replaced_and_keeps_its_permissions() {
    let home = home();
    let path = home.write("out/file", b"old");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let inode = fs::metadata(&path).unwrap().ino();
    fs::hard_link(&path, home.path("kept")).unwrap();
    export(&home, &path, 0);
    assert_eq!(fs::read(&path).unwrap(), rollout(THREAD).as_bytes());
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
    assert_ne!(fs::metadata(&path).unwrap().ino(), inode);
    assert_eq!(fs::read(home.path("kept")).unwrap(), b"old");
    export(&home, &home.path("out/new"), 0);
    export(&home, &home.path("out").join("l".repeat(255)), 0);
    assert_only(&home, &["file", &"l".repeat(255), "new"]);
}

#[test]
fn a_link_stays_and_what_it_names_is_replaced() {
    let home = home();
    home.write("file", b"old");
    symlink("../file", home.path("out/link")).unwrap();
    symlink("link", home.path("out/second")).unwrap();
    symlink("../missing", home.path("out/dangling")).unwrap();
    export(&home, &home.path("out/second"), 0);
    export(&home, &home.path("out/dangling"), 0);
    for name in ["file", "missing"] {
        let bytes = fs::read(home.path(name)).unwrap();
        assert_eq!(bytes, rollout(THREAD).as_bytes(), "{name}");
    }
    symlink("circle", home.path("out/circle")).unwrap();
    export(&home, &home.path("out/circle"), 1);
    for name in ["link", "second", "dangling", "circle"] {
        assert!(home.path("out").join(name).is_symlink(), "{name}");
    }
    assert_only(&home, &["circle", "dangling", "link", "second"]);
}

/// Makes a special file; says whether this user may.
fn make(program: &str, args: &[&str]) -> bool {
    let mut command = Command::new(program);
    let made = command.args(args).stderr(Stdio::null()).status();
    made.unwrap().success()
}

#[test]
fn pipes_and_devices_are_written_into() {
    let home = home();
    let pipe = home.path("out/pipe");
    assert!(make("mkfifo", &[pipe.to_str().unwrap()]));
    // Ends also when nobody writes.
    let mut reader = Command::new("timeout");
    reader.arg("20").arg("cat").arg(&pipe);
    let reader = reader.stdout(Stdio::piped()).spawn().unwrap();
    export(&home, &pipe, 0);
    let read = reader.wait_with_output().unwrap();
    assert_eq!(read.stdout, rollout(THREAD).as_bytes());
    // Only some users may make the null device.
    let device = home.path("out/device");
    if make("mknod", &[device.to_str().unwrap(), "c", "1", "3"]) {
        // A file system may refuse to open devices; then nothing was replaced either.
        home.run(&["export", THREAD, "-o", device.to_str().unwrap()]);
        assert!(!fs::metadata(&device).unwrap().is_file());
        fs::remove_file(device).unwrap();
    }
    assert_only(&home, &["pipe"]);
}

#[test]
fn the_name_of_standard_output_is_standard_output() {
    let home = home();
    let path = home.write("out/file", b"before\n");
    // Not by its name in /dev: a mistake would replace that for all.
    let standard_output = "/proc/self/fd/1";
    for name in [standard_output, path.to_str().unwrap()] {
        fs::write(&path, b"before\n").unwrap();
        let file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        let mut command = home.command(&["export", THREAD, "-o", name]);
        assert!(command.stdout(file).status().unwrap().success());
        let expect = format!("before\n{}", rollout(THREAD));
        assert_eq!(fs::read_to_string(&path).unwrap(), expect, "{name}");
    }
    let piped = home.run(&["export", THREAD, "-o", standard_output]);
    assert_eq!(piped.stdout, rollout(THREAD).as_bytes());
    assert_only(&home, &["file"]);
}

#[test]
fn nothing_of_a_store_is_written() {
    let home = home();
    symlink("../store/segments", home.path("out/folder")).unwrap();
    symlink("../store/index.redb", home.path("out/index")).unwrap();
    symlink("../store/new", home.path("out/dangling")).unwrap();
    symlink("store", home.path("other-name")).unwrap();
    let before = tree(&home.path("store"));
    let inside = before.iter().map(|(path, _)| path.clone());
    let mut paths: Vec<PathBuf> = inside.collect();
    for name in [
        "store/new",
        "store/segments/new",
        "store/segments/../new",
        "out/../store/index.redb",
        "out/folder/new",
        "out/folder/../new",
        "out/index",
        "out/dangling",
        "other-name/index.redb",
    ] {
        paths.push(home.path(name));
    }
    for path in paths {
        export(&home, &path, 2);
        let relative = path.strip_prefix(home.path("")).unwrap();
        for store in ["store", "other-name", "./out/../store"] {
            let mut command = home.command(&["export", THREAD, "--store", store, "-o"]);
            let out = command.arg(relative).current_dir(home.path("")).output();
            assert_eq!(out.unwrap().status.code(), Some(2), "{path:?} of {store}");
        }
    }
    // The name outside is replaced; the file inside has another name and stays as it is.
    let segments = fs::read_dir(home.path("store/segments")).unwrap();
    let segment = segments.into_iter().next().unwrap().unwrap().path();
    fs::hard_link(segment, home.path("out/hard")).unwrap();
    export(&home, &home.path("out/hard"), 0);
    assert_eq!(tree(&home.path("store")), before);
    assert_only(&home, &["dangling", "folder", "hard", "index"]);
}

#[test]
fn what_is_no_file_is_refused() {
    let home = home();
    let out = home.path("out");
    let socket = std::os::unix::net::UnixListener::bind(out.join("socket")).unwrap();
    for name in ["", "..", "socket", "new/"] {
        export(&home, &out.join(name), 2);
    }
    export(&home, &out.join("missing/file"), 1);
    assert_only(&home, &["socket"]);
    drop(socket);
}

#[test]
fn a_failed_export_leaves_the_old_file() {
    let home = home();
    let path = home.write("out/file", b"old");
    let missing = home.run(&["export", "nobody", "-o", path.to_str().unwrap()]);
    assert_eq!(missing.status.code(), Some(3));
    let lines: Vec<String> = (0..40).map(|_| message(&"x".repeat(200))).collect();
    let grown = format!("{}{}\n", rollout(THREAD), lines.join("\n"));
    home.import(&home.write("a.jsonl", grown.as_bytes()), 0);
    // No file may grow beyond a block of the shell's, which is at most 1 KiB.
    let limited = r#"trap "" XFSZ; ulimit -f 1; exec "$0" "$@""#;
    let mut command = Command::new("sh");
    command.args(["-c", limited, env!("CARGO_BIN_EXE_turnleaf"), "export"]);
    command.args([THREAD, "-o"]).arg(&path);
    let out = command.env("TURNLEAF_STORE", home.path("store")).output();
    let out = out.unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(said.contains("File too large"), "{said}");
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_only(&home, &["file"]);
}
