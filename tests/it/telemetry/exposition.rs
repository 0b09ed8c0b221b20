//! The text format of Prometheus, read strictly: what a scraper would stumble over fails the test.

use std::collections::{BTreeMap, BTreeSet};

/// What one program has told.
#[derive(Debug)]
pub struct Exposition {
    kinds: BTreeMap<String, String>,
    samples: BTreeMap<String, BTreeMap<String, f64>>,
}

impl Exposition {
    pub fn parse(text: &str) -> Self {
        let (mut kinds, mut helped) = (BTreeMap::new(), BTreeSet::new());
        let mut samples: BTreeMap<String, BTreeMap<String, f64>> = BTreeMap::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("a kind");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert!(kinds.insert(name.to_owned(), kind.to_owned()).is_none(), "twice: {line}");
            } else if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').expect("a help");
                assert!(!help.is_empty() && helped.insert(name.to_owned()), "{line}");
            } else {
                let (series, value) = line.rsplit_once(' ').expect("a value");
                let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
                let labels = labels.strip_suffix('}').expect("the end of labels");
                let value = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
                let previous = samples.entry(name.to_owned()).or_default().insert(labels.to_owned(), value);
                assert!(previous.is_none(), "twice: {line}");
            }
        }
        let told = Self { kinds, samples };
        for name in told.samples.keys() {
            let family = told.family(name);
            assert!(helped.contains(&family), "{name} has no help");
        }
        told.check_histograms();
        told
    }

    fn family(&self, name: &str) -> String {
        let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|ending| {
            let family = name.strip_suffix(ending)?;
            (self.kinds.get(family).map(String::as_str) == Some("histogram")).then(|| family.to_owned())
        });
        let family = of_histogram.unwrap_or_else(|| name.to_owned());
        assert!(self.kinds.contains_key(&family), "{name} has no type");
        family
    }

    /// The largest bucket has all of them.
    fn check_histograms(&self) {
        for (name, kind) in &self.kinds {
            let Some(counts) = self.samples.get(&format!("{name}_count")).filter(|_| kind == "histogram") else {
                continue;
            };
            for (labels, count) in counts {
                let buckets = &self.samples[&format!("{name}_bucket")];
                let of_series = buckets.iter().filter(|(bucket, _)| bucket.starts_with(labels.as_str()));
                let most = of_series
                    .filter(|(bucket, _)| bucket.contains("le=\"+Inf\""))
                    .map(|(_, count)| *count);
                assert_eq!(most.collect::<Vec<_>>(), [*count], "{name}{{{labels}}}");
            }
        }
    }

    /// The sum of the series of a name that have all of these labels.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let wanted: Vec<String> = labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
        let series = self.samples.get(name).into_iter().flatten();
        series
            .filter(|(found, _)| wanted.iter().all(|wanted| found.split(',').any(|label| label == wanted)))
            .map(|(_, value)| value)
            .sum()
    }

    /// Names of metrics that have samples.
    pub fn names(&self) -> BTreeSet<String> {
        self.samples.keys().map(|name| self.family(name)).collect()
    }
}
