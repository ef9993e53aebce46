//! Prometheus metrics, as a scraper sees them.

use std::time::Duration;

use anyhow::{Context, Result};

/// The metrics of one process at one moment.
#[derive(Clone, Debug)]
pub struct Metrics(Vec<Sample>);

#[derive(Clone, Debug)]
struct Sample {
    name: String,
    labels: String,
    value: f64,
}

impl Metrics {
    /// Scrapes a process on loopback.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn scrape(port: u16) -> Result<Self> {
        Self::parse(&Self::text(port).await?)
    }

    /// The text that a process serves on a loopback port.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn text(port: u16) -> Result<String> {
        let url = format!("http://127.0.0.1:{port}/metrics");
        let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build()?;
        Ok(client.get(&url).send().await?.error_for_status()?.text().await?)
    }

    /// Reads the text exposition format.
    ///
    /// # Errors
    /// A line is not of that format.
    pub fn parse(text: &str) -> Result<Self> {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let sample = |line: &str| {
            let (series, value) = line.rsplit_once(' ').with_context(|| format!("not a sample: {line}"))?;
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let value = value.parse().with_context(|| format!("not a number: {line}"))?;
            Ok(Sample { name: name.to_owned(), labels: labels.to_owned(), value })
        };
        Ok(Self(lines.map(sample).collect::<Result<_>>()?))
    }

    /// The sum over all series of a name whose labels have this value somewhere; empty for all of them.
    pub fn sum(&self, name: &str, label: &str) -> f64 {
        let quoted = format!("\"{label}\"");
        let matching =
            self.0.iter().filter(|s| s.name == name && (label.is_empty() || s.labels.contains(&quoted)));
        matching.map(|sample| sample.value).sum()
    }

    /// Whether there is a series of this name.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|sample| sample.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_of_a_name_are_summed_by_label() {
        let text = "# TYPE a counter\na{source=\"erp\"} 3\na{source=\"wms\"} 4\nb 1\n";
        let metrics = Metrics::parse(text).unwrap();
        assert_eq!((metrics.sum("a", ""), metrics.sum("a", "wms"), metrics.sum("b", "")), (7.0, 4.0, 1.0));
        assert!(metrics.has("b") && !metrics.has("c"));
    }
}
