//! Downloads: a file appears only when it is whole.

use std::fs;

use moorline::exit::Exit;

use crate::{fake::Fake, moorline, samples::ARTIFACT};

#[tokio::test]
async fn a_download_is_written_when_its_digest_is_right() {
    let server = Fake::default().start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("patch");
    fs::write(&file, "older").expect("a file");
    let seen = moorline(&server.url, &format!("run download {ARTIFACT} --out {}", file.display())).await;
    assert_eq!(seen.exit, Exit::Ok, "{}", seen.err);
    assert_eq!(fs::read_to_string(&file).expect("the file"), "hello");
    assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 1);
}

#[tokio::test]
async fn a_damaged_download_leaves_nothing() {
    let server = Fake {
        content: Some(b"hellO"),
        ..Fake::default()
    }
    .start()
    .await;
    let folder = tempfile::tempdir().expect("a folder");
    let seen = moorline(
        &server.url,
        &format!("run download {ARTIFACT} --out {}", folder.path().join("patch").display()),
    )
    .await;
    assert_eq!(seen.exit, Exit::Fault);
    insta::assert_snapshot!(seen.err, @"error: the content of artifact 019a0000-0000-7000-8000-0000000000b1 does not match its digest: nothing was kept; try again, and if it stays so the artifact store is damaged");
    assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 0);
}

#[tokio::test]
async fn a_download_goes_to_standard_output_when_asked_to() {
    let server = Fake::default().start().await;
    let seen = moorline(&server.url, &format!("run download {ARTIFACT} --out -")).await;
    assert_eq!((seen.out.as_str(), seen.err.as_str()), ("hello", ""));
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_named() {
    let server = Fake::default().start().await;
    let seen = moorline(&server.url, &format!("run download {ARTIFACT} --out /nowhere/at/all")).await;
    assert_eq!(seen.exit, Exit::Fault);
    insta::assert_snapshot!(seen.err, @"error: can't write a file in /nowhere/at: entity not found");
}
