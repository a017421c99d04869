//! `gateway.toml`. In: a text.

use portcullis::config::{Severity, from_text};

/// What must hold of any text.
pub(super) fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let problems = match from_text(text, "gateway.toml") {
        Ok(loaded) => {
            let config = &loaded.config;
            assert!(config.server.workers > 0 && !config.server.listen.is_empty());
            assert_eq!(config.gateway.apps.len(), config.gateway.plans.len());
            for route in config.gateway.routes.routes() {
                assert!(config.gateway.upstreams.get(route.upstream).is_some());
            }
            for upstream in &config.gateway.upstreams {
                assert!(!upstream.servers.is_empty());
            }
            loaded.warnings
        }
        Err(report) => {
            assert!(
                report
                    .problems()
                    .iter()
                    .any(|it| it.severity == Severity::Error)
            );
            // It can be shown, in every form.
            assert!(!report.to_string().is_empty());
            assert!(!report.coloured().is_empty());
            assert!(report.to_json().is_object() || report.to_json().is_array());
            report.problems().to_vec()
        }
    };
    let lines = text.split('\n').count();
    for problem in problems {
        assert!(problem.line <= lines, "line {} of {lines}", problem.line);
        assert!(!problem.message.is_empty());
    }
}
