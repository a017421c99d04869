//! Groups of `aws-sigv4`.

use crate::gate::{DAY, Gate, Message, Pair, TARGET};
use crate::judged::judged;
use crate::requests::{self, REGION, SERVICE};
use crate::turns::{Bare, Group, Kind, bare, case, keep};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use portcullis::crypto::aws4::DayKey;
use portcullis::crypto::digest::sha256;
use portcullis::crypto::{Algorithm, HmacKey};
use portcullis::schemes::aws_sigv4::chunked::Decoder;
use portcullis::schemes::aws_sigv4::forms::Forms;
use portcullis::schemes::aws_sigv4::{self, EMPTY_SHA256};
use portcullis::schemes::digest::BodyProof;
use portcullis::secret::Secret;
use std::hint::black_box;

/// Scopes enough that the key of none is still kept when it comes again.
const REGIONS: [&str; 8] = ["r-1", "r-2", "r-3", "r-4", "r-5", "r-6", "r-7", "r-8"];

fn aws_gate(pair: &'static Pair) -> &'static Gate {
    let mut gate = Gate::of(&[pair]);
    gate.route.sigv4.plus_is_space = true;
    keep(gate)
}

/// The hash of a canonical request, the HMAC of the string to sign, and, where it is not kept, the key of the day.
fn bare_aws(pair: &'static Pair, canonical: Vec<u8>, is_kept: bool) -> Bare {
    let key = keep(HmacKey::new(pair.algorithm, &pair.key).expect("long enough"));
    let keys = key.aws().expect("it is of HMAC with SHA-256");
    let day = keys.derive(requests::scope(REGION));
    let front = format!("AWS4-HMAC-SHA256\n{DAY}T120000Z\n{DAY}/{REGION}/{SERVICE}/aws4_request\n");
    let mut text = front.into_bytes();
    text.resize(text.len() + 64, b'0');
    let run = move |day: &DayKey| {
        let hash = sha256(&[black_box(&canonical)]);
        (hash, day.sign(black_box(&text)))
    };
    if is_kept {
        bare("SHA-256 and HMAC", move || run(&day))
    } else {
        bare("SHA-256 and five HMACs", move || {
            run(&keys.derive(black_box(requests::scope(REGION))))
        })
    }
}

pub(crate) fn kept(name: &str) -> Group {
    of_regions(name, &[REGION], in_the_head)
}

pub(crate) fn first(name: &str) -> Group {
    of_regions(name, &REGIONS, in_the_head)
}

pub(crate) fn presigned(name: &str) -> Group {
    of_regions(name, &[REGION], requests::presigned)
}

fn in_the_head(key_id: &str, secret: &Secret, region: &str) -> Message {
    requests::signed_for_aws(TARGET, key_id, secret, region)
}

/// Good requests of these regions in turn, and bad ones of the first. Of one alone the day's key is kept.
fn of_regions(
    name: &str,
    regions: &[&str],
    sign: impl Fn(&str, &Secret, &str) -> Message,
) -> Group {
    let pair: &Pair = keep(Pair::new(Algorithm::HmacSha256));
    let gate = aws_gate(pair);
    let signed = |id, key| sign(id, key, regions[0]);
    let wrong = || signed(pair.id(), &pair.other);
    let bare = bare_aws(pair, gate.text_of(&wrong()), regions.len() == 1);
    let good = regions
        .iter()
        .map(|region| sign(pair.id(), &pair.key, region));
    let cases = vec![
        judged("good", Kind::Good, gate, good),
        judged("wrong signature", Kind::Bad, gate, [wrong()]),
        judged(
            "unknown key",
            Kind::Bad,
            gate,
            [signed("nobody-at-al", &pair.key)],
        ),
    ];
    Group::hashed(name, bare, cases)
}

/// A target that has as many forms as there can be: a good signature of the last one is held
/// against all of them, as a wrong one is.
pub(crate) fn forms(name: &str) -> Group {
    const MANY: &str = "/a:b?z=1&q=a+b:c&a=2";
    let pair: &Pair = keep(Pair::new(Algorithm::HmacSha256));
    let gate = aws_gate(pair);
    let signed = |id, key| requests::signed_for_aws(MANY, id, key, REGION);
    let wrong = || signed(pair.id(), &pair.other);
    let bare = bare_aws(pair, gate.text_of(&wrong()), true);
    let unknown = signed("nobody-at-al", &pair.key);
    let cases = vec![
        judged(
            "good, by the last of them",
            Kind::Good,
            gate,
            [of_last_form(gate, pair, wrong())],
        ),
        judged("wrong signature", Kind::Bad, gate, [wrong()]),
        judged("unknown key", Kind::Bad, gate, [unknown]),
        judged(
            "good, as the SDKs sign",
            Kind::Other,
            gate,
            [signed(pair.id(), &pair.key)],
        ),
    ];
    // It is no longer one hash.
    Group::of(name, Some(bare), cases)
}

/// `message` signed as curl does that is given such a target.
fn of_last_form(gate: &Gate, pair: &Pair, mut message: Message) -> Message {
    let value = message.fields["authorization"]
        .to_str()
        .expect("text")
        .to_owned();
    let between = |front: &str, end: char| {
        let (_, rest) = value.split_once(front).expect("it is there");
        rest.split(end).next().unwrap_or_default().to_owned()
    };
    let names = between("SignedHeaders=", ',');
    let mut canonical = Vec::new();
    {
        let received = message.received();
        let forms = Forms::of(&received, false, &gate.route.sigv4);
        let (path, query) = forms.all().last().expect("there is one");
        aws_sigv4::text::write_front(&mut canonical, &received, path, query);
        let presented = aws_sigv4::Presented::read(&received, &gate.route);
        let presented = presented.expect("it can be read").expect("it is there");
        aws_sigv4::text::write_fields(&mut canonical, &received, &presented.signed)
            .expect("all are there");
    }
    canonical.extend_from_slice(EMPTY_SHA256.as_bytes());
    let time = format!("{DAY}T120000Z");
    let scope = format!("{DAY}/{REGION}/{SERVICE}/aws4_request");
    let text = aws_sigv4::text::string_to_sign(&time, &scope, &[&canonical]);
    let key = HmacKey::new(pair.algorithm, &pair.key).expect("long enough");
    let day = key
        .aws()
        .expect("of HMAC with SHA-256")
        .derive(requests::scope(REGION));
    let signature = HEXLOWER.encode(day.sign(&text).as_bytes());
    let value = format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
        pair.id()
    );
    message.fields.remove("authorization");
    message.with("authorization", &value)
}

pub(crate) fn pieces(name: &str) -> Group {
    const PIECES_OF_IT: usize = 4;
    const SIZE: usize = 16 << 10;
    let pair: &Pair = keep(Pair::new(Algorithm::HmacSha256));
    let gate: &Gate = keep(Gate::of(&[pair]));
    let (message, body) = requests::in_pieces(pair, PIECES_OF_IT, SIZE);
    let received = keep(keep(message).received());
    let taken = move |body: &Bytes| {
        let caller = gate.judge(black_box(received)).expect("its head is good");
        let BodyProof::Chunked(chunks) = caller.body() else {
            panic!("it is in pieces");
        };
        let mut decoder = Decoder::new(chunks.clone());
        let mut rest = body.clone();
        loop {
            match decoder.next(&mut rest) {
                Ok(Some(data)) => drop(black_box(data)),
                Ok(None) => break decoder.finish().is_ok(),
                Err(_) => break false,
            }
        }
    };
    let mut wrong = body.clone();
    // The last piece: all before it holds.
    let at = wrong.len() - 200;
    wrong[at] ^= 1;
    let (body, wrong) = (Bytes::from(body), Bytes::from(wrong));
    assert!(taken(&body) && !taken(&wrong));
    let piece = vec![b'x'; SIZE];
    let (text, _) = requests::piece_text(pair, &"0".repeat(64), &piece);
    let key = keep(HmacKey::new(pair.algorithm, &pair.key).expect("long enough"));
    let day = key
        .aws()
        .expect("of HMAC with SHA-256")
        .derive(requests::scope(REGION));
    let bare = bare("SHA-256 and HMAC of each", move || {
        for _ in 0..PIECES_OF_IT {
            black_box(sha256(&[black_box(&piece)]));
            black_box(day.sign(black_box(text.as_bytes())));
        }
    });
    let cases = vec![
        case("good", Kind::Good, move || taken(&body)),
        case("wrong last piece", Kind::Bad, move || taken(&wrong)),
    ];
    Group::hashed(name, bare, cases)
}
