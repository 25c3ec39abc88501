use std::io::ErrorKind;

use turnleaf_format::{Generation, ThreadNumber};

use super::{Findings, Severity};
use crate::catalogue::LossRecord;
use crate::error::{Cause, Damage, Unreadable};

fn unreadable(offset: u64) -> Unreadable {
    let why = (&std::io::Error::from(ErrorKind::Other)).into();
    Unreadable::at("journal/00000001.tlj", offset, why)
}

/// A loss that a repair could state.
fn with_a_loss() -> Findings {
    let mut findings = Findings::default();
    let damage = Damage {
        file: "journal/00000000.tlj".into(),
        offset: 8192,
        length: 8,
        thread: None,
        ordinals: None,
        cause: Cause::Missing,
    };
    let place = LossRecord::Journal {
        generation: Generation(1),
        offset: 8192,
        end: 8200,
    };
    findings.report(Severity::ClosesStore, damage, Some(place));
    findings
}

/// What looks lost may stand where the device did not read. [R:set-20]
#[test]
fn nothing_is_given_up_beside_what_could_not_be_read() {
    let mut findings = with_a_loss();
    findings.keep_hope();
    assert!(findings.losses[0].record.is_some());
    findings.unreadable(&unreadable(0));
    findings.keep_hope();
    let closed: Vec<_> = findings.losses.iter().map(|loss| loss.closes).collect();
    assert_eq!(closed, [Some(ThreadNumber::CATALOGUE); 2]);
    assert!(findings.losses.iter().all(|loss| loss.record.is_none()));
}

/// What one step could not read the owner learns, once, whatever becomes of the step's other
/// findings. [R:set-20]
#[test]
fn what_any_step_could_not_read_is_known() {
    let mut findings = Findings::default();
    findings.absorb_unreadable(vec![unreadable(0)]);
    findings.absorb_unreadable(vec![unreadable(0), unreadable(9)]);
    assert_eq!(findings.unreadable, [unreadable(0), unreadable(9)]);
    assert!(!findings.is_sound() && findings.damage.is_empty());
}
