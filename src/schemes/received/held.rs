//! A body that was read before its proof is known.

use super::Received;

impl<'r> Received<'r> {
    /// The same, whose body has been read.
    #[must_use]
    pub const fn with_body(mut self, body: Option<&'r [u8]>) -> Self {
        self.body = body;
        self
    }

    /// The body, where it was read before its proof.
    pub const fn body(&self) -> Option<&'r [u8]> {
        self.body
    }
}
