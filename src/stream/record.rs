//! Lines as records: each key of JSON and CSV with its meaning and how it is read, once.
//!
//! A [`Record`] lists its fields to a [`Visitor`]. The JSON and the CSV writer are visitors, and so is
//! [`describe`], from which the CSV headers and the documentation come. All of it is generic and
//! inlined, `field` by force: a key has five texts and would be copied for each call.

mod file;
mod io;
mod listener;
mod note;
mod open;
mod process;
mod slow;
mod talkers;

use std::borrow::Cow;
use std::net::IpAddr;

use crate::model::time::Mono;

pub use talkers::{CsvRow, SourceRow};

/// A key of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// The key in JSON.
    pub name: &'static str,
    /// The column in CSV.
    pub csv: &'static str,
    /// The key in JSON with the comma before it and the colon after it.
    pub(crate) json: &'static str,
    /// The unit of a number; empty where it counts things or is none.
    pub unit: &'static str,
    /// Meaning of the value and of `null`.
    pub help: &'static str,
}

/// A key from its name, its unit in brackets, and what it means; `as` names another CSV column.
macro_rules! key {
    ($name:literal, $help:literal) => {
        key!($name as $name, [""], $help)
    };
    ($name:literal, [$unit:literal], $help:literal) => {
        key!($name as $name, [$unit], $help)
    };
    ($name:literal as $csv:literal, $help:literal) => {
        key!($name as $csv, [""], $help)
    };
    ($name:literal as $csv:literal, [$unit:literal], $help:literal) => {
        const {
            $crate::stream::record::Key {
                name: $name,
                csv: $csv,
                json: concat!(",\"", $name, "\":"),
                unit: $unit,
                help: $help,
            }
        }
    };
}
pub(crate) use key;

/// Something that is a line, or an object within one.
pub trait Record: Copy {
    /// Calls `visitor` for each field, in the order of the keys.
    fn fields<V: Visitor<Self>>(visitor: &mut V);
}

/// A record that is a line of its own.
pub trait Line: Record {
    /// The value of `type`.
    const TYPE: &'static str;
}

/// An operation on each field of a record.
pub trait Visitor<R: Copy> {
    /// Takes a field: its key, and how its value is read from a record.
    fn field<T: Value>(&mut self, key: Key, read: impl FnOnce(R) -> T);

    /// A visitor for the fields of something that the record contains.
    fn of<P: Copy>(&mut self, part: fn(R) -> P) -> Part<'_, Self, R, P> {
        Part { visitor: self, part }
    }
}

/// Passes the fields of a part on as fields of the whole record.
pub struct Part<'v, V: ?Sized, R, P> {
    visitor: &'v mut V,
    part: fn(R) -> P,
}

impl<R: Copy, P: Copy, V: Visitor<R> + ?Sized> Visitor<P> for Part<'_, V, R, P> {
    #[inline(always)]
    fn field<T: Value>(&mut self, key: Key, read: impl FnOnce(P) -> T) {
        let part = self.part;
        self.visitor.field(key, move |record| read(part(record)));
    }
}

/// The value of a field.
pub trait Value {
    /// Its type in the documentation.
    const TYPE: Type;
    /// It may be `null` in JSON, and an empty field in CSV.
    const NULL: bool = false;
    /// The key may be absent in JSON, and an empty field in CSV.
    const OPTIONAL: bool = false;

    /// Whether the key is left out.
    fn is_absent(&self) -> bool {
        false
    }

    /// Writes it.
    fn write<S: Sink>(self, to: &mut S);
}

/// A type of JSON.
#[derive(Clone, Copy, Debug)]
pub enum Type {
    Integer,
    Number,
    Boolean,
    String,
    /// An RFC 3339 time in a string.
    Time,
    Strings,
    Object(fn() -> Vec<Described>),
    Objects(fn() -> Vec<Described>),
}

impl Type {
    /// The name in the documentation.
    pub fn name(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::String => "string",
            Self::Time => "time",
            Self::Strings => "array of strings",
            Self::Object(_) => "object",
            Self::Objects(_) => "array of objects",
        }
    }

    /// The keys within it.
    pub fn inner(self) -> Vec<Described> {
        match self {
            Self::Object(keys) | Self::Objects(keys) => keys(),
            _ => Vec::new(),
        }
    }
}

/// A format that values are written in.
pub trait Sink {
    fn null(&mut self);
    fn boolean(&mut self, value: bool);
    fn int(&mut self, n: impl itoa::Integer);
    /// A word of the program, which needs no escaping.
    fn word(&mut self, word: &str);
    /// A text of the program, or one that is escaped already.
    fn plain(&mut self, text: &str);
    /// Bytes from elsewhere.
    fn text(&mut self, bytes: &[u8]);
    /// Several of them.
    fn texts<'a>(&mut self, texts: impl Iterator<Item = &'a [u8]>);
    /// Names of the flags of an open.
    fn flags(&mut self, flags: u64);
    fn octal(&mut self, n: u16);
    fn time(&mut self, at: Mono);
    /// Nanoseconds, written as seconds.
    fn seconds(&mut self, ns: u64);
    /// `count` in `ns` nanoseconds, written per second.
    fn rate(&mut self, count: u64, ns: u64);
    fn row<R: Record>(&mut self, row: R);
    fn rows<R: Record>(&mut self, rows: impl Iterator<Item = R>);
}

macro_rules! integers {
    ($($t:ty)*) => {$(
        impl Value for $t {
            const TYPE: Type = Type::Integer;
            #[inline(always)]
            fn write<S: Sink>(self, to: &mut S) {
                to.int(self);
            }
        }
    )*};
}
integers!(u16 u32 u64 i32);

impl Value for bool {
    const TYPE: Type = Type::Boolean;
    #[inline(always)]
    fn write<S: Sink>(self, to: &mut S) {
        to.boolean(self);
    }
}

/// A word of the program.
impl Value for &str {
    const TYPE: Type = Type::String;
    #[inline(always)]
    fn write<S: Sink>(self, to: &mut S) {
        to.word(self);
    }
}

/// A word of the program.
impl Value for Cow<'_, str> {
    const TYPE: Type = Type::String;
    #[inline(always)]
    fn write<S: Sink>(self, to: &mut S) {
        to.word(&self);
    }
}

/// An address as in RFC 5952, the standard library's form.
impl Value for IpAddr {
    const TYPE: Type = Type::String;
    fn write<S: Sink>(self, to: &mut S) {
        to.word(&self.to_string());
    }
}

/// Bytes from elsewhere, escaped where they are written.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a>(pub &'a [u8]);

impl Value for Text<'_> {
    const TYPE: Type = Type::String;
    #[inline(always)]
    fn write<S: Sink>(self, to: &mut S) {
        to.text(self.0);
    }
}

/// Several texts from elsewhere, escaped where they are written.
#[derive(Clone, Copy, Debug)]
pub struct Texts<I>(pub I);

impl<'a, I: Iterator<Item = &'a [u8]>> Value for Texts<I> {
    const TYPE: Type = Type::Strings;
    fn write<S: Sink>(self, to: &mut S) {
        to.texts(self.0);
    }
}

/// A text of the program, or one that is escaped already.
#[derive(Clone, Copy, Debug)]
pub struct Plain<'a>(pub &'a str);

impl Value for Plain<'_> {
    const TYPE: Type = Type::String;
    fn write<S: Sink>(self, to: &mut S) {
        to.plain(self.0);
    }
}

/// Flags of an open, by their names.
#[derive(Clone, Copy, Debug)]
pub struct Flags(pub u64);

impl Value for Flags {
    const TYPE: Type = Type::Strings;
    #[inline(always)]
    fn write<S: Sink>(self, to: &mut S) {
        to.flags(self.0);
    }
}

/// A mode in octal digits.
#[derive(Clone, Copy, Debug)]
pub struct Octal(pub u16);

impl Value for Octal {
    const TYPE: Type = Type::String;
    #[inline(always)]
    fn write<S: Sink>(self, to: &mut S) {
        to.octal(self.0);
    }
}

/// A moment, written with the wall clock of its line.
impl Value for Mono {
    const TYPE: Type = Type::Time;
    fn write<S: Sink>(self, to: &mut S) {
        to.time(self);
    }
}

/// Nanoseconds, written as seconds.
#[derive(Clone, Copy, Debug)]
pub struct Seconds(pub u64);

impl Value for Seconds {
    const TYPE: Type = Type::Number;
    fn write<S: Sink>(self, to: &mut S) {
        to.seconds(self.0);
    }
}

/// A count in so many nanoseconds, written per second.
#[derive(Clone, Copy, Debug)]
pub struct PerSecond(pub u64, pub u64);

impl Value for PerSecond {
    const TYPE: Type = Type::Number;
    fn write<S: Sink>(self, to: &mut S) {
        to.rate(self.0, self.1);
    }
}

/// `None` is `null`.
impl<T: Value> Value for Option<T> {
    const TYPE: Type = T::TYPE;
    const NULL: bool = true;
    #[inline(always)]
    fn write<S: Sink>(self, to: &mut S) {
        match self {
            Some(value) => value.write(to),
            None => to.null(),
        }
    }
}

/// A key that is left out where the value is `None`.
#[derive(Clone, Copy, Debug)]
pub struct Maybe<T>(pub Option<T>);

impl<T: Value> Value for Maybe<T> {
    const TYPE: Type = T::TYPE;
    const NULL: bool = T::NULL;
    const OPTIONAL: bool = true;
    #[inline(always)]
    fn is_absent(&self) -> bool {
        self.0.is_none()
    }
    #[inline(always)]
    fn write<S: Sink>(self, to: &mut S) {
        self.0.write(to);
    }
}

/// Records in an array.
#[derive(Clone, Copy, Debug)]
pub struct Rows<I>(pub I);

impl<R: Record, I: Iterator<Item = R>> Value for Rows<I> {
    const TYPE: Type = Type::Objects(describe::<R>);
    fn write<S: Sink>(self, to: &mut S) {
        to.rows(self.0);
    }
}

/// A key with its type, for the CSV headers and the documentation.
#[derive(Clone, Copy, Debug)]
pub struct Described {
    pub key: Key,
    pub of: Type,
    /// It may be `null`.
    pub null: bool,
    /// It may be absent.
    pub optional: bool,
}

/// The keys of a record.
pub fn describe<R: Record>() -> Vec<Described> {
    struct List(Vec<Described>);

    impl<R: Copy> Visitor<R> for List {
        fn field<T: Value>(&mut self, key: Key, _read: impl FnOnce(R) -> T) {
            self.0.push(Described { key, of: T::TYPE, null: T::NULL, optional: T::OPTIONAL });
        }
    }

    let mut list = List(Vec::new());
    R::fields(&mut list);
    list.0
}
