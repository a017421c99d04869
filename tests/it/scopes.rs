//! Who may go where.

use crate::harness::{Caller, Setup, Upstream, caller};

const ROUTES: &str = r#"
[[routes]]
name = "orders"
path = "/orders/**"
upstream = "backend"
accept = ["http-signature"]
scopes = ["orders"]

[[routes]]
name = "orders-admin"
path = "/orders/admin/**"
methods = ["GET"]
upstream = "backend"
accept = ["http-signature"]
scopes = ["orders", "admin"]

[[routes]]
name = "open"
path = "/open"
upstream = "backend"
accept = ["public"]
"#;

#[test]
fn a_route_asks_for_every_one_of_its_scopes() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .routes(ROUTES)
        .app("scopes = [\"orders\"]")
        .start();
    let ask =
        |signer: Caller, target: &str| gateway.send(&signer.sign(&gateway.request("GET", target)));
    ask(caller(), "/orders/7").assert_passed();
    let got = upstream.only();
    assert_eq!(got.field("portcullis-app"), Some("mobile"));
    assert_eq!(got.field("portcullis-key"), Some("mobile-2026"));
    assert_eq!(got.field("portcullis-scheme"), Some("http-signature"));
    assert_eq!(got.field("portcullis-assurance"), Some("signed"));
    assert_eq!(got.field("portcullis-scopes"), Some("orders"));
    let response = ask(caller(), "/orders/admin/x");
    response.assert_refused(403, "scope-missing");
    assert!(response.detail().contains("admin"), "{}", response.text());
    ask(Caller::other(), "/orders/7").assert_refused(403, "scope-missing");
    assert_eq!(upstream.heard().len(), 1);
}

#[test]
fn a_scope_is_asked_for_only_once_the_caller_is_proven() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).routes(ROUTES).start();
    let request = gateway.request("GET", "/orders/admin/x");
    gateway
        .send(
            &caller()
                .secret(b"not the secret of this very key!")
                .sign(&request),
        )
        .assert_refused(401, "credential-rejected");
    gateway
        .send(&request)
        .assert_refused(401, "credential-missing");
    upstream.assert_silent();
}

#[test]
fn no_route_and_a_wrong_method_are_told_apart() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).routes(ROUTES).start();
    gateway
        .send(&caller().sign(&gateway.request("GET", "/elsewhere")))
        .assert_refused(404, "no-route");
    gateway
        .send(&gateway.request("GET", "/open/x"))
        .assert_refused(404, "no-route");
    let gateway = Setup::before(&upstream)
        .routes(&ROUTES.replace("\"/open\"", "\"/open\"\nmethods = [\"GET\", \"PUT\"]"))
        .start();
    let response = gateway.send(&gateway.request("POST", "/open"));
    response.assert_refused(405, "method-not-allowed");
    assert_eq!(response.field("allow"), Some("GET, HEAD, PUT"));
    upstream.assert_silent();
}

#[test]
fn who_guards_get_guards_head() {
    let upstream = Upstream::start();
    let all = "[[routes]]\nname = \"all\"\npath = \"/**\"\nupstream = \"backend\"\naccept = [\"public\"]\n";
    let route = |name: &str, method: &str| {
        format!(
            "[[routes]]\nname = \"{name}\"\npath = \"/reports/*\"\nmethods = [\"{method}\"]\nupstream = \"backend\"\naccept = [\"http-signature\"]\n"
        )
    };
    let own = route("own", "HEAD").replace("http-signature", "public");
    let head = |routes: &str| {
        let gateway = Setup::before(&upstream).routes(routes).start();
        let mut connection = gateway.connect();
        connection.send(&gateway.request("HEAD", "/reports/42").bytes());
        connection.response_to("HEAD").status
    };
    assert_eq!(head(&format!("{all}{}", route("get", "GET"))), 401);
    upstream.assert_silent();
    assert_eq!(head(&format!("{all}{}", route("put", "PUT"))), 200);
    assert_eq!(head(&format!("{all}{own}{}", route("get", "GET"))), 200);
}

#[test]
fn anyone_passes_a_public_route_as_nobody() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).routes(ROUTES).start();
    let forged = gateway
        .request("GET", "/open")
        .field("Portcullis-App", "mobile")
        .field("Portcullis-Assurance", "signed");
    gateway.send(&forged).assert_passed();
    let got = upstream.only();
    assert_eq!(got.field("portcullis-app"), None);
    assert_eq!(got.field("portcullis-key"), None);
    assert_eq!(got.field("portcullis-scopes"), None);
    assert!(
        got.field("portcullis-assurance")
            .is_none_or(|value| value == "none")
    );
}

#[test]
fn hosts_have_routes_of_their_own() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .routes(
            "[[routes]]\nname = \"a\"\nhost = \"a.example\"\npath = \"/**\"\nupstream = \"backend\"\naccept = [\"public\"]\n\
             [[routes]]\nname = \"any\"\nhost = \"*.b.example\"\npath = \"/**\"\nupstream = \"backend\"\naccept = [\"http-signature\"]\n",
        )
        .start();
    let ask = |host: &str| {
        gateway
            .send(&gateway.request("GET", "/").authority(host))
            .status
    };
    assert_eq!(ask("a.example"), 200);
    assert_eq!(ask("A.EXAMPLE:80"), 200);
    assert_eq!(ask("x.b.example"), 401);
    assert_eq!(ask("b.example"), 404);
    assert_eq!(ask("y.x.b.example"), 404);
    assert_eq!(ask("c.example"), 404);
}

#[test]
fn the_same_path_in_another_spelling_has_the_same_route() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .routes(ROUTES)
        .app("scopes = [\"orders\"]")
        .start();
    for target in ["/orders/%61dmin/x", "/%6Frders/admin/x", "/orders/adm%69n/"] {
        gateway
            .send(&caller().sign(&gateway.request("GET", target)))
            .assert_refused(403, "scope-missing");
    }
    upstream.assert_silent();
}
