//! The report for a reader.

use super::report::{Compared, Outcome, Parameter, Report, Signature, State, Token};
use crate::cli::compare::write_lines;
use crate::cli::paint::{BAD, FAINT, GOOD, TITLE, visible};
use crate::gateway::refusal::Code;
use std::io::{Result, Write};

/// Writes all of `report`.
pub(super) fn print(out: &mut impl Write, report: &Report) -> Result<()> {
    if let Some(request) = &report.request {
        writeln!(
            out,
            "{TITLE}Request{TITLE:#}    {} {}\n           of {}, over {}",
            visible(&request.method),
            visible(&request.target),
            visible(&request.authority),
            request.scheme
        )?;
    }
    if let Some(route) = &report.route {
        write!(
            out,
            "{TITLE}Route{TITLE:#}      `{}`, {}, accepts {}",
            route.name,
            route.path,
            route.accepts.join(", ")
        )?;
        if !route.scopes.is_empty() {
            write!(out, ", for scope {}", route.scopes.join(" "))?;
        }
        writeln!(out)?;
    }
    for (at, signature) in report.signatures.iter().enumerate() {
        let compared = report.compared.as_ref();
        let compared = compared.filter(|compared| compared.of == at);
        print_signature(out, signature, compared)?;
    }
    if let Some(token) = &report.token {
        print_token(out, "Token", token)?;
    }
    if let Some(proof) = &report.dpop {
        print_token(out, "Proof of a key", proof)?;
    }
    if let Some(key) = &report.static_key {
        let id = key.id.as_ref();
        let which = id.map_or("known here as none".to_owned(), |id| {
            format!("known as `{id}`")
        });
        writeln!(
            out,
            "\n{TITLE}Static key{TITLE:#} in {}, {which}",
            visible(&key.place)
        )?;
    }
    if let Some(compared) = &report.compared {
        print_compared(out, compared)?;
    }
    for note in &report.notes {
        writeln!(out, "\n{FAINT}note{FAINT:#}: {}", visible(note))?;
    }
    print_steps(out, report)
}

fn print_signature(
    out: &mut impl Write,
    signature: &Signature,
    compared: Option<&Compared>,
) -> Result<()> {
    writeln!(out, "\n{TITLE}Signature{TITLE:#} `{}`", signature.label)?;
    writeln!(
        out,
        "  {FAINT}covers{FAINT:#}   {}",
        visible(&signature.covers.join(" "))
    )?;
    print_parameters(out, &signature.parameters)?;
    writeln!(out, "\n{TITLE}Must be covered{TITLE:#}")?;
    for part in &signature.parts {
        let (paint, word) = match part.state {
            State::Covered => (GOOD, "covered"),
            State::Missing => (BAD, "MISSING"),
            State::Waived => (FAINT, "waived"),
            State::Absent => (FAINT, "not in the request"),
        };
        write!(out, "  {:<14} {paint}{word}{paint:#}", part.part)?;
        if part.state == State::Missing {
            write!(out, "  add \"{}\"", part.component)?;
        }
        writeln!(out)?;
    }
    let is_to_sign = compared.is_some_and(|compared| compared.is_to_sign);
    let marked = compared.and_then(|compared| compared.difference.as_ref());
    if let Some(base) = &signature.base {
        let marked = marked.filter(|_| !is_to_sign);
        writeln!(
            out,
            "\n{TITLE}Signature base, as the gateway sees it{TITLE:#}"
        )?;
        write_lines(out, base.iter().map(String::as_str), marked)?;
    }
    if let Some(text) = &signature.string_to_sign {
        writeln!(
            out,
            "\n{TITLE}String to sign, which holds its hash{TITLE:#}"
        )?;
        let marked = marked.filter(|_| is_to_sign);
        write_lines(out, text.iter().map(String::as_str), marked)?;
    }
    if let Some(why) = &signature.no_base {
        writeln!(
            out,
            "\n{BAD}There is no signature base{BAD:#}: {}",
            visible(why)
        )?;
    }
    match signature.holds {
        Some(true) => writeln!(out, "\n{GOOD}The signature is the key's.{GOOD:#}")?,
        Some(false) => writeln!(out, "\n{BAD}The signature does not match this text.{BAD:#}")?,
        None => {}
    }
    if let Some(likely) = &signature.likely {
        writeln!(out, "What went wrong: {likely}.")?;
    }
    Ok(())
}

fn print_parameters(out: &mut impl Write, parameters: &[Parameter]) -> Result<()> {
    for parameter in parameters {
        write!(
            out,
            "  {FAINT}{:<8}{FAINT:#} {}",
            visible(&parameter.name),
            visible(&parameter.value)
        )?;
        if let Some(note) = &parameter.note {
            write!(out, "  {FAINT}{note}{FAINT:#}")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn print_token(out: &mut impl Write, what: &str, token: &Token) -> Result<()> {
    write!(out, "\n{TITLE}{what}{TITLE:#} in `{}`", token.field)?;
    if let Some(issuer) = &token.issuer {
        write!(out, ", of issuer `{issuer}`")?;
    }
    writeln!(out)?;
    writeln!(
        out,
        "  {FAINT}header{FAINT:#}   {}",
        visible(&token.header.to_string())
    )?;
    writeln!(
        out,
        "  {FAINT}claims{FAINT:#}   {}",
        visible(&token.claims.to_string())
    )?;
    print_parameters(out, &token.times)
}

fn print_compared(out: &mut impl Write, compared: &Compared) -> Result<()> {
    writeln!(out, "\n{TITLE}Your text{TITLE:#}")?;
    if compared.same {
        return writeln!(
            out,
            "  It is the same. If the signature does not match, the secret or the algorithm differs."
        );
    }
    if let Some(difference) = &compared.difference {
        writeln!(
            out,
            "  Line {}, column {}: the gateway has {}, yours has {}.",
            difference.line, difference.column, difference.gateway, difference.caller
        )?;
        writeln!(
            out,
            "  {FAINT}gateway{FAINT:#}  {}",
            difference.gateway_line
        )?;
        writeln!(out, "  {FAINT}yours{FAINT:#}    {}", difference.caller_line)?;
        if let Some(indent) = difference.indent {
            writeln!(
                out,
                "           {BAD}{:>width$}{BAD:#}",
                '^',
                width = indent + 1
            )?;
        }
    }
    if let Some(likely) = &compared.likely {
        writeln!(out, "  {TITLE}Most likely{TITLE:#}: {likely}.")?;
    }
    if let Some(by_key) = &compared.by_key {
        writeln!(out, "  {TITLE}Signature{TITLE:#}: {by_key}.")?;
    }
    Ok(())
}

fn print_steps(out: &mut impl Write, report: &Report) -> Result<()> {
    writeln!(out, "\n{TITLE}Steps{TITLE:#}")?;
    for step in &report.steps {
        let (paint, word) = match step.outcome {
            Outcome::Passed => (GOOD, "passes"),
            Outcome::Refused => (BAD, "REFUSES"),
            Outcome::NotChecked => (FAINT, "not checked"),
        };
        writeln!(
            out,
            "  {:<11} {paint}{word:<11}{paint:#} {FAINT}{}{FAINT:#}",
            step.name,
            visible(&step.note)
        )?;
    }
    writeln!(out)?;
    if let Some(why) = &report.undecided {
        writeln!(out, "{BAD}This cannot be told here.{BAD:#}")?;
        return writeln!(out, "\n{TITLE}hint{TITLE:#}: {}", visible(why));
    }
    let Some(refused) = &report.refused else {
        return writeln!(out, "{GOOD}It would pass.{GOOD:#}");
    };
    writeln!(
        out,
        "{BAD}Refused with {} {}{BAD:#}: {}",
        refused.status, refused.code, refused.title
    )?;
    writeln!(out, "  {}", visible(&refused.detail))?;
    // Elsewhere the detail says it all; only here is the caller told less than is known.
    if refused.code == Code::CredentialRejected.word() {
        writeln!(
            out,
            "  {FAINT}true reason{FAINT:#}: {}",
            visible(&refused.reason)
        )?;
    }
    if let Some(change) = &refused.change {
        writeln!(out, "\n{TITLE}hint{TITLE:#}: {}", visible(change))?;
    }
    Ok(())
}
