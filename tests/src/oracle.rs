//! Owns the judgement over a log that was found after a crash: all acknowledged, of the one
//! unacknowledged group at most a prefix of whole batches per thread, nothing else.

use std::collections::BTreeMap;

/// One record as the rigs compare it.
pub type Rec = Vec<u8>;

/// What must be there, and what may be.
#[derive(Debug, Clone, Default)]
pub struct Expectation {
    /// Acknowledged records by thread.
    pub acked: BTreeMap<String, Vec<Rec>>,
    /// Batches that were staged and not acknowledged, in order.
    pub pending: Vec<(String, Vec<Rec>)>,
}

impl Expectation {
    /// Moves what was pending to what is acknowledged.
    pub fn acknowledge(&mut self) {
        for (thread, batch) in std::mem::take(&mut self.pending) {
            self.acked.entry(thread).or_default().extend(batch);
        }
    }

    /// Judges what was found.
    ///
    /// # Errors
    /// A sentence that names the violation.
    pub fn judge(&self, found: &BTreeMap<String, Vec<Rec>>) -> Result<(), String> {
        for (thread, acked) in &self.acked {
            let Some(records) = found.get(thread) else {
                return Err(format!(
                    "thread {thread} with {} records is lost",
                    acked.len()
                ));
            };
            if records.len() < acked.len() {
                let (have, want) = (records.len(), acked.len());
                return Err(format!(
                    "thread {thread}: {have} of {want} acknowledged records"
                ));
            }
            let differs = records
                .iter()
                .zip(acked)
                .position(|(one, other)| one != other);
            if let Some(at) = differs {
                return Err(format!("thread {thread}: record {at} is another"));
            }
        }
        let nothing = Vec::new();
        for (thread, records) in found {
            let acked = self.acked.get(thread).unwrap_or(&nothing).len();
            let mut rest = &records[acked..];
            for (_, batch) in self.pending.iter().filter(|(of, _)| of == thread) {
                match rest.strip_prefix(batch.as_slice()) {
                    Some(after) => rest = after,
                    None => break,
                }
            }
            if !rest.is_empty() {
                return Err(format!(
                    "thread {thread}: {} records nobody sent",
                    rest.len()
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(records: &[&str]) -> BTreeMap<String, Vec<Rec>> {
        let records = records
            .iter()
            .map(|text| text.as_bytes().to_vec())
            .collect();
        BTreeMap::from([("a".to_owned(), records)])
    }

    #[test]
    fn every_violation_is_seen() {
        let rec = |text: &str| text.as_bytes().to_vec();
        let expectation = Expectation {
            acked: BTreeMap::from([("a".to_owned(), vec![rec("1"), rec("2")])]),
            pending: vec![
                ("a".to_owned(), vec![rec("3"), rec("4")]),
                ("a".to_owned(), vec![rec("5")]),
            ],
        };
        let good: [&[&str]; 3] = [
            &["1", "2"],
            &["1", "2", "3", "4"],
            &["1", "2", "3", "4", "5"],
        ];
        for records in good {
            assert_eq!(expectation.judge(&found(records)), Ok(()), "{records:?}");
        }
        let bad: [&[&str]; 7] = [
            &["1"],
            &["2", "1"],
            &["1", "x"],
            &["1", "2", "3"],
            &["1", "2", "5"],
            &["1", "2", "2"],
            &["1", "2", "3", "4", "5", "6"],
        ];
        for records in bad {
            assert!(expectation.judge(&found(records)).is_err(), "{records:?}");
        }
        assert!(
            expectation.judge(&BTreeMap::new()).is_err(),
            "a lost thread"
        );
    }
}
