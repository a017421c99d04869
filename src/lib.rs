//! A reverse-proxy gateway that lets only *proven* requests through: no API key
//! in the channel, and none on the device.
//!
//! ```text
//! gateway.toml ── config ── builds each room's settings (at start, and again at reload)
//!
//! socket ─ server ─▶ gateway ─▶ route ─▶ scheme: read ─▶ canonical text ─▶ verify ─▶ replay ─▶ authorize ─▶ limit ─▶ forward ─▶ upstream
//!            Peer      │        Route    Received         bytes            Caller     Fresh      Permit      Admitted   response
//!                      └── observe: one record opened here, written once when the response ends, also after a refusal ──┘
//! ```
//!
//! Most people run the program: `portcullis serve`, `demo`, `check`, `sign`,
//! `request`, `explain`. The library is for three other uses.
//!
//! **Call a protected API.** [`client::Signer`] signs a request; it needs no
//! server and no feature:
//!
//! ```
//! use portcullis::{client::Signer, crypto::Algorithm, secret::Secret};
//!
//! let secret = Secret::new(vec![7; 32]); // from where you keep it
//! let signer = Signer::new("mobile-2026", Algorithm::HmacSha256, &secret)?;
//! let mut request = http::Request::get("https://api.example.com/orders?page=2").body("")?;
//! signer.sign(&mut request)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **Check signatures in a service of one's own.** [`schemes::Verifier`] takes a
//! request's head and gives back a [`schemes::Caller`], or says why not; see the
//! example `verify_in_service`.
//!
//! **Embed the gateway.** With the feature `gateway` (on unless switched off),
//! `config::Config::load` reads `gateway.toml` and `cli::serve::start` runs it; see
//! the example `minimal_gateway`.
//!
//! # Rooms
//!
//! The modules below stand in the order of a request's way. Each opens with what
//! comes in, what goes out and what it never does. `ARCHITECTURE.md` has the
//! arrows between them and the reasons for the order.
//!
//! # Features
//!
//! `gateway` (default): the server, its configuration and the commands. Without it
//! the crate is the signer and the verifier.

#[cfg(feature = "gateway")]
pub mod cli;

#[cfg(feature = "gateway")]
pub mod config;

#[cfg(feature = "gateway")]
pub mod server;

#[cfg(feature = "gateway")]
pub mod gateway;

pub mod route;

pub mod apps;

pub mod schemes;

#[cfg(feature = "gateway")]
pub mod replay;

#[cfg(feature = "gateway")]
pub mod authorize;

#[cfg(feature = "gateway")]
pub mod limit;

#[cfg(feature = "gateway")]
pub mod mint;

#[cfg(feature = "gateway")]
pub mod forward;

#[cfg(feature = "gateway")]
pub mod issuers;

#[cfg(feature = "gateway")]
pub mod observe;

#[cfg(feature = "gateway")]
pub mod store;

#[cfg(feature = "gateway")]
pub mod admin;

pub mod client;

pub mod crypto;

pub mod clock;

#[cfg(feature = "gateway")]
pub mod framing;

#[cfg(feature = "gateway")]
pub mod lanes;

#[cfg(feature = "gateway")]
pub mod sending;

pub mod secret;
