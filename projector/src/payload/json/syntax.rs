//! Owns the grammar of JSON over bytes that come in pieces: where values begin and end, and whether
//! all of it is JSON. It must not know what values mean.

/// Deepest nesting that is followed: a bound of memory.
const DEPTH_MAX: usize = 1 << 16;

/// What the next bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    /// White space, outside of values.
    Skip,
    /// The bracket that begins a container, which is counted in the depth now.
    Open,
    /// The bracket that ends one, which is no longer.
    Close,
    /// A comma or colon.
    Between,
    /// A part of a key.
    Key { begins: bool, ends: bool },
    /// A part of a string, number or literal.
    Scalar { begins: bool, ends: bool },
}

/// What may come next outside of strings, numbers and literals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Expect {
    #[default]
    Value,
    ValueOrEnd,
    Key,
    KeyOrEnd,
    Colon,
    CommaOrEnd,
    Nothing,
}

/// Within which token the next byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Within {
    #[default]
    None,
    Text {
        is_key: bool,
    },
    Number,
    Literal(&'static [u8]),
}

/// The reader's place in the grammar.
#[derive(Debug, Clone, Default)]
pub(crate) struct Syntax {
    expect: Expect,
    within: Within,
    /// Of the open containers, whether each is an object.
    open: Vec<bool>,
    number: Number,
    escape: Escape,
    /// Bytes of a character that is not whole yet.
    character: Vec<u8>,
    is_broken: bool,
    is_no_text: bool,
}

impl Syntax {
    /// Number of open containers.
    pub(crate) fn depth(&self) -> usize {
        self.open.len()
    }

    /// Whether one value came, whole, and nothing else. A number at the top ends with the line.
    pub(crate) fn is_whole(&self) -> bool {
        let is_number = self.within == Within::Number && self.open.is_empty();
        let ended = self.expect == Expect::Nothing && self.within == Within::None;
        !self.is_broken && (ended || is_number && self.number.may_end())
    }

    /// Whether nothing but white space came.
    pub(crate) fn is_untouched(&self) -> bool {
        let is_first = self.expect == Expect::Value && self.open.is_empty();
        is_first && self.within == Within::None && !self.is_broken
    }

    /// Whether all bytes are UTF-8.
    pub(crate) fn is_text(&self) -> bool {
        !self.is_no_text
    }

    /// The line ends here.
    pub(crate) fn end(&mut self) {
        self.is_no_text |= !self.character.is_empty();
    }

    /// Checks that the next bytes go on being UTF-8.
    pub(crate) fn check_text(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let (false, Some((first, behind))) = (self.character.is_empty(), rest.split_first()) {
            self.character.push(*first);
            rest = behind;
            match std::str::from_utf8(&self.character) {
                Ok(_) => self.character.clear(),
                Err(error) if error.error_len().is_some() => self.is_no_text = true,
                Err(_) => {}
            }
            if self.is_no_text {
                return;
            }
        }
        if let Err(error) = std::str::from_utf8(rest) {
            self.is_no_text |= error.error_len().is_some();
            self.character = rest[error.valid_up_to()..].to_vec();
        }
    }

    /// The token that the bytes begin with, as far as they hold it, and its length; `None` when
    /// there are no bytes, or they can be no JSON.
    pub(crate) fn next_token(&mut self, bytes: &[u8]) -> Option<(Token, usize)> {
        let first = *bytes.first()?;
        if self.is_broken || self.is_no_text {
            return None;
        }
        let token = match self.within {
            Within::None => self.outside(first, bytes),
            Within::Text { is_key } => self.text(is_key, bytes, false),
            Within::Number => self.digits(bytes, false),
            Within::Literal(rest) => self.literal(rest, bytes, false),
        };
        self.is_broken |= token.is_none();
        token
    }

    fn outside(&mut self, first: u8, bytes: &[u8]) -> Option<(Token, usize)> {
        use Expect::{Colon, CommaOrEnd, Key, KeyOrEnd, Value, ValueOrEnd};
        let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        if is_blank(&first) {
            let len = bytes.iter().position(|byte| !is_blank(byte));
            return Some((Token::Skip, len.unwrap_or(bytes.len())));
        }
        match (self.expect, first) {
            (Value | ValueOrEnd, b'{' | b'[') => {
                if self.open.len() == DEPTH_MAX {
                    return None;
                }
                self.open.push(first == b'{');
                self.expect = if first == b'{' { KeyOrEnd } else { ValueOrEnd };
                Some((Token::Open, 1))
            }
            (ValueOrEnd | CommaOrEnd, b']') => self.close(false),
            (KeyOrEnd | CommaOrEnd, b'}') => self.close(true),
            (CommaOrEnd, b',') => {
                self.expect = if *self.open.last()? { Key } else { Value };
                Some((Token::Between, 1))
            }
            (Colon, b':') => {
                self.expect = Value;
                Some((Token::Between, 1))
            }
            (Key | KeyOrEnd, b'"') => self.text(true, bytes, true),
            (Value | ValueOrEnd, b'"') => self.text(false, bytes, true),
            (Value | ValueOrEnd, b'-' | b'0'..=b'9') => {
                self.number = Number::Start;
                self.digits(bytes, true)
            }
            (Value | ValueOrEnd, b't') => self.literal(b"true", bytes, true),
            (Value | ValueOrEnd, b'f') => self.literal(b"false", bytes, true),
            (Value | ValueOrEnd, b'n') => self.literal(b"null", bytes, true),
            _ => None,
        }
    }

    fn close(&mut self, is_object: bool) -> Option<(Token, usize)> {
        if self.open.pop()? != is_object {
            return None;
        }
        self.value_ended();
        Some((Token::Close, 1))
    }

    fn value_ended(&mut self) {
        self.within = Within::None;
        self.expect = if self.open.is_empty() {
            Expect::Nothing
        } else {
            Expect::CommaOrEnd
        };
    }

    fn text(&mut self, is_key: bool, bytes: &[u8], begins: bool) -> Option<(Token, usize)> {
        self.within = Within::Text { is_key };
        let mut at = usize::from(begins);
        let mut ends = false;
        while at < bytes.len() && !ends {
            if self.escape == Escape::None {
                let rest = &bytes[at..];
                let found = rest
                    .iter()
                    .position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f));
                at += found.unwrap_or(rest.len());
                let Some(byte) = bytes.get(at) else {
                    break;
                };
                ends = *byte == b'"';
            }
            if !ends {
                self.escape = self.escape.after(bytes[at])?;
            }
            at += 1;
        }
        if ends && is_key {
            (self.within, self.expect) = (Within::None, Expect::Colon);
        } else if ends {
            self.value_ended();
        }
        let token = if is_key {
            Token::Key { begins, ends }
        } else {
            Token::Scalar { begins, ends }
        };
        Some((token, at))
    }

    /// A number ends with the byte behind it, so its last part may have no bytes.
    fn digits(&mut self, bytes: &[u8], begins: bool) -> Option<(Token, usize)> {
        self.within = Within::Number;
        let mut at = 0;
        while let Some(next) = bytes.get(at).and_then(|byte| self.number.after(*byte)) {
            self.number = next;
            at += 1;
        }
        let ends = at < bytes.len();
        if ends {
            if !self.number.may_end() {
                return None;
            }
            self.value_ended();
        }
        Some((Token::Scalar { begins, ends }, at))
    }

    fn literal(
        &mut self,
        rest: &'static [u8],
        bytes: &[u8],
        begins: bool,
    ) -> Option<(Token, usize)> {
        let len = rest.len().min(bytes.len());
        if rest[..len] != bytes[..len] {
            return None;
        }
        let ends = len == rest.len();
        if ends {
            self.value_ended();
        } else {
            self.within = Within::Literal(&rest[len..]);
        }
        Some((Token::Scalar { begins, ends }, len))
    }
}

/// Where in a string an escape is. A text holds no half of a surrogate pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Escape {
    #[default]
    None,
    /// Behind a backslash; whether the second half of a pair must follow.
    Begun { wants_low: bool },
    /// Digits so far, their number, and whether they must make the second half of a pair.
    Unit {
        value: u16,
        digits: u8,
        wants_low: bool,
    },
    /// Behind the first half of a pair.
    High,
}

impl Escape {
    /// Behind one more byte, which is a backslash when no escape has begun; `None` when no text has
    /// such bytes.
    fn after(self, byte: u8) -> Option<Escape> {
        match self {
            Escape::None | Escape::High => (byte == b'\\').then_some(Escape::Begun {
                wants_low: self == Escape::High,
            }),
            Escape::Begun { wants_low } => match byte {
                b'u' => Some(Escape::Unit {
                    value: 0,
                    digits: 0,
                    wants_low,
                }),
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' if !wants_low => {
                    Some(Escape::None)
                }
                _ => None,
            },
            Escape::Unit {
                value,
                digits,
                wants_low,
            } => {
                let digit = char::from(byte).to_digit(16)?;
                let value = value << 4 | u16::try_from(digit).ok()?;
                match (digits, value, wants_low) {
                    (..3, _, _) => Some(Escape::Unit {
                        value,
                        digits: digits + 1,
                        wants_low,
                    }),
                    (_, 0xdc00..=0xdfff, true) => Some(Escape::None),
                    (_, 0xd800..=0xdbff, false) => Some(Escape::High),
                    (_, 0xdc00..=0xdfff, false) | (_, _, true) => None,
                    _ => Some(Escape::None),
                }
            }
        }
    }
}

/// Where in a number the reader is, by what it saw last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Number {
    #[default]
    Start,
    Minus,
    Zero,
    Whole,
    Point,
    Fraction,
    Exponent,
    Sign,
    Power,
}

impl Number {
    /// Behind one more byte; `None` when it does not belong to the number.
    fn after(self, byte: u8) -> Option<Number> {
        use Number::{Exponent, Fraction, Minus, Point, Power, Sign, Start, Whole, Zero};
        match (self, byte) {
            (Start, b'-') => Some(Minus),
            (Start | Minus, b'0') => Some(Zero),
            (Start | Minus, b'1'..=b'9') | (Whole, b'0'..=b'9') => Some(Whole),
            (Zero | Whole, b'.') => Some(Point),
            (Point | Fraction, b'0'..=b'9') => Some(Fraction),
            (Zero | Whole | Fraction, b'e' | b'E') => Some(Exponent),
            (Exponent, b'+' | b'-') => Some(Sign),
            (Exponent | Sign | Power, b'0'..=b'9') => Some(Power),
            _ => None,
        }
    }

    fn may_end(self) -> bool {
        use Number::{Fraction, Power, Whole, Zero};
        matches!(self, Zero | Whole | Fraction | Power)
    }
}
