//! Owns the printing of damage: several reports of one file and one reason are one line.

use std::collections::HashSet;

use serde_json::{Value, json};
use turnleaf::{Damage, NamedRepair, Repair, Store};

use crate::exit::damage_json;

/// Threads that are named of several.
const NAMED_MAX: usize = 3;

/// A damage, and the id of the thread whose records it costs.
pub(crate) type Whose<'a> = (Option<&'a str>, &'a Damage);

/// Lines about damage, in the order of the first of each kind.
pub(crate) fn damage_lines<'a>(found: impl IntoIterator<Item = Whose<'a>>) -> Vec<String> {
    let alike = |(_, damage): &Whose<'_>| (damage.file.clone(), damage.cause.to_string());
    let lines = grouped(found, alike).into_iter().map(|group| {
        if let [(thread, damage)] = group.as_slice() {
            return format!("{}{damage}", whose(thread.as_slice()));
        }
        let places = group.len();
        let ids: Vec<&str> = group.iter().filter_map(|(thread, _)| *thread).collect();
        let (_, first) = group[0];
        if first.file.is_empty() {
            return format!("{}records are missing at {places} places", whose(&ids));
        }
        let (file, cause) = (&first.file, first.cause);
        format!(
            "{}{file} is damaged at {places} places: {cause}",
            whose(&ids)
        )
    });
    lines.collect()
}

/// Which threads show what is damaged of others: they were forked from those. One line, if any do.
pub(crate) fn inherited_line<'a>(
    store: &Store,
    found: impl IntoIterator<Item = &'a Damage>,
) -> Option<String> {
    let found = found.into_iter();
    let ids: Vec<String> = found
        .flat_map(|damage| store.inheriting_threads(damage))
        .collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let whose = whose(&ids);
    (!ids.is_empty()).then(|| format!("{whose}records that are inherited are damaged there"))
}

/// A damage for programs, with the threads that inherit what it costs.
pub(crate) fn damage_of_store(store: &Store, (thread, damage): Whose<'_>) -> Value {
    let mut shown = damage_json(thread, damage);
    shown["inheritedBy"] = json!(store.inheriting_threads(damage));
    shown
}

/// Lines about repairs, likewise, with the copies of what they took away.
pub(crate) fn repair_lines(repairs: &[NamedRepair]) -> Vec<String> {
    let alike = |repair: &&NamedRepair| {
        let cause = match &repair.repair {
            Repair::AcceptLoss { damage, .. } => damage.cause.to_string(),
            // Each is about a file of its own.
            other => other.to_string(),
        };
        (repair.repair.name(), repair.repair.file().to_owned(), cause)
    };
    let lines = grouped(repairs, alike).into_iter().map(|group| {
        let ids = group.iter().flat_map(|repair| &repair.threads);
        let ids: Vec<&str> = ids.map(String::as_str).collect();
        let (first, places) = (&group[0].repair, group.len());
        let does = match first {
            Repair::AcceptLoss { damage, .. } if places > 1 => {
                let (name, file, cause) = (first.name(), first.file(), damage.cause);
                format!("{name}: go on without what is lost at {places} places of {file} ({cause})")
            }
            _ => first.to_string(),
        };
        let copies: Vec<&str> = group.iter().filter_map(|one| one.copy.as_deref()).collect();
        let kept = match copies.as_slice() {
            [] => String::new(),
            [copy] => format!(" (kept in {copy})"),
            [first, ..] => format!(" ({} copies kept, as {first})", copies.len()),
        };
        format!("{}{does}{kept}", whose(&ids))
    });
    lines.collect()
}

/// Puts together what has the same key.
fn grouped<T, K: PartialEq>(
    all: impl IntoIterator<Item = T>,
    key: impl Fn(&T) -> K,
) -> Vec<Vec<T>> {
    let mut groups: Vec<(K, Vec<T>)> = Vec::new();
    for one in all {
        let of_one = key(&one);
        match groups.iter_mut().find(|(known, _)| *known == of_one) {
            Some((_, group)) => group.push(one),
            None => groups.push((of_one, vec![one])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

/// Whose records are meant; each thread once.
pub(crate) fn whose(ids: &[&str]) -> String {
    let mut seen = HashSet::new();
    let mut named: Vec<&str> = Vec::new();
    for id in ids {
        if seen.insert(*id) && named.len() < NAMED_MAX {
            named.push(id);
        }
    }
    match (named.as_slice(), seen.len()) {
        ([], _) => String::new(),
        ([id], _) => format!("thread {id}: "),
        (_, count) => {
            let more = if count > NAMED_MAX { ", .." } else { "" };
            format!("{count} threads ({}{more}): ", named.join(", "))
        }
    }
}
