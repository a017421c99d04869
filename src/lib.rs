//! Portcullis.

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
pub mod forward;

#[cfg(feature = "gateway")]
pub mod observe;

#[cfg(feature = "gateway")]
pub mod store;

#[cfg(feature = "gateway")]
pub mod admin;

pub mod client;

pub mod crypto;

pub mod clock;

pub mod secret;
