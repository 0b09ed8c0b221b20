//! The proxy breaks lines as it says, against an echo.

use std::{io::ErrorKind, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UnixListener},
    time::{Instant, timeout},
};

use super::*;

/// Nothing comes within this time: long for a loopback, short for a test.
const QUIET: Duration = Duration::from_millis(150);

/// A server that says what it hears, on each of its connections.
async fn echo() -> Target {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (mut from, mut to) = stream.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from, &mut to).await });
        }
    });
    address.into()
}

async fn dial(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(proxy.address()).await.unwrap()
}

async fn says(stream: &mut TcpStream, text: &str) -> String {
    stream.write_all(text.as_bytes()).await.unwrap();
    hears(stream, text.len()).await
}

async fn hears(stream: &mut TcpStream, length: usize) -> String {
    let mut heard = vec![0; length];
    timeout(Duration::from_secs(10), stream.read_exact(&mut heard))
        .await
        .unwrap()
        .unwrap();
    String::from_utf8(heard).unwrap()
}

async fn is_quiet(stream: &mut TcpStream) -> bool {
    timeout(QUIET, stream.read_u8()).await.is_err()
}

#[tokio::test]
async fn bytes_pass_and_so_does_the_end() {
    let proxy = Proxy::start(echo().await).await.unwrap();
    let mut stream = dial(&proxy).await;
    assert_eq!(says(&mut stream, "hello").await, "hello");
    stream.shutdown().await.unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    proxy.line(0).await.ended().await;
    let traffic = proxy.line(0).await.traffic();
    assert_eq!((traffic.of(Way::Up).passed, traffic.of(Way::Down).passed), (5, 5));
}

#[tokio::test]
async fn a_cut_is_a_reset_or_an_end_for_both() {
    for (cut, found) in [(Cut::Reset, Err(ErrorKind::ConnectionReset)), (Cut::End, Ok(0))] {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::start(server.local_addr().unwrap().into()).await.unwrap();
        let (mut client, (mut served, _)) = (dial(&proxy).await, server.accept().await.unwrap());
        assert!(proxy.line(0).await.is_open());
        proxy.cut(cut);
        for end in [&mut client, &mut served] {
            assert_eq!(end.read(&mut [0]).await.map_err(|error| error.kind()), found);
        }
    }
}

#[tokio::test]
async fn what_is_held_comes_later_and_whole() {
    let proxy = Proxy::start(echo().await).await.unwrap();
    let mut stream = dial(&proxy).await;
    proxy.change(|rules| rules.down.flow = Flow::Hold);
    stream.write_all(b"one two").await.unwrap();
    let line = proxy.line(0).await;
    assert!(line.until(|traffic| traffic.of(Way::Down).kept() == 7).await);
    assert!(is_quiet(&mut stream).await);
    proxy.change(|rules| rules.down.flow = Flow::Pass);
    assert_eq!(hears(&mut stream, 7).await, "one two");
}

#[tokio::test]
async fn on_a_half_open_line_nothing_arrives_and_nobody_is_told() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::start(server.local_addr().unwrap().into()).await.unwrap();
    let (mut client, (mut served, _)) = (dial(&proxy).await, server.accept().await.unwrap());
    proxy.change(|rules| rules.up.flow = Flow::Vanish);
    client.write_all(b"lost").await.unwrap();
    assert!(proxy.line(0).await.until(|traffic| traffic.of(Way::Up).vanished == 4).await);
    served.write_all(b"down").await.unwrap();
    assert_eq!(hears(&mut client, 4).await, "down", "one direction only");
    proxy.change(|rules| rules.flow(Flow::Vanish));
    client.set_zero_linger().unwrap();
    drop(client);
    assert!(is_quiet(&mut served).await, "a reset got through");
    assert!(proxy.line(0).await.is_open());
}

#[tokio::test]
async fn nothing_arrives_after_a_gap_whatever_the_rules_are_by_then_but_on_a_new_line() {
    let proxy = Proxy::start(echo().await).await.unwrap();
    let mut stream = dial(&proxy).await;
    assert_eq!(says(&mut stream, "before").await, "before");
    let line = proxy.line(0).await;
    for _ in 0..2 {
        proxy.change(|rules| rules.up.flow = Flow::Vanish);
        // With nothing said meanwhile there is no gap.
        proxy.change(|rules| rules.up.flow = Flow::Pass);
        assert_eq!(says(&mut stream, "whole").await, "whole");
    }
    proxy.change(|rules| rules.up.flow = Flow::Vanish);
    stream.write_all(b"lost").await.unwrap();
    assert!(line.until(|traffic| traffic.of(Way::Up).vanished == 4).await);
    proxy.change(|rules| rules.up.flow = Flow::Pass);
    stream.write_all(b"after").await.unwrap();
    assert!(is_quiet(&mut stream).await, "something came after the gap");
    assert!(line.until(|traffic| traffic.of(Way::Up).vanished == 9).await);
    assert_eq!(says(&mut dial(&proxy).await, "new").await, "new");
}

#[tokio::test]
async fn a_blocked_sender_feels_it() {
    let proxy = Proxy::start(echo().await).await.unwrap();
    proxy.change(|rules| rules.up.flow = Flow::Block);
    let mut stream = dial(&proxy).await;
    let chunk = vec![0; 1 << 20];
    let flood = async { while stream.write_all(&chunk).await.is_ok() {} };
    assert!(timeout(Duration::from_secs(1), flood).await.is_err());
    assert_eq!(proxy.line(0).await.traffic().of(Way::Up).taken, 0);
}

#[tokio::test]
async fn delays_and_rates_are_kept() {
    let proxy = Proxy::start(echo().await).await.unwrap();
    let mut stream = dial(&proxy).await;
    let took = async |stream: &mut TcpStream, bytes: usize| {
        let begun = Instant::now();
        says(stream, &"x".repeat(bytes)).await;
        begun.elapsed()
    };
    proxy.change(|rules| rules.down.delay = Duration::from_millis(200));
    assert!(took(&mut stream, 5).await >= Duration::from_millis(200));
    proxy.change(|rules| (rules.down.delay, rules.up.rate) = (Duration::ZERO, Some(10_000)));
    // Ten portions of 200 bytes, 20 ms apart.
    let slow = took(&mut stream, 2000).await;
    assert!(slow >= Duration::from_millis(150), "after {slow:?}");
}

#[tokio::test]
async fn a_line_that_is_idle_for_too_long_is_ended_and_one_that_is_not_lives() {
    let proxy = Proxy::start(echo().await).await.unwrap();
    proxy.change(|rules| rules.idle = Some(Duration::from_millis(400)));
    let (mut busy, mut idle) = (dial(&proxy).await, dial(&proxy).await);
    let begun = Instant::now();
    let mut ended = None;
    while ended.is_none() {
        assert_eq!(says(&mut busy, "ping").await, "ping");
        ended = timeout(Duration::from_millis(50), idle.read(&mut [0])).await.ok();
    }
    assert_eq!(ended.unwrap().unwrap(), 0);
    assert!(begun.elapsed() >= Duration::from_millis(390));
    assert_eq!(says(&mut busy, "still").await, "still");
}

#[tokio::test]
async fn rules_can_be_one_lines_own_and_new_lines_can_be_refused_or_sent_elsewhere() {
    let proxy = Proxy::start(echo().await).await.unwrap();
    let mut first = dial(&proxy).await;
    assert_eq!(says(&mut first, "a").await, "a");
    proxy.line(0).await.change(|rules| rules.down.flow = Flow::Hold);
    let mut second = dial(&proxy).await;
    assert_eq!(says(&mut second, "b").await, "b");
    first.write_all(b"held").await.unwrap();
    assert!(is_quiet(&mut first).await);

    proxy.change_new(|rules| rules.refuse = true);
    let mut refused = dial(&proxy).await;
    assert_eq!(refused.read(&mut [0]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(says(&mut second, "c").await, "c");
    assert_eq!((proxy.opened(), proxy.open().len()), (2, 2));

    proxy.change_new(|rules| rules.refuse = false);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    proxy.retarget(Target::Unix(path));
    let (mut elsewhere, accepted) = tokio::join!(dial(&proxy), listener.accept());
    accepted.unwrap().0.write_all(b"unix").await.unwrap();
    assert_eq!(hears(&mut elsewhere, 4).await, "unix");
    proxy.retarget(Target::Tcp("127.0.0.1:1".to_owned()));
    let mut nobody = dial(&proxy).await;
    assert_eq!(nobody.read(&mut [0]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}
