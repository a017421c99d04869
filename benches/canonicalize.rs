//! What do the signed bytes cost, by number of fields and by size of body?

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use portcullis::schemes::digest::{BodyCheck, BodyProof, Digests};
use portcullis::schemes::http_signature::base;
use portcullis::schemes::http_signature::read::Input;
use portcullis::schemes::{Received, Surroundings};
use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Duration;

const AROUND: Surroundings<'_> = Surroundings {
    tls: false,
    http2: false,
    has_body: false,
    public_url: None,
};

fn head(criterion: &mut Criterion) {
    let uri = Uri::from_static("/orders/1?page=2&sort=price");
    let fields = fields(8);
    criterion.bench_function("read a head of 8 fields", |bencher| {
        bencher.iter(|| Received::read(&Method::GET, black_box(&uri), black_box(&fields), AROUND));
    });
}

fn base(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("signature base");
    let uri = Uri::from_static("/orders/1?page=2&sort=price");
    for count in [0, 4, 16] {
        let fields = fields(count);
        let received = Received::read(&Method::GET, &uri, &fields, AROUND).expect("it is plain");
        let text = input(count);
        let mut out = Vec::with_capacity(4096);
        group.bench_with_input(
            BenchmarkId::new("4 parts and fields", count),
            &text,
            |bencher, text| {
                bencher.iter(|| {
                    out.clear();
                    let input = Input::read(black_box(text)).expect("it is plain");
                    base::write(&mut out, &received, &input).expect("all is there");
                    black_box(out.len())
                });
            },
        );
    }
    group.finish();
}

fn body(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("body digest");
    for size in [1 << 10, 64 << 10, 1 << 20] {
        let body = vec![b'x'; size];
        let mut fields = HeaderMap::new();
        let field = Digests::field_of(&body);
        fields.insert(
            "content-digest",
            HeaderValue::try_from(field).expect("a field"),
        );
        let digests = Digests::read(&fields).expect("it is plain");
        let proof = BodyProof::Digests(digests.expect("it is there"));
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_with_input(BenchmarkId::from_parameter(size), &body, |bencher, body| {
            bencher.iter(|| {
                let mut check = BodyCheck::new(&proof);
                // As it arrives.
                for part in body.chunks(16 << 10) {
                    check.update(part);
                }
                check.finish().expect("it is the body");
            });
        });
    }
    group.finish();
}

fn fields(count: usize) -> HeaderMap {
    let mut fields = HeaderMap::new();
    fields.insert("host", HeaderValue::from_static("api.example.com"));
    for at in 0..count {
        let name = HeaderName::try_from(format!("x-field-{at}")).expect("a name");
        fields.insert(name, HeaderValue::from_static("a value of usual length"));
    }
    fields
}

fn input(count: usize) -> String {
    let mut text = String::from(r#"("@method" "@authority" "@path" "@query""#);
    for at in 0..count {
        write!(text, r#" "x-field-{at}""#).expect("a String takes all");
    }
    text + r#");created=1800000000;keyid="mobile-2026";nonce="bDk2Y2U4NzQ""#
}

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(3));
    targets = head, base, body
}
criterion_main!(benches);
