//! Every operation, in one table: the routes, and what the document tells of them.

use super::operations::{Effect, Operation, Parameter, Run};
use super::problem::Code;
use super::tokens::Role;
use super::{apps, devices, history, keys, openapi, process};

const LIMIT: Parameter = Parameter {
    name: "limit",
    about: "How many at most, 1 to 1000; 100 where it is not said",
    words: &[],
};
const PAGE: Parameter = Parameter {
    name: "page",
    about: "Where to go on: `next` of the answer before",
    words: &[],
};
const SOURCE: Parameter = Parameter {
    name: "source",
    about: "Only those from there",
    words: &["gateway.toml", "registry"],
};
const OF_APP: Parameter = text("app", "Only those of this app");
const THE_APP: Parameter = text("app", "Those of this app; it has to be said");

const fn text(name: &'static str, about: &'static str) -> Parameter {
    Parameter {
        name,
        about,
        words: &[],
    }
}

/// What looks.
const fn looks(
    id: &'static str,
    path: &'static str,
    summary: &'static str,
    answer: &'static str,
    run: Run,
) -> Operation {
    Operation {
        id,
        method: "GET",
        path,
        summary,
        about: "",
        role: Role::Read,
        effect: Effect::Looks,
        query: &[],
        body: None,
        needs_body: false,
        answer: (200, answer),
        refuses: &[Code::NotFound],
        run,
    }
}

/// What makes something of a body.
const fn makes(
    id: &'static str,
    path: &'static str,
    summary: &'static str,
    (body, answer): (&'static str, &'static str),
    run: Run,
) -> Operation {
    Operation {
        method: "POST",
        role: Role::Write,
        effect: Effect::Makes,
        body: Some(body),
        needs_body: true,
        answer: (201, answer),
        refuses: &[Code::NotFound, Code::Exists],
        about: "Asked for again under the same name it changes nothing: 409 `exists`.",
        ..looks(id, path, summary, answer, run)
    }
}

/// What changes what exists.
const fn changes(
    id: &'static str,
    (method, path): (&'static str, &'static str),
    summary: &'static str,
    (body, answer): (Option<&'static str>, &'static str),
    run: Run,
) -> Operation {
    Operation {
        method,
        role: Role::Write,
        effect: Effect::Changes,
        body,
        about: "Asked for again with the same tag it changes nothing more: 412 `stale`.",
        ..looks(id, path, summary, answer, run)
    }
}

/// All of them.
pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        about: "The only path that is answered without a token.",
        refuses: &[],
        ..looks(
            "document",
            openapi::PATH,
            "This document",
            "Document",
            process::document,
        )
    },
    Operation {
        refuses: &[],
        ..looks(
            "status",
            "/v1/status",
            "What this gateway is",
            "Status",
            process::status,
        )
    },
    Operation {
        about: "What SIGHUP does, with an answer: whole or not at all. Asked for again it changes nothing more.",
        body: None,
        needs_body: false,
        answer: (200, "Reloaded"),
        refuses: &[Code::NotReloaded],
        ..makes(
            "reload",
            "/v1/reload",
            "Read gateway.toml again",
            ("", "Reloaded"),
            process::reload,
        )
    },
    Operation {
        query: &[SOURCE, LIMIT, PAGE],
        refuses: &[Code::Unreadable],
        ..looks(
            "listApps",
            "/v1/apps",
            "Every app, by name",
            "AppPage",
            apps::list,
        )
    },
    makes(
        "createApp",
        "/v1/apps",
        "Make an app",
        ("AppNew", "AppChanged"),
        apps::create,
    ),
    looks("showApp", "/v1/apps/{app}", "One app", "App", apps::show),
    changes(
        "changeApp",
        ("PATCH", "/v1/apps/{app}"),
        "Change an app",
        (Some("AppChange"), "AppChanged"),
        apps::change,
    ),
    Operation {
        about: "Where none is listed every build gets tokens: the first one that is listed shuts out the others.",
        ..changes(
            "takeBuild",
            ("PUT", "/v1/apps/{app}/builds/{build}"),
            "Let a build of an app get tokens",
            (None, "AppChanged"),
            apps::take_build,
        )
    },
    Operation {
        about: "Tokens that it has prove nothing any more. The last one of the list stays, since none listed is every build.",
        ..changes(
            "refuseBuild",
            ("DELETE", "/v1/apps/{app}/builds/{build}"),
            "Let a build of an app get no tokens",
            (None, "AppChanged"),
            apps::refuse_build,
        )
    },
    changes(
        "deleteApp",
        ("DELETE", "/v1/apps/{app}"),
        "Delete an app with its keys, instances and codes",
        (None, "AppChanged"),
        apps::delete,
    ),
    Operation {
        about: "No secret is ever among them.",
        query: &[OF_APP, SOURCE, LIMIT, PAGE],
        ..looks(
            "listKeys",
            "/v1/keys",
            "Every key, by id",
            "KeyPage",
            keys::list,
        )
    },
    Operation {
        about: "The secret of a key that we make is in this one answer, and nowhere else. Asked for again under the same id it changes nothing: 409 `exists`.",
        refuses: &[Code::NotFound, Code::Exists, Code::TooMany],
        ..makes(
            "createKey",
            "/v1/keys",
            "Make a key",
            ("KeyNew", "KeyMade"),
            keys::create,
        )
    },
    looks("showKey", "/v1/keys/{key}", "One key", "Key", keys::show),
    changes(
        "changeKey",
        ("PATCH", "/v1/keys/{key}"),
        "Change a key",
        (Some("KeyChange"), "KeyChanged"),
        keys::change,
    ),
    changes(
        "deleteKey",
        ("DELETE", "/v1/keys/{key}"),
        "Delete a key that is retired",
        (None, "KeyChanged"),
        keys::delete,
    ),
    Operation {
        about: "In one step: the new key has the scopes and limits of the app, what the old one may prove, and its end; the old one drains for the overlap, or in a panic is retired at once. The secret is in this one answer.",
        answer: (201, "KeyRotated"),
        refuses: &[Code::NotFound, Code::Exists, Code::State, Code::TooMany],
        ..changes(
            "rotateKey",
            ("POST", "/v1/keys/{key}/rotate"),
            "Put a new key in place of an old one",
            (Some("Rotation"), "KeyRotated"),
            keys::rotated,
        )
    },
    changes(
        "retireKey",
        ("POST", "/v1/keys/{key}/retire"),
        "Retire a key, now or at a moment until which it drains",
        (Some("Retirement"), "KeyChanged"),
        keys::retire,
    ),
    changes(
        "revokeKey",
        ("POST", "/v1/keys/{key}/revoke"),
        "Retire a key at once, since somebody else has it",
        (None, "KeyChanged"),
        keys::revoke,
    ),
    Operation {
        about: "Another can take its place where it is active, can prove a scheme that this one can, and attests where this one does. `other_active_keys` are those.",
        refuses: &[Code::NotFound, Code::Configured],
        query: &[text(
            "quiet_seconds",
            "For how long it must not have been used; a week where it is not said",
        )],
        ..looks(
            "safeToRetire",
            "/v1/keys/{key}/safe-to-retire",
            "Whether a key is safe to retire: another can take its place, and nobody still uses it",
            "Safety",
            history::safe_to_retire,
        )
    },
    Operation {
        query: &[THE_APP, LIMIT, PAGE],
        ..looks(
            "listInstances",
            "/v1/instances",
            "The instances of an app, by id, each with the build as which it was last seen",
            "InstancePage",
            devices::instances,
        )
    },
    looks(
        "showInstance",
        "/v1/instances/{instance}",
        "One instance",
        "Instance",
        devices::instance,
    ),
    changes(
        "revokeInstance",
        ("POST", "/v1/instances/{instance}/revoke"),
        "Let an instance prove nothing any more",
        (None, "InstanceChanged"),
        devices::revoke,
    ),
    Operation {
        query: &[THE_APP, LIMIT, PAGE],
        ..looks(
            "listEnrolments",
            "/v1/enrolments",
            "The codes by which instances of an app enrol",
            "EnrolmentPage",
            devices::enrolments,
        )
    },
    Operation {
        about: "The code is in this one answer, and nowhere else. Asked for again it makes another.",
        ..makes(
            "createEnrolment",
            "/v1/enrolments",
            "Make a code by which instances of an app enrol",
            ("EnrolmentNew", "EnrolmentMade"),
            devices::enrol,
        )
    },
    changes(
        "withdrawEnrolment",
        ("DELETE", "/v1/enrolments/{enrolment}"),
        "Withdraw a code",
        (None, "EnrolmentChanged"),
        devices::withdraw,
    ),
    Operation {
        about: "The latest first. With filters a page may have fewer lines than asked for, or none, and still a `next`.",
        query: &[
            Parameter {
                name: "log",
                about: "What was changed, or what was refused and alarms",
                words: &["changes", "events"],
            },
            text("who", "Only what they did"),
            text("what", "Only that: `key.rotate`, or all of a kind, `key`"),
            text("target", "Only what was done to that: `key/mobile-2026`"),
            text("since", "From this moment on"),
            text("until", "Before this moment"),
            LIMIT,
            PAGE,
        ],
        refuses: &[],
        ..looks(
            "audit",
            "/v1/audit",
            "What was done, and by whom",
            "AuditPage",
            history::audit,
        )
    },
];
