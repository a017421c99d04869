//! `portcullis sign`: what to add to a request, or the `curl` line that sends it.

use super::curl;
use super::message::MessageArgs;
use super::paint::{FAINT, TITLE, visible};
use super::prove::{Proof, ProofArgs};
use crate::clock::Clock;
use anyhow::Result;
use http::HeaderName;
use std::io::Write;
use std::process::ExitCode;

/// Sign a request and print the headers to add, or a `curl` line
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    message: MessageArgs,
    #[command(flatten)]
    proof: ProofArgs,
    /// Print a whole `curl` command
    #[arg(long, conflicts_with = "json", help_heading = "Output")]
    curl: bool,
    /// Print JSON
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Print the text that was signed, and its digest, too
    #[arg(long, help_heading = "Output")]
    show_base: bool,
}

const EXAMPLES: &str = "\
Examples:
  The headers of a signed request:
    portcullis sign --key-id demo --secret file:demo.key http://127.0.0.1:8080/orders
  A signed upload as a curl line:
    portcullis sign --key-id demo --secret env:DEMO_KEY --curl -d @order.json http://127.0.0.1:8080/orders
  With the private half of a key pair:
    portcullis sign --key-id laptop --algorithm ed25519 --secret file:laptop.pem http://127.0.0.1:8080/orders
  As a caller of Kong signs:
    portcullis sign --key-id demo --secret env:DEMO_KEY --scheme hmac-auth --dialect kong http://127.0.0.1:8080/orders
  As a client of AWS signs:
    portcullis sign --key-id demo --secret env:DEMO_KEY --scheme aws-sigv4 --region us-east-1 --service api http://127.0.0.1:8080/orders
  A URL that holds its proof for ten minutes:
    portcullis sign --key-id demo --secret env:DEMO_KEY --scheme aws-sigv4 --region us-east-1 --service api --presign 600 http://127.0.0.1:8080/orders
  A webhook, as GitHub sends it:
    portcullis sign --secret file:hooks.secret --scheme webhook --sender github --curl -d @event.json http://127.0.0.1:8080/hooks
  A token that is bound to a key, and the proof of that key:
    portcullis sign --key-id demo --secret env:DEMO_KEY --scheme token --dpop file:device.pem http://127.0.0.1:8080/
  A token for five minutes:
    portcullis sign --key-id demo --secret env:DEMO_KEY --scheme token http://127.0.0.1:8080/";

/// Runs the command.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let mut message = args.message.message(args.proof.key.takes_stdin())?;
    if args.curl {
        // Otherwise curl would say one by itself, which a covered `content-type` would not match.
        message.say_content_type();
    }
    let mut proof = args.proof.prove(&message, Clock::system())?;
    if args.show_base {
        proof.fields.extend(proof.base_digest());
    }
    if let Some(uri) = &proof.uri {
        message.uri = uri.clone();
    }
    let mut out = anstream::stdout().lock();
    if args.json {
        return json(&mut out, &proof);
    }
    if args.curl {
        writeln!(out, "{}", curl::command(&[], &message, &proof.fields))?;
        if curl::writes_out(&message) {
            super::aside(
                &"this line needs bash, zsh or ksh: to dash its `$'…'` are other bytes, which the proof is not of",
            );
        }
    } else {
        if let Some(uri) = &proof.uri {
            writeln!(out, "{uri}")?;
        }
        for (name, value) in &proof.fields {
            writeln!(out, "{}: {value}", curl::shown(name))?;
        }
    }
    if args.show_base
        && let Some(base) = &proof.base
    {
        writeln!(out, "\n{TITLE}Signature base{TITLE:#}")?;
        for (at, line) in base.split('\n').enumerate() {
            writeln!(out, "{FAINT}{:>4}{FAINT:#}  {}", at + 1, visible(line))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn json(out: &mut impl Write, proof: &Proof) -> Result<ExitCode> {
    let headers: Vec<[String; 2]> = proof.fields.iter().map(pair).collect();
    let mut value = serde_json::json!({
        "headers": headers,
        "signature_base": proof.base,
    });
    if let Some(uri) = &proof.uri {
        value["url"] = uri.to_string().into();
    }
    serde_json::to_writer_pretty(&mut *out, &value)?;
    writeln!(out)?;
    Ok(ExitCode::SUCCESS)
}

fn pair((name, value): &(HeaderName, String)) -> [String; 2] {
    [curl::shown(name), value.clone()]
}
