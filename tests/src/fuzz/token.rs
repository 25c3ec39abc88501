//! Any text as a page token: an answer bound to its thread and list, or the error for a cursor;
//! never rows of another thread, and never another text for the same place.
//!
//! Input: request, then a text; or a real token and changes of it; or the fields of a token.

use std::cell::OnceCell;

use serde_json::Value;
use turnleaf::{
    Error, ErrorKind, ItemsRequest, ItemsView, Options, Order, Store, ThreadsRequest, TurnsRequest,
};
use turnleaf_format::{Ordinal, StoreId, ThreadNumber};
use turnleaf_projector::index::{PageToken, Spot};

use super::Bytes;
use super::seeds::small_thread;
use crate::answers::all_threads;
use crate::sim_disk::SimDisk;
use crate::stores::{STORE, open_store};

const THREADS: usize = 3;
const LISTS: usize = 2 * THREADS + 1;

/// One list that pages are asked of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum List {
    Turns(usize),
    Items(usize),
    Threads,
}

const ALL: [List; LISTS] = [
    List::Turns(0),
    List::Turns(1),
    List::Turns(2),
    List::Items(0),
    List::Items(1),
    List::Items(2),
    List::Threads,
];

struct Shop {
    store: Store,
    ids: Vec<String>,
    /// Ascending, by list.
    rows: Vec<Vec<Value>>,
    /// With the list that each is of.
    tokens: Vec<(List, String)>,
}

thread_local! {
    static SHOP: OnceCell<Shop> = const { OnceCell::new() };
}

/// Runs the target.
///
/// # Panics
/// When a law is broken.
pub fn run(input: &[u8]) {
    SHOP.with(|shop| {
        let shop = shop.get_or_init(build);
        let mut input = Bytes(input);
        let list = ALL[input.below(7)];
        let order = [Order::Ascending, Order::Descending][input.below(2)];
        let limit = 1 + input.below(5);
        let way = input.byte();
        let text = match way % 4 {
            0 => String::from_utf8_lossy(input.rest()).into_owned(),
            1 => shop.tokens[usize::from(input.byte()) % shop.tokens.len()]
                .1
                .clone(),
            2 => changed(shop, &mut input),
            _ => made(&mut input, seed(list, order)),
        };
        check(shop, list, order, limit, &text);
    });
}

fn changed(shop: &Shop, input: &mut Bytes<'_>) -> String {
    let at = usize::from(input.byte()) % shop.tokens.len();
    let mut text = shop.tokens[at].1.clone().into_bytes();
    for pair in input.rest().chunks(2).take(8) {
        let at = usize::from(pair[0]) % text.len();
        text[at] = pair.get(1).copied().unwrap_or(b'0');
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// A token with a right checksum for a place that nobody may have named.
fn made(input: &mut Bytes<'_>, seed: StoreId) -> String {
    let (scope, list, include) = (input.byte() % 3, input.byte(), input.byte() % 2 == 1);
    let mut number = || {
        let bytes: [u8; 8] = std::array::from_fn(|_| input.byte());
        // Small numbers are likelier to be a place.
        let number = u64::from_le_bytes(bytes);
        if bytes[7].is_multiple_of(2) {
            number % 256
        } else {
            number
        }
    };
    let (thread, at) = (ThreadNumber(number()), Ordinal(number()));
    let spot = match scope {
        0 => Spot::Turns(thread, at),
        1 => Spot::Items(thread, at),
        _ => Spot::Threads {
            list: list % 4,
            key: at.0.cast_signed(),
            thread,
        },
    };
    PageToken { spot, include }.to_text(seed)
}

/// What tokens of a list are checked against: those of threads are bound to filters and order.
fn seed(list: List, order: Order) -> StoreId {
    match list {
        List::Threads => turnleaf::bound_to(STORE, &all_threads(), order),
        List::Turns(_) | List::Items(_) => STORE,
    }
}

fn check(shop: &Shop, list: List, order: Order, limit: usize, text: &str) {
    let seed = seed(list, order);
    let token = PageToken::parse(text, seed);
    if let Ok(token) = &token {
        assert_eq!(token.to_text(seed), text, "two texts of one token");
    }
    let token = token.ok();
    let number = |at: usize| ThreadNumber(at as u64 + 1);
    let fits = match (list, token.map(|token| token.spot)) {
        (List::Turns(at), Some(Spot::Turns(thread, _)))
        | (List::Items(at), Some(Spot::Items(thread, _))) => thread == number(at),
        (List::Threads, Some(Spot::Threads { list, .. })) => list == 0,
        _ => false,
    };
    match ask(shop, list, order, limit, Some(text)) {
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
            assert!(!fits, "a token of this list is refused");
        }
        Ok((rows, _)) => {
            assert!(fits, "an answer to no token of this list");
            let token = token.expect("it fits");
            let expect = expected(shop, list, order, limit, &token);
            assert!(rows == expect, "other rows than those behind the place");
        }
    }
}

/// What a page behind the place holds, by going along the whole list.
fn expected(shop: &Shop, list: List, order: Order, limit: usize, token: &PageToken) -> Vec<Value> {
    let at = ALL.iter().position(|one| *one == list).unwrap_or(0);
    let all = &shop.rows[at];
    let here = |row: &&Value| {
        let place = match token.spot {
            Spot::Turns(_, at) | Spot::Items(_, at) => (i128::from(at.0), 0),
            Spot::Threads { key, thread, .. } => (i128::from(key), thread.0),
        };
        let row = place_of(shop, list, row);
        (token.include && row == place)
            || match order {
                Order::Ascending => row > place,
                Order::Descending => row < place,
            }
    };
    let mut rows: Vec<Value> = all.iter().filter(here).cloned().collect();
    if order == Order::Descending {
        rows.reverse();
    }
    rows.truncate(limit);
    rows
}

/// Where a row stands in its list. A turn does not say it; its token does.
fn place_of(shop: &Shop, list: List, row: &Value) -> (i128, u64) {
    match list {
        List::Items(_) => (row["ordinal"].as_u64().map_or(-1, i128::from), 0),
        List::Threads => {
            let id = row["id"].as_str().unwrap_or_default();
            let number = shop.ids.iter().position(|known| known == id);
            let number = number.map_or(0, |at| at as u64 + 1);
            let made = shop.tokens.iter().find_map(|(of, text)| {
                let token = PageToken::parse(text, seed(list, Order::Descending)).ok()?;
                match token.spot {
                    Spot::Threads { key, thread, .. } if *of == list => {
                        (thread.0 == number).then_some(key)
                    }
                    _ => None,
                }
            });
            (made.map_or(-1, i128::from), number)
        }
        List::Turns(at) => {
            let rows = &shop.rows[at];
            let place = rows.iter().position(|one| one == row).unwrap_or(usize::MAX);
            let mut own = shop.tokens.iter().filter(|(of, _)| *of == list);
            let token = own
                .nth(place)
                .map(|(_, text)| PageToken::parse(text, STORE));
            match token {
                Some(Ok(PageToken {
                    spot: Spot::Turns(_, at),
                    ..
                })) => (i128::from(at.0), 0),
                _ => (-1, 0),
            }
        }
    }
}

type Rows = (Vec<Value>, Option<String>);

fn ask(
    shop: &Shop,
    list: List,
    order: Order,
    limit: usize,
    cursor: Option<&str>,
) -> Result<Rows, Error> {
    let (store, cursor) = (&shop.store, cursor.map(str::to_owned));
    match list {
        List::Turns(at) => store
            .turns(&TurnsRequest {
                thread: shop.ids[at].clone(),
                cursor,
                limit,
                order,
                items: ItemsView::NotLoaded,
            })
            .map(|page| (page.values(), page.backwards_cursor)),
        List::Items(at) => store
            .items(&ItemsRequest {
                thread: shop.ids[at].clone(),
                turn: None,
                all: false,
                cursor,
                limit,
                order,
            })
            .map(|page| (page.values(), page.backwards_cursor)),
        List::Threads => store
            .threads(&ThreadsRequest {
                cursor,
                limit,
                order,
                ..all_threads()
            })
            .map(|page| (page.threads, page.backwards_cursor)),
    }
}

/// Three threads, all their rows, and the token of every row.
fn build() -> Shop {
    let options = Options {
        journal_first_bytes: 64 << 10,
        journal_file_bytes: 256 << 10,
        reserve_bytes: 0,
        ..Options::default()
    };
    let store = open_store(&SimDisk::new(), &options).expect("memory");
    let mut shop = Shop {
        store,
        ids: Vec::new(),
        rows: vec![Vec::new(); LISTS],
        tokens: Vec::new(),
    };
    for number in 0..THREADS {
        let id = format!("thread-{number}");
        shop.store.create_thread(&id).expect("a new thread");
        let lines = small_thread(&id, 8);
        let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
        shop.store.append(&id, None, &lines).expect("room");
        shop.ids.push(id);
    }
    for (at, list) in ALL.iter().enumerate() {
        let (rows, _) = ask(&shop, *list, Order::Ascending, 1000, None).expect("rows");
        assert!(rows.len() > 1, "{list:?} has rows to tell apart");
        let mut cursor: Option<String> = None;
        for _ in 0..rows.len() {
            // The token that leads back names the row itself.
            let page = ask(&shop, *list, Order::Ascending, 1, cursor.as_deref()).expect("a row");
            let back = page.1.expect("a page has a way back");
            let leads_back = seed(*list, Order::Descending);
            let mut token = PageToken::parse(&back, leads_back).expect("a token");
            token.include = false;
            cursor = Some(token.to_text(seed(*list, Order::Ascending)));
            shop.tokens.push((*list, back));
        }
        shop.rows[at] = rows;
    }
    shop
}
