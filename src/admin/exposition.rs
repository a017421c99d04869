//! The two forms of the page of metrics, and which of them a reader asks for.
//!
//! Rooms write it as `OpenMetrics`. Whoever does not ask for that gets the text form that was before it, which knows
//! no `info`, and in which a counter's family is called as its series.

use http::HeaderMap;
use http::header::ACCEPT;
use std::fmt::Write as _;

/// A form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    OpenMetrics,
    Text,
}

impl Form {
    /// The one that a reader likes best, by the `Accept` among its fields.
    pub(super) fn asked_for(fields: &HeaderMap) -> Self {
        let values = fields.get_all(ACCEPT).iter();
        let accepted = values.filter_map(|value| value.to_str().ok());
        let (mut open, mut text) = (0.0, 0.0);
        for one in accepted.flat_map(|value| value.split(',')) {
            let (kind, parameters) = one.split_once(';').unwrap_or((one, ""));
            let best = match kind.trim().to_ascii_lowercase().as_str() {
                "application/openmetrics-text" => &mut open,
                "text/plain" => &mut text,
                _ => continue,
            };
            *best = f32::max(*best, weight(parameters));
        }
        if open > 0.0 && open >= text {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }

    /// Its media type.
    pub(super) const fn media_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// A page of `OpenMetrics` in this form.
    pub(super) fn of(self, page: String) -> String {
        match self {
            Self::OpenMetrics => page,
            Self::Text => text(&page),
        }
    }
}

/// How much one thing is liked (RFC 9110, section 12.4.2).
fn weight(parameters: &str) -> f32 {
    let weight = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let is_weight = name.trim().eq_ignore_ascii_case("q");
        is_weight.then(|| value.trim().parse().unwrap_or(0.0))
    });
    weight.unwrap_or(1.0)
}

fn text(page: &str) -> String {
    let mut out = String::with_capacity(page.len() + page.len() / 8);
    let mut help = "";
    for line in page.lines() {
        if let Some(told) = line.strip_prefix("# HELP ") {
            // Its name stands below, with the type.
            help = told.split_once(' ').map_or("", |(_, help)| help);
        } else if let Some(told) = line.strip_prefix("# TYPE ") {
            let (name, kind) = told.split_once(' ').unwrap_or((told, "untyped"));
            let (end, kind) = match kind {
                "counter" => ("_total", kind),
                "info" => ("_info", "gauge"),
                _ => ("", kind),
            };
            let _ = writeln!(out, "# HELP {name}{end} {help}\n# TYPE {name}{end} {kind}");
        } else if line != "# EOF" {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked_for(accept: &[&'static str]) -> Form {
        let mut fields = HeaderMap::new();
        for value in accept {
            fields.append(ACCEPT, http::HeaderValue::from_static(value));
        }
        Form::asked_for(&fields)
    }

    #[test]
    fn each_reader_gets_the_form_that_it_likes_best() {
        for accept in [
            // Prometheus, of 2026 and of 2020.
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            "application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            "Application/OpenMetrics-Text",
            "text/plain;q=0.5, application/openmetrics-text;q=0.5",
        ] {
            assert_eq!(asked_for(&[accept]), Form::OpenMetrics, "{accept}");
        }
        for accept in [
            // Readers of the text form, such as vmagent and Netdata; curl; browsers.
            "text/plain;version=0.0.4;q=1,*/*;q=0.1",
            "text/plain",
            "*/*",
            "text/html,application/xhtml+xml,*/*;q=0.8",
            "application/openmetrics-text;q=0, text/plain",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=x",
            "application/openmetrics-text ; Q=0.2 , text/plain ; Q=0.9",
            "application/openmetrics",
            ";,;q=,",
            "",
        ] {
            assert_eq!(asked_for(&[accept]), Form::Text, "{accept}");
        }
        assert_eq!(asked_for(&[]), Form::Text);
        let two = ["text/plain;q=0.5", "application/openmetrics-text"];
        assert_eq!(asked_for(&two), Form::OpenMetrics);
    }

    #[test]
    fn the_text_form_names_a_counter_as_its_series_and_has_no_info_and_no_last_line() {
        let page = "# HELP a_requests Requests.\n# TYPE a_requests counter\na_requests_total{b=\"# EOF\"} 1\n\
                    # HELP a_build What is running.\n# TYPE a_build info\na_build_info{version=\"1\"} 1\n\
                    # HELP a_seconds From start to end.\n# TYPE a_seconds histogram\na_seconds_sum 0.5\n\
                    # HELP a_open Open.\n# TYPE a_open gauge\na_open 3\n# EOF\n";
        assert_eq!(Form::OpenMetrics.of(page.to_owned()), page);
        assert_eq!(
            Form::Text.of(page.to_owned()),
            "# HELP a_requests_total Requests.\n# TYPE a_requests_total counter\na_requests_total{b=\"# EOF\"} 1\n\
             # HELP a_build_info What is running.\n# TYPE a_build_info gauge\na_build_info{version=\"1\"} 1\n\
             # HELP a_seconds From start to end.\n# TYPE a_seconds histogram\na_seconds_sum 0.5\n\
             # HELP a_open Open.\n# TYPE a_open gauge\na_open 3\n"
        );
    }
}
