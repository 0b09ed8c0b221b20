//! Folders and archives of them, which look alike.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
};

use super::*;

const WHOLE: Whole = Whole {
    name: "SKILL.md",
    most: 16,
};

/// Both kinds of tree of what a script makes in a folder `root/all`.
fn both(script: &str, check: impl Fn(&Tree)) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    let all = root.join("all");
    fs::create_dir_all(&all).unwrap();
    crate::testing::sh(&all, script);
    check(&Tree::of_folder(&root, WHOLE).unwrap());
    let mut archive = tar::Builder::new(Vec::new());
    archive.follow_symlinks(false);
    archive.append_dir_all("all", &all).unwrap();
    let archive = archive.into_inner().unwrap();
    check(&Tree::of_archives(&root, WHOLE, [(PathBuf::from("all"), archive.as_slice())]).unwrap());
}

#[test]
fn a_folder_and_an_archive_of_it_hold_the_same() {
    let script =
        "mkdir -p a/b; printf text > a/b/SKILL.md; printf 'rather more text' > a/x; printf 'more than sixteen' > a/SKILL.md; chmod 755 a/x";
    both(script, |tree| {
        assert_eq!(tree.names(Path::new("all/a"), 9).unwrap(), ["SKILL.md", "b", "x"]);
        assert_eq!(tree.names(Path::new("all/a"), 1).unwrap().len(), 2);
        let file = |executable, size| Entry::File { executable, size };
        assert_eq!(tree.follow(Path::new("all/a/x")).unwrap().1, file(true, 16));
        assert_eq!(tree.follow(Path::new("all/a/b")).unwrap().1, Entry::Folder);
        assert_eq!(tree.follow(Path::new("all/a/x/y")).unwrap().1, Entry::Missing);
        assert_eq!(tree.follow(Path::new("all/no")).unwrap().1, Entry::Missing);
        let content = tree.content(Path::new("all/a/b/SKILL.md")).unwrap();
        assert_eq!(content.whole.as_deref(), Some(b"text".as_slice()));
        assert_eq!(
            hex::encode(content.digest),
            "982d9e3eb996f559e633f4d194def3761d909f5a3b647d1a851fead67c32c9d1"
        );
        assert_eq!(tree.content(Path::new("all/a/SKILL.md")).unwrap().whole, None, "too long");
        assert_eq!(tree.content(Path::new("all/a/x")).unwrap().whole, None, "another name");
    });
}

#[test]
fn links_are_followed_inside_the_root_and_no_further() {
    let script = "mkdir -p real/deep; printf 1 > real/deep/x; ln -s real one; ln -s ../one/deep real/two; ln -s \"$PWD/real\" full
        ln -s ../../../etc/passwd out; ln -s /etc/passwd away; ln -s round round; ln -s nowhere lost; mkfifo pipe; ln -s real/deep/../../../.. up";
    both(script, |tree| {
        for path in ["all/one/two/x", "all/full/deep/x"] {
            let (at, found) = tree.follow(Path::new(path)).unwrap();
            assert_eq!((at.as_path(), found != Entry::Missing), (Path::new("all/real/deep/x"), true));
            assert!(tree.content(&at).is_ok());
        }
        for path in ["all/out", "all/away", "all/up", "../x", "all/one/../../.."] {
            assert!(matches!(tree.follow(Path::new(path)), Err(Error::Leaves { .. })), "{path}");
        }
        assert!(matches!(tree.follow(Path::new("all/round")), Err(Error::Circle(_))));
        assert_eq!(tree.follow(Path::new("all/lost")).unwrap().1, Entry::Missing);
    });
}

#[test]
fn what_is_no_file_is_never_opened() {
    let dir = tempfile::tempdir().unwrap();
    crate::testing::sh(dir.path(), "mkfifo pipe; printf 1 > x");
    symlink("x", dir.path().join("link")).unwrap();
    let tree = Tree::of_folder(dir.path(), WHOLE).unwrap();
    assert_eq!(tree.follow(Path::new("pipe")).unwrap().1, Entry::Special);
    // As when they were put there after the look.
    assert!(tree.content(Path::new("pipe")).is_err() && tree.content(Path::new("link")).is_err());
    assert!(tree.open(Path::new("link")).is_err() && tree.open(Path::new("x")).is_ok());
}

#[test]
fn a_root_that_is_not_there_is_empty_and_one_that_is_shut_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let none = Tree::of_folder(&dir.path().join("none"), WHOLE).unwrap();
    assert_eq!(none.follow(Path::new("x")).unwrap().1, Entry::Missing);
    assert!(none.names(Path::new(""), 1).unwrap().is_empty());
    fs::write(dir.path().join("file"), "").unwrap();
    assert!(Tree::of_folder(&dir.path().join("file"), WHOLE).is_err());
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn an_archive_that_leads_elsewhere_or_is_cut_off_puts_nothing_there() {
    let archive = |path: &str| {
        let mut header = tar::Header::new_old();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_size(1);
        header.set_mode(0o644);
        header.set_entry_type(tar::EntryType::Regular);
        header.set_cksum();
        let mut archive = tar::Builder::new(Vec::new());
        archive.append(&header, b"x".as_slice()).unwrap();
        archive.into_inner().unwrap()
    };
    let tree = |bytes: &[u8]| Tree::of_archives(Path::new("/root"), WHOLE, [(PathBuf::from("all"), bytes)]);
    let names = |path: &str| tree(&archive(path)).unwrap().names(Path::new("all"), 9).unwrap();
    assert_eq!(names("all/a"), ["a"]);
    assert!(names("all/../a").is_empty());
    assert!(tree(&archive("all/a")[..700]).is_err(), "cut off");
    assert!(tree(&[7; 600]).is_err());
}
