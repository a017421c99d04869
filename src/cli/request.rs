//! `portcullis request`: signs a request and sends it.

use super::compare::{first_difference, write_lines};
use super::curl;
use super::message::{Message, MessageArgs};
use super::paint::{BAD, FAINT, GOOD, TITLE, visible};
use super::prove::{Keys, Proof, ProofArgs};
use super::send;
use super::stop::{FAILED, Stop};
use crate::clock::Clock;
use crate::config::period;
use crate::schemes::aws_sigv4::told_veiled;
use anyhow::Result;
use http::Response;
use http::header::CONTENT_TYPE;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Map, Value};
use std::io::{IsTerminal as _, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Bytes of an answer that `--json` holds.
const MAX_SHOWN: usize = 8 * 1024 * 1024;
/// Bytes of a problem report that are read.
const MAX_PROBLEM: usize = 256 * 1024;

/// Sign a request, send it and print the answer
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    message: MessageArgs,
    #[command(flatten)]
    proof: ProofArgs,
    /// Trust the certificates of this file, and no others
    #[arg(long, value_name = "FILE", help_heading = "Connection")]
    cacert: Option<PathBuf>,
    /// The whole time there is, to the last byte of the answer
    #[arg(long, value_name = "DURATION", value_parser = period, default_value = "30s", help_heading = "Connection")]
    timeout: Duration,
    /// Print the answer's headers too
    #[arg(short, long, help_heading = "Output")]
    include: bool,
    /// Print JSON
    #[arg(long, help_heading = "Output")]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  portcullis request --key-id demo --secret file:demo.key http://127.0.0.1:8080/orders
  portcullis request --key-id demo --secret env:DEMO_KEY -i -d '{\"item\": 7}' https://api.example.com/orders

Exits with 0 when the status is 2xx or 3xx, with 1 otherwise.";

/// Runs the command.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let mut message = args.message.message(args.proof.key.takes_stdin())?;
    message.say_content_type();
    let keys = args.proof.keys()?;
    let proof = proven(args, &keys, &message)?;
    if let Some(uri) = &proof.uri {
        message.uri = uri.clone();
    }
    let tls = send::tls(&message.uri, args.cacert.as_deref())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let conversation = async {
        let mut answer = send::send(&message, &proof.fields, tls.as_ref()).await?;
        // Only a refusal tells the nonce that the first proof lacks. One that is named is an experiment.
        if !args.proof.names_nonce() && keys.learn(&answer) {
            let again = proven(args, &keys, &message)?;
            answer = send::send(&message, &again.fields, tls.as_ref()).await?;
        }
        show(answer, proof.base.as_deref(), args).await
    };
    let done = runtime.block_on(async {
        tokio::time::timeout(args.timeout, conversation)
            .await
            .map_err(|_| {
                Stop::failed("the answer did not end in time").hint("`--timeout 2m` waits longer")
            })?
    });
    // A look-up of a name has a thread of its own, which a silent resolver holds for long: nobody waits for that.
    runtime.shutdown_background();
    done
}

/// The proof, and beside a signature what tells a wrong key from a wrong text.
fn proven(args: &Args, keys: &Keys, message: &Message) -> Result<Proof> {
    let mut proof = args.proof.prove_with(keys, message, Clock::system())?;
    let digest = proof.base_digest();
    proof.fields.extend(digest);
    Ok(proof)
}

async fn show(answer: Response<Incoming>, base: Option<&str>, args: &Args) -> Result<ExitCode> {
    let status = answer.status();
    let is_good = status.is_success() || status.is_redirection();
    let shown = if args.json {
        show_json(answer, base).await
    } else {
        show_text(answer, is_good, base, args).await
    };
    super::printed(shown)?;
    Ok(if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    })
}

async fn show_text(
    answer: Response<Incoming>,
    is_good: bool,
    base: Option<&str>,
    args: &Args,
) -> Result<()> {
    let status = answer.status();
    let mut out = anstream::stdout().lock();
    let paint = if is_good { GOOD } else { BAD };
    let line = format!("{paint}{:?} {status}{paint:#}", answer.version());
    // A file is the body alone.
    if args.include || is_problem(&answer) || std::io::stdout().is_terminal() {
        writeln!(out, "{line}")?;
    } else {
        super::aside(&line);
    }
    if args.include {
        for (name, value) in answer.headers() {
            let value = String::from_utf8_lossy(value.as_bytes());
            writeln!(out, "{}: {}", curl::shown(name), visible(&value))?;
        }
        writeln!(out)?;
    }
    if is_problem(&answer) {
        let (bytes, _) = send::collect(&mut answer.into_body(), MAX_PROBLEM).await?;
        match serde_json::from_slice::<Map<String, Value>>(&bytes) {
            Ok(problem) => show_problem(&mut out, &problem, base)?,
            Err(_) => out.write_all(&bytes)?,
        }
        return Ok(());
    }
    drop(out);
    stream(answer.into_body()).await
}

/// The body as it comes, byte for byte: it may go into a file.
async fn stream(mut body: Incoming) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let mut last = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|why| Stop::failed(format!("the answer broke off: {why}")))?;
        if let Ok(data) = frame.into_data() {
            out.write_all(&data)?;
            last = data.last().copied().or(last);
        }
    }
    if std::io::IsTerminal::is_terminal(&out) && last.is_some_and(|byte| byte != b'\n') {
        writeln!(out)?;
    }
    out.flush()?;
    Ok(())
}

fn is_problem<B>(answer: &Response<B>) -> bool {
    answer.headers().get(CONTENT_TYPE).is_some_and(|kind| {
        kind.as_bytes()
            .to_ascii_lowercase()
            .starts_with(b"application/problem+json")
    })
}

async fn show_json(answer: Response<Incoming>, base: Option<&str>) -> Result<()> {
    let (head, mut body) = answer.into_parts();
    let (bytes, truncated) = send::collect(&mut body, MAX_SHOWN).await?;
    let headers: Vec<[String; 2]> = head
        .headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            [curl::shown(name), value.into_owned()]
        })
        .collect();
    let mut value = serde_json::json!({
        "status": head.status.as_u16(),
        "headers": headers,
        "truncated": truncated,
        "signature_base": base,
    });
    let (name, body) = match serde_json::from_slice::<Value>(&bytes) {
        Ok(json) => ("json", json),
        Err(_) => match String::from_utf8(bytes) {
            Ok(text) => ("text", Value::String(text)),
            Err(bytes) => (
                "base64",
                Value::String(data_encoding::BASE64.encode(bytes.as_bytes())),
            ),
        },
    };
    value["body"] = serde_json::json!({ name: body });
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &value)?;
    writeln!(out)?;
    Ok(())
}

/// Members of a problem report that have a place of their own.
const PLACED: [&str; 5] = ["title", "code", "detail", "status", "signature_base"];

/// A refusal for a reader (RFC 9457), and where the gateway's text and ours part.
pub(super) fn show_problem(
    out: &mut impl Write,
    problem: &Map<String, Value>,
    signed: Option<&str>,
) -> std::io::Result<()> {
    let text = |name: &str| problem.get(name).and_then(Value::as_str);
    if let Some(title) = text("title") {
        write!(out, "{TITLE}{}{TITLE:#}", visible(title))?;
    }
    if let Some(code) = text("code") {
        write!(out, "  {BAD}{}{BAD:#}", visible(code))?;
    }
    writeln!(out)?;
    if let Some(detail) = text("detail") {
        writeln!(out, "{}", visible(detail))?;
    }
    writeln!(out)?;
    for (name, value) in problem {
        if !PLACED.contains(&name.as_str()) {
            let shown = match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            writeln!(
                out,
                "{FAINT}{}{FAINT:#}  {}",
                visible(name),
                visible(&shown)
            )?;
        }
    }
    if let Some(theirs) = text("signature_base") {
        let is_same = problem
            .get("signature_base_matches")
            .and_then(Value::as_bool);
        show_bases(out, theirs, signed, is_same)?;
    }
    Ok(())
}

/// `is_same` is what the gateway says of the two texts, credentials and all, where it was told the digest of ours.
fn show_bases(
    out: &mut impl Write,
    gateway: &str,
    signed: Option<&str>,
    is_same: Option<bool>,
) -> std::io::Result<()> {
    writeln!(
        out,
        "\n{TITLE}Signature base, as the gateway sees it{TITLE:#}"
    )?;
    // The gateway veils credentials: so do we, or they would always differ, and stand here in clear.
    let (gateway, signed) = (told_veiled(gateway), signed.map(told_veiled));
    // Of two texts that are the same at most the veils differ: on its routes there may be credentials that we know nothing of.
    let difference = signed
        .as_deref()
        .filter(|_| is_same != Some(true))
        .and_then(|signed| first_difference(gateway.as_bytes(), signed.as_bytes()));
    write_lines(out, gateway.split('\n'), difference.as_ref())?;
    match (signed, difference) {
        (None, _) => {}
        (Some(_), None) if is_same == Some(false) => writeln!(
            out,
            "\nIt differs from the text that was signed here, in a credential that is not shown."
        )?,
        (Some(_), None) => writeln!(
            out,
            "\nIt is the text that was signed here: the key id or the secret is not the gateway's."
        )?,
        (Some(_), Some(difference)) => writeln!(
            out,
            "\nLine {}, column {}: the gateway has {}, signed was {}:\n{BAD}>{:>3}{BAD:#}  {}",
            difference.line,
            difference.column,
            difference.gateway,
            difference.caller,
            difference.line,
            difference.caller_line,
        )?,
    }
    Ok(())
}
