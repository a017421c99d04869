//! `inject` of a route, as written.

use crate::config::lists::Named;
use crate::config::outside::FormText;
use crate::config::read::At;
use crate::config::secrets::Given;
use crate::config::table::{Required, table};
use crate::config::values::Text;

table! {
    /// What a route adds to requests.
    pub struct Inject {
        /// Fields, by their names: `{ "X-Api-Key" = "env:LEGACY_KEY" }`.
        pub header: Named<Given> = {},
        /// `Authorization: Basic`, as a client of an authorization server sends its id and its secret.
        pub basic: Option<Basic>,
        /// Members of a body that is `application/x-www-form-urlencoded`, by their names, behind those that came:
        /// `{ client_id = "shop", client_secret = "env:CLIENT_SECRET" }`. Such a body is held in memory, and has at most
        /// 64 KiB; a member that the caller sends under such a name refuses the request, unless it is the very same and no
        /// secret, and so does a body of another kind, in which servers look for the same names: give what sends it a route
        /// of its own.
        pub form: Named<At<FormText>> = {},
    }
}

table! {
    /// Who we are for the upstream: both are encoded as RFC 6749, section 2.3.1, wants it.
    pub struct Basic {
        /// The client's id.
        pub user: Required<At<Text>>,
        /// The client's secret: `env:NAME` or `file:PATH`.
        pub password: Required<Given>,
    }
}
