//! Numbers with labels that other rooms keep, read whenever the page is asked for.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// What such a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// How much there is now.
    Gauge,
    /// How often something has happened.
    Counter,
}

/// One number, with its labels.
#[derive(Clone, Debug)]
pub struct One {
    /// Names and values, as the configuration or the code says them.
    pub labels: Vec<(&'static str, String)>,
    /// The number.
    pub value: u64,
}

/// All that are shown.
#[derive(Clone, Default)]
pub(super) struct Series(Arc<Mutex<Vec<Shown>>>);

type Read = Box<dyn Fn() -> Vec<One> + Send + Sync>;

struct Shown {
    kind: Kind,
    name: &'static str,
    help: &'static str,
    read: Read,
}

impl Series {
    pub(super) fn show(&self, kind: Kind, name: &'static str, help: &'static str, read: Read) {
        let mut shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shown.retain(|known| known.name != name);
        shown.push(Shown {
            kind,
            name,
            help,
            read,
        });
    }
}

impl Collector for Series {
    fn encode(&self, mut page: DescriptorEncoder<'_>) -> fmt::Result {
        let shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for one in &*shown {
            let kind = match one.kind {
                Kind::Gauge => MetricType::Gauge,
                Kind::Counter => MetricType::Counter,
            };
            let mut family = page.encode_descriptor(one.name, one.help, None, kind)?;
            for One { labels, value } in (one.read)() {
                let metric = family.encode_family(&labels)?;
                match one.kind {
                    Kind::Gauge => ConstGauge::new(value as i64).encode(metric)?,
                    Kind::Counter => ConstCounter::new(value).encode(metric)?,
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Series")
    }
}
