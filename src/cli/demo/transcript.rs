//! The requests of the demo, their answers, and what the answers should be.

use super::stage::{KEY_ID, Stage};
use crate::cli::compare::first_difference;
use crate::cli::message::{Message, Source};
use crate::cli::paint::{BAD, COPY, FAINT, GOOD, TITLE, visible};
use crate::cli::prove::{Proof, sign};
use crate::cli::stop::Stop;
use crate::cli::{curl, send};
use crate::client::Signer;
use crate::clock::Clock;
use crate::crypto::Algorithm;
use crate::secret::Secret;
use anyhow::Result;
use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, Method, StatusCode};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes of an answer that are read.
const MAX_ANSWER: usize = 256 * 1024;
/// Requests of the burst that are under way at a time.
const ABREAST: usize = 8;
/// How old the stale request is.
const HOUR: Duration = Duration::from_hours(1);

type Fields = Vec<(HeaderName, String)>;

/// One request of the transcript.
struct Scene {
    title: &'static str,
    about: &'static str,
    message: Message,
    proof: Proof,
    status: StatusCode,
    /// The words that a refusal has for programs: its code, and the mistake where that is told.
    told: &'static [&'static str],
}

/// What came back.
struct Answer {
    status: StatusCode,
    fields: HeaderMap,
    json: Value,
}

impl Answer {
    fn text(&self, name: &str) -> Option<&str> {
        self.json.get(name)?.as_str()
    }

    /// Those of these that it has.
    fn texts(&self, names: [&'static str; 2]) -> impl Iterator<Item = &str> {
        names.into_iter().filter_map(|name| self.text(name))
    }
}

/// Plays every scene. Gives back how many answers are not what they should be.
pub(super) async fn play(out: &mut impl Write, stage: &Stage) -> Result<usize> {
    let mut failures = 0;
    let scenes = scenes(stage)?;
    for (at, scene) in scenes.iter().enumerate() {
        writeln!(out, "\n{TITLE}{}. {}{TITLE:#}", at + 1, scene.title)?;
        writeln!(out, "{}\n", scene.about)?;
        show_command(out, &scene.message, &scene.proof.fields)?;
        let answer = ask(&scene.message, &scene.proof.fields).await?;
        show_answer(out, &answer)?;
        show_difference(out, &answer, scene.proof.base.as_deref())?;
        let is_told = answer
            .texts(["code", "mistake"])
            .eq(scene.told.iter().copied());
        if answer.status != scene.status || !is_told {
            failures += 1;
            writeln!(
                out,
                "{BAD}UNEXPECTED: it should be {} {}{BAD:#}",
                scene.status,
                scene.told.join(", ")
            )?;
        }
    }
    writeln!(
        out,
        "\n{TITLE}{}. A burst over the rate{TITLE:#}",
        scenes.len() + 1
    )?;
    failures += burst(out, stage).await?;
    Ok(failures)
}

fn scenes(stage: &Stage) -> Result<Vec<Scene>> {
    let order = message(stage, "?dry=1", r#"{"item": 7}"#)?;
    let proof = |signer: &Signer| sign(signer, &order);
    let good = proof(&stage.signer)?;
    let (an_hour_ago, _) =
        Clock::by_hand(Clock::system().now().unix().saturating_sub(HOUR).as_secs());
    let refused = StatusCode::UNAUTHORIZED;
    Ok(vec![
        Scene {
            title: "A signed request",
            about: "Method, host, path, query, body and time are signed. It passes, and the backend learns who calls.",
            message: order.clone(),
            proof: good.clone(),
            status: StatusCode::OK,
            told: &[],
        },
        Scene {
            title: "No signature",
            about: "The same request, without its proof.",
            message: order.clone(),
            proof: Proof::default(),
            status: refused,
            told: &["credential-missing"],
        },
        Scene {
            title: "A tampered body",
            about: "Signed for item 7, sent with item 8.",
            message: message(stage, "?dry=1", r#"{"item": 8}"#)?,
            proof: proof(&stage.signer)?,
            status: refused,
            told: &["digest-mismatch"],
        },
        Scene {
            title: "A changed query",
            about: "Signed for `?dry=1`, sent with `?dry=0`.",
            message: message(stage, "?dry=0", r#"{"item": 7}"#)?,
            proof: proof(&stage.signer)?,
            status: refused,
            told: &["credential-rejected"],
        },
        Scene {
            title: "A replay",
            about: "The first request once more, byte for byte.",
            message: order.clone(),
            proof: good,
            status: refused,
            told: &["replayed"],
        },
        Scene {
            title: "A stale request",
            about: "Signed an hour ago.",
            message: order.clone(),
            proof: proof(&stage.signer.clone().clock(an_hour_ago))?,
            status: refused,
            told: &["clock-skew", "clock-offset"],
        },
        Scene {
            title: "A misread secret",
            about: "Signed with all that stands in the file of the secret: its `base64:` only says how the rest is written.",
            message: order.clone(),
            proof: proof(&misreading(stage)?)?,
            status: refused,
            told: &["credential-rejected", "secret-with-prefix"],
        },
    ])
}

/// Whoever takes the file of the secret for the secret.
fn misreading(stage: &Stage) -> Result<Signer> {
    let mut text = std::fs::read(&stage.secret_file)?;
    text.truncate(text.trim_ascii_end().len());
    let secret = Secret::new(text);
    Ok(Signer::new(KEY_ID, Algorithm::HmacSha256, &secret)?)
}

fn message(stage: &Stage, query: &str, body: &'static str) -> Result<Message> {
    let mut message = Message {
        method: Method::POST,
        uri: format!("{}{}{query}", stage.url, stage.path).parse()?,
        fields: HeaderMap::new(),
        body: Bytes::from_static(body.as_bytes()),
        source: Source::Inline,
    };
    message.say_content_type();
    Ok(message)
}

async fn ask(message: &Message, proof: &Fields) -> Result<Answer> {
    let conversation = async {
        let answer = send::send(message, proof, None).await?;
        let (head, mut body) = answer.into_parts();
        let (bytes, _) = send::collect(&mut body, MAX_ANSWER).await?;
        Ok(Answer {
            status: head.status,
            fields: head.headers,
            json: serde_json::from_slice(&bytes).unwrap_or_default(),
        })
    };
    tokio::time::timeout(PATIENCE, conversation)
        .await
        .map_err(|_| Stop::failed("the gateway gave no answer"))?
}

fn show_command(out: &mut impl Write, message: &Message, proof: &Fields) -> Result<()> {
    for line in curl::command(&["-i"], message, proof).lines() {
        writeln!(out, "  {COPY}{line}{COPY:#}")?;
    }
    writeln!(out)?;
    Ok(())
}

fn show_answer(out: &mut impl Write, answer: &Answer) -> Result<()> {
    let status = answer.status;
    if status.is_success() {
        writeln!(out, "  {GOOD}{status}{GOOD:#}")?;
        return show_seen(out, &answer.json);
    }
    let code = answer.text("code").unwrap_or("no code");
    writeln!(
        out,
        "  {BAD}{status}{BAD:#}  {TITLE}{}{TITLE:#}",
        visible(code)
    )?;
    for text in answer.texts(["detail", "hint"]) {
        writeln!(out, "  {}", visible(text))?;
    }
    Ok(())
}

/// Where the gateway's signature base parts from the signed one, if it shows its own.
fn show_difference(out: &mut impl Write, answer: &Answer, signed: Option<&str>) -> Result<()> {
    let difference = answer
        .text("signature_base")
        .zip(signed)
        .and_then(|(theirs, signed)| first_difference(theirs.as_bytes(), signed.as_bytes()));
    if let Some(difference) = difference {
        writeln!(
            out,
            "  {FAINT}the gateway has{FAINT:#}  {}\n  {FAINT}signed was{FAINT:#}       {}",
            difference.gateway_line, difference.caller_line
        )?;
    }
    Ok(())
}

/// What the backend saw, as it told.
fn show_seen(out: &mut impl Write, seen: &Value) -> Result<()> {
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    writeln!(
        out,
        "  {FAINT}the backend saw{FAINT:#}  {} {}",
        visible(&text(&seen["method"])),
        visible(&text(&seen["target"]))
    )?;
    for field in seen["headers"].as_array().into_iter().flatten() {
        let name = text(&field[0]);
        if name.starts_with("portcullis-") {
            let name = curl::shown(&HeaderName::from_bytes(name.as_bytes())?);
            let value = visible(&text(&field[1]));
            writeln!(out, "                   {name}: {value}")?;
        }
    }
    writeln!(
        out,
        "                   {}",
        visible(&text(&seen["body"]["text"]))
    )?;
    Ok(())
}

/// Sends more at once than the plan lets through, and counts. Gives back 1
/// when that is not what comes out.
async fn burst(out: &mut impl Write, stage: &Stage) -> Result<usize> {
    let count = stage.burst as usize * 2 + ABREAST;
    writeln!(
        out,
        "The app's plan takes {} requests at once. Here come {count}, each signed anew, each like this:\n",
        stage.burst
    )?;
    // As all before it: the route may take no other method.
    let each = message(stage, "", "")?;
    let mut waiting = Vec::with_capacity(count);
    for _ in 0..count {
        waiting.push(sign(&stage.signer, &each)?.fields);
    }
    if let Some(proof) = waiting.first() {
        show_command(out, &each, proof)?;
    }
    let mut senders = tokio::task::JoinSet::new();
    let share = count.div_ceil(ABREAST);
    for proofs in waiting.chunks(share) {
        let (each, proofs) = (each.clone(), proofs.to_vec());
        senders.spawn(async move {
            let mut answers = Vec::with_capacity(proofs.len());
            for proof in &proofs {
                answers.push(ask(&each, proof).await?);
            }
            Ok::<_, anyhow::Error>(answers)
        });
    }
    let mut outcomes: BTreeMap<(u16, String), usize> = BTreeMap::new();
    let mut limited = None;
    while let Some(answers) = senders.join_next().await {
        for answer in answers?? {
            let code = answer.text("code").unwrap_or_default().to_owned();
            *outcomes.entry((answer.status.as_u16(), code)).or_default() += 1;
            if answer.status == StatusCode::TOO_MANY_REQUESTS {
                limited = Some(answer.fields);
            }
        }
    }
    for ((status, code), count) in &outcomes {
        let paint = if *status == 200 { GOOD } else { BAD };
        writeln!(
            out,
            "  {count:>4} × {paint}{status}{paint:#}  {}",
            visible(code)
        )?;
    }
    show_limit(out, limited.as_ref())?;
    let both = [(200, String::new()), (429, "rate-exceeded".to_owned())];
    if outcomes.keys().eq(&both) {
        return Ok(0);
    }
    writeln!(
        out,
        "{BAD}UNEXPECTED: some should get 200, the others 429 rate-exceeded{BAD:#}"
    )?;
    Ok(1)
}

fn show_limit(out: &mut impl Write, limited: Option<&HeaderMap>) -> Result<()> {
    let Some(fields) = limited else {
        return Ok(());
    };
    for name in [
        HeaderName::from_static("ratelimit-policy"),
        HeaderName::from_static("ratelimit"),
        RETRY_AFTER,
    ] {
        if let Some(value) = fields.get(&name) {
            let value = String::from_utf8_lossy(value.as_bytes());
            let name = curl::shown(&name);
            writeln!(out, "  {FAINT}{name}{FAINT:#}: {}", visible(&value))?;
        }
    }
    Ok(())
}
