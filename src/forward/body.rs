//! A request's body on its way: bounded, checked, its end held back until it is proven.

/// What is wrong with a request's body.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// More bytes than the route takes.
    #[error("the body has more than {limit} bytes")]
    TooLarge {
        /// How many it takes.
        limit: u64,
    },
    /// It is not the body whose digest was given.
    #[error(transparent)]
    Mismatch(#[from] crate::schemes::digest::Mismatch),
    /// The client stopped sending in the middle.
    #[error("the body broke off: {0}")]
    BrokeOff(String),
    /// The client sent nothing for too long.
    #[error("the body did not arrive in time")]
    Timeout,
    /// It could not be set aside on disk.
    #[error("the body could not be set aside: {0}")]
    Spill(std::io::Error),
}
