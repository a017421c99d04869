//! `restic`, unchanged, as its makers deliver it: its client of S3 (minio-go) signs each upload piece by piece,
//! `STREAMING-AWS4-HMAC-SHA256-PAYLOAD`, which no signer of Python's or Node's does.

use crate::harness::setup::SECRET;
use crate::harness::upstream::{Got, Wire};
use crate::harness::{Gateway, Setup, Upstream};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

type Objects = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// As much of S3 as it asks for: one bucket, in memory.
fn bucket() -> (Objects, Upstream) {
    let objects = Objects::default();
    let kept = objects.clone();
    let upstream = Upstream::answering(move |got, wire| {
        let mut objects = kept.lock().unwrap();
        answer(got, &mut objects, wire);
    });
    (objects, upstream)
}

fn answer(got: &Got, objects: &mut BTreeMap<String, Vec<u8>>, wire: &mut Wire<'_>) {
    const XML: (&str, &str) = ("Content-Type", "application/xml");
    const NONE: &[u8] = b"<Error><Code>NoSuchKey</Code><Message>none</Message></Error>";
    let (path, query) = got.target().split_once('?').unwrap_or((got.target(), ""));
    let name = path.strip_prefix("/bucket/").unwrap_or_default().to_owned();
    let date = ("Last-Modified", "Fri, 15 Jan 2027 08:00:00 GMT");
    let tag = ("ETag", "\"0123456789abcdef0123456789abcdef\"");
    let method = got.line().split(' ').next().unwrap_or_default();
    match (method, objects.get(&name)) {
        ("GET", _) if query.contains("location") => {
            let text = b"<LocationConstraint>us-east-1</LocationConstraint>";
            wire.answer(200, &[XML], text);
        }
        ("GET", _) if name.is_empty() => {
            let prefix = query
                .split('&')
                .find_map(|pair| pair.strip_prefix("prefix="));
            let prefix = prefix.unwrap_or_default().replace("%2F", "/");
            let entry = |(name, bytes): (&String, &Vec<u8>)| {
                format!(
                    "<Contents><Key>{name}</Key><LastModified>2027-01-15T08:00:00.000Z</LastModified>\
                     <ETag>x</ETag><Size>{}</Size></Contents>",
                    bytes.len()
                )
            };
            let found = objects.iter().filter(|(name, _)| name.starts_with(&prefix));
            let list: String = found.map(entry).collect();
            let text = format!(
                "<ListBucketResult><Name>bucket</Name><IsTruncated>false</IsTruncated>{list}</ListBucketResult>"
            );
            wire.answer(200, &[XML], text.as_bytes());
        }
        ("HEAD", _) if name.is_empty() => wire.answer(200, &[], b""),
        ("HEAD", Some(bytes)) => {
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n{}: {}\r\n{}: {}\r\n\r\n",
                bytes.len(),
                date.0,
                date.1,
                tag.0,
                tag.1
            );
            wire.send(head.as_bytes());
        }
        ("GET", Some(bytes)) => {
            let range = got
                .field("range")
                .and_then(|range| range.strip_prefix("bytes="));
            let bounds = range.and_then(|range| range.split_once('-'));
            let part = bounds.map(|(from, to)| {
                let from: usize = from.parse().unwrap();
                let to = to.parse().map_or(bytes.len(), |to: usize| to + 1);
                &bytes[from..to.min(bytes.len())]
            });
            let status = if part.is_some() { 206 } else { 200 };
            wire.answer(status, &[date, tag], part.unwrap_or(bytes));
        }
        ("HEAD", None) => wire.answer(404, &[XML], b""),
        ("GET", None) => wire.answer(404, &[XML], NONE),
        ("PUT", _) => {
            objects.insert(name, got.body.clone());
            wire.answer(200, &[tag], b"");
        }
        ("DELETE", _) => {
            objects.remove(&name);
            wire.answer(204, &[], b"");
        }
        _ => wire.answer(501, &[], b""),
    }
}

fn start(upstream: &Upstream) -> Gateway {
    let setup = Setup::before(upstream).route("accept = [\"aws-sigv4\"]");
    setup.write_secret("mobile.key", SECRET);
    Gateway::start_now(setup)
}

fn restic(place: SocketAddr, folder: &Path, secret: &[u8], args: &[&str]) -> Output {
    let secret = std::str::from_utf8(secret).unwrap();
    Command::new("restic")
        .args(["--no-cache", "--quiet", "-o", "s3.region=us-east-1", "-r"])
        .arg(format!("s3:http://{place}/bucket"))
        .args(args)
        .env("AWS_ACCESS_KEY_ID", "mobile-2026")
        .env("AWS_SECRET_ACCESS_KEY", secret)
        .env("RESTIC_PASSWORD", "of the repository")
        .env("HOME", folder)
        .current_dir(folder)
        .output()
        .expect("restic is needed: run ./test, which installs it")
}

#[test]
fn a_backup_in_signed_pieces_arrives_whole_and_comes_back() {
    let (objects, upstream) = bucket();
    let gateway = start(&upstream);
    let folder = tempfile::tempdir().unwrap();
    // More than one piece of 64 KiB, and such as does not compress.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let noise = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    });
    let bytes: Vec<u8> = noise.take(300_000).collect();
    std::fs::write(folder.path().join("kept"), &bytes).unwrap();
    for args in [
        &["init"][..],
        &["backup", "kept"],
        &["check", "--read-data"],
        &["restore", "latest", "--target", "back"],
    ] {
        let ran = restic(gateway.address(), folder.path(), SECRET, args);
        let told = String::from_utf8_lossy(&ran.stderr);
        assert!(
            ran.status.success(),
            "{args:?}: {told}\n{:?}",
            gateway.log().first(1)
        );
    }
    let mut back = None;
    for entry in walk(&folder.path().join("back")) {
        if entry.ends_with("kept") {
            back = Some(std::fs::read(entry).unwrap());
        }
    }
    assert!(back.is_some_and(|back| back == bytes));
    // Each came in pieces, and went on without them.
    let puts: Vec<Got> = { upstream.heard().into_iter() }
        .filter(|got| got.line().starts_with("PUT"))
        .collect();
    assert!(puts.len() >= 4, "{}", puts.len());
    for put in &puts {
        assert_eq!(put.field("x-amz-decoded-content-length"), None);
        assert_eq!(put.field("content-encoding"), None);
        assert!(!String::from_utf8_lossy(&put.body).contains("chunk-signature"));
    }
    assert!(puts.iter().any(|put| put.body.len() > 200_000));
    let key = objects.lock().unwrap();
    let key = { key.iter() }.find(|(name, _)| name.starts_with("keys/"));
    let _: serde_json::Value = serde_json::from_slice(key.expect("a key was put").1).unwrap();
}

/// What the test above stands on: nothing else would tell that its uploads were signed so.
#[test]
fn it_signs_its_uploads_in_pieces() {
    let (_, upstream) = bucket();
    let folder = tempfile::tempdir().unwrap();
    // Straight to its storage, which takes the pieces for what they hold and so fails it in the end.
    restic(upstream.address(), folder.path(), SECRET, &["init"]);
    let put = { upstream.heard().into_iter() }.find(|got| got.line().starts_with("PUT"));
    let put = put.expect("it puts a key");
    let hash = put.field("x-amz-content-sha256");
    assert_eq!(hash, Some("STREAMING-AWS4-HMAC-SHA256-PAYLOAD"));
    assert!(String::from_utf8_lossy(&put.body).contains(";chunk-signature="));
}

#[test]
fn with_another_secret_it_puts_nothing() {
    let (objects, upstream) = bucket();
    let gateway = start(&upstream);
    let folder = tempfile::tempdir().unwrap();
    let ran = restic(gateway.address(), folder.path(), &[b'x'; 40], &["init"]);
    assert!(!ran.status.success());
    assert!(objects.lock().unwrap().is_empty());
    assert!(gateway.log().first(1)[0].contains("wrong-signature"));
}

fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(walk(&path));
        } else {
            found.push(path);
        }
    }
    found
}
