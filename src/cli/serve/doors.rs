//! Where connections come in: all that can be wrong with a place is found before a gateway before us gives anything up.

use crate::admin;
use crate::config::Config;
use crate::server::{self, Handed};

/// The sockets, on which nobody answers yet.
pub(super) struct Doors {
    pub(super) server: server::Bound,
    /// `None` where there is none, or a gateway has it: the one before us, it is hoped.
    admin: Option<admin::Bound>,
}

impl Doors {
    /// Listens everywhere, but for the admin listener where a gateway does, which may be the one before us.
    pub(super) fn open(config: &Config, handed: &mut Handed) -> anyhow::Result<Self> {
        let server = server::bind(&config.server, handed)?;
        let admin = match admin::bind(&config.admin, handed) {
            Err(why) if server.is_handed_on() && why.is_of_a_gateway() => {
                let address = config.admin.listen.as_ref().map(tracing::field::display);
                tracing::info!(
                    address,
                    "a gateway has the admin listener: waiting for it, as that may be the one before us"
                );
                None
            }
            // It may have given it up by now.
            Err(_) if server.is_handed_on() => admin::bind(&config.admin, handed)?,
            bound => bound?,
        };
        handed.none_is_left(config.server.listen.iter().chain(&config.admin.listen))?;
        Ok(Self { server, admin })
    }

    /// The admin listener, once the gateway before us has given up what it had.
    pub(super) fn admin(
        &mut self,
        settings: &admin::Settings,
    ) -> Result<Option<admin::Bound>, admin::BindError> {
        match self.admin.take() {
            None => admin::bind(settings, &mut Handed::default()),
            bound => Ok(bound),
        }
    }
}
