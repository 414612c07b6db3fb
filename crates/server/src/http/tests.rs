use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use super::*;

/// Both ends of a connection whose server waits for 100 ms and takes 50 bytes.
fn connected() -> (TcpStream, Connection) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let client = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
    let (server, _) = listener.accept().expect("a client");
    let patience = Duration::from_millis(100);
    let bounds = Bounds { body: 50, patience, idle: patience, connections: 1 };
    (client, Connection::new(server, bounds).expect("a socket"))
}

fn read(sent: &[u8]) -> Result<(Head, Vec<u8>), Unread> {
    let (mut client, mut server) = connected();
    client.write_all(sent).expect("connected");
    let head = server.head()?;
    let body = server.body(&head)?;
    Ok((head, body))
}

fn status(sent: &[u8]) -> u16 {
    match read(sent) {
        Err(Unread::Bad(status, _)) => status,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_request_is_read_by_its_length_or_in_chunks() {
    let (head, body) = read(b"POST /v1/jobs?x=1 HTTP/1.1\r\nContent-Length: 2\r\nX: y \r\n\r\n{}").expect("whole");
    assert_eq!((head.method.as_str(), head.path.as_str(), head.header("x")), ("POST", "/v1/jobs", Some("y")));
    assert_eq!((body.as_slice(), head.keeps_alive), (&b"{}"[..], true));
    let chunks =
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3;x=y\r\ncde\r\n0\r\nA: b\r\n\r\n";
    assert_eq!(read(chunks).expect("whole").1, b"abcde");
    let old = read(b"GET / HTTP/1.0\r\n\r\n").expect("whole").0;
    assert!(
        !old.keeps_alive && !read(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").expect("whole").0.keeps_alive
    );
}

#[test]
fn two_requests_may_come_at_once() {
    let (mut client, mut server) = connected();
    let one = b"POST /a HTTP/1.1\r\ncontent-length: 1\r\n\r\nxGET /b HTTP/1.1\r\n\r\n";
    client.write_all(one).expect("connected");
    let first = server.head().expect("a head");
    assert_eq!(server.body(&first).expect("a body"), b"x");
    assert_eq!(server.head().expect("a head").path, "/b");
}

#[test]
fn what_is_no_request_is_named() {
    assert_eq!(status(b"hello\r\n\r\n"), 400);
    assert_eq!(status(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n"), 400, "TLS");
    assert_eq!(status(b"POST / HTTP/1.1\r\ncontent-length: 51\r\n\r\n"), 413);
    assert_eq!(status(b"POST / HTTP/1.1\r\ncontent-length: 99999999999999999999999\r\n\r\n"), 413);
    for length in ["-1", "1e3", "+1", "1, 1", ""] {
        assert_eq!(status(format!("POST / HTTP/1.1\r\ncontent-length: {length}\r\n\r\n").as_bytes()), 400);
    }
    let both = "POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(status(both.as_bytes()), 400);
    assert_eq!(status(b"POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxy"), 400);
    assert_eq!(status(b"POST / HTTP/1.1\r\ntransfer-encoding: gzip, chunked\r\n\r\n"), 501);
    assert_eq!(status(b"POST / HTTP/1.1\r\ncontent-length: 1\r\nexpect: 200-ok\r\n\r\nx"), 417);
    let chunked = |rest: &str| format!("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n{rest}");
    for (rest, expected) in
        [("33\r\n", 413), ("ffffffffffffffff\r\n", 413), ("x\r\n", 400), ("2\r\nabc\r\n", 400), ("-1\r\n", 400)]
    {
        assert_eq!(status(chunked(rest).as_bytes()), expected, "{rest}");
    }
    let long = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(LONGEST_HEAD));
    assert_eq!(status(long.as_bytes()), 431);
    let many = "x: y\r\n".repeat(MOST_HEADERS + 1);
    assert_eq!(status(format!("GET / HTTP/1.1\r\n{many}\r\n").as_bytes()), 431);
    let trailer = format!("0\r\n{}\r\n\r\n", "x: y\r\n".repeat(400));
    assert_eq!(status(chunked(&trailer).as_bytes()), 431);
}

#[test]
fn nobody_is_waited_for_longer_than_said() {
    for begun in ["GET / HT", "POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\nab"] {
        assert_eq!(status(begun.as_bytes()), 408, "{begun}");
    }
    // A byte now and then is no reason to go on waiting.
    let (mut client, mut server) = connected();
    client.write_all(b"POST / HTTP/1.1\r\ncontent-length: 50\r\n\r\n").expect("connected");
    let head = server.head().expect("a head");
    std::thread::scope(|scope| {
        let read = scope.spawn(|| server.body(&head));
        for _ in 0..20 {
            std::thread::sleep(Duration::from_millis(20));
            let _ = client.write_all(b"x");
        }
        assert!(matches!(read.join().expect("no panic"), Err(Unread::Bad(408, _))));
    });
    let (_client, mut server) = connected();
    assert!(matches!(server.head(), Err(Unread::Gone)), "nothing was begun");
}

#[test]
fn a_client_that_waits_to_be_asked_is_asked() {
    let (mut client, mut server) = connected();
    client.write_all(b"POST / HTTP/1.1\r\ncontent-length: 1\r\nexpect: 100-continue\r\n\r\n").expect("connected");
    let head = server.head().expect("a head");
    std::thread::scope(|scope| {
        let read = scope.spawn(|| server.body(&head));
        let mut said = [0; 25];
        client.read_exact(&mut said).expect("it answers");
        assert_eq!(&said, b"HTTP/1.1 100 Continue\r\n\r\n");
        client.write_all(b"x").expect("connected");
        assert_eq!(read.join().expect("no panic").expect("a body"), b"x");
    });
}

#[test]
fn who_has_gone_is_seen() {
    let (client, server) = connected();
    assert!(!server.is_gone());
    drop(client);
    std::thread::sleep(Duration::from_millis(20));
    assert!(server.is_gone());
}

#[test]
fn an_answer_is_framed() {
    let (mut client, mut server) = connected();
    client.write_all(b"HEAD / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n").expect("connected");
    let answer = Answer::text(429, "text/plain", "later").with("retry-after", "1");
    for expected in [true, true] {
        let head = server.head().expect("a head");
        assert_eq!(server.send(&answer, Some(&head)), expected);
    }
    assert!(!server.send(&answer.closing(), None));
    drop(server);
    let mut said = String::new();
    client.read_to_string(&mut said).expect("text");
    let lines = "HTTP/1.1 429 Too Many Requests\r\ncontent-type: text/plain\r\n";
    assert_eq!((said.matches(lines).count(), said.matches("\r\n\r\nlater").count()), (3, 2), "{said}");
    assert_eq!((said.matches("retry-after: 1\r\n").count(), said.matches("connection: close").count()), (3, 1));
}

#[test]
fn who_takes_nothing_in_is_given_up() {
    let (_client, mut server) = connected();
    let begin = Instant::now();
    let error = loop {
        if let Err(error) = server.write(&[0; 1 << 15]) {
            break error;
        }
    };
    assert!(matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(20));
}
