//! What burn's runtime calls of [turso](https://crates.io/crates/turso), and no SQL engine behind it: no database
//! can be opened.
//!
//! burn keeps in a database which kernels are the fastest on a GPU. The engine is a quarter of the crates that a
//! build would compile, for a table with a key and a value. Where no database can be opened burn keeps all that in
//! memory, and `ddim::device` carries it from there to a file of its own and back. `[patch.crates-io]` in the
//! workspace's manifest puts this crate in the engine's place; without the patch burn keeps its database.
//!
//! A [`Database`] has no values, so whatever would follow from one is code that cannot be reached.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::transaction::{Transaction, TransactionBehavior};

/// The engine's.
pub type Result<T> = std::result::Result<T, Error>;

/// The errors of the engine that burn tells apart or makes.
#[derive(Debug)]
pub enum Error {
    /// Another process has locked the file.
    Busy(String),
    /// Another process has changed the file.
    BusySnapshot(String),
    /// The file system refuses.
    IoError(io::ErrorKind, &'static str),
    /// Everything else: the one that comes of this crate.
    Error(String),
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy(problem) | Self::BusySnapshot(problem) | Self::Error(problem) => {
                formatter.write_str(problem)
            }
            Self::IoError(kind, operation) => write!(formatter, "{operation}: {kind}"),
        }
    }
}

impl std::error::Error for Error {}

/// Would open a database.
#[derive(Debug)]
pub struct Builder(());

impl Builder {
    /// A file that will not be opened.
    pub fn new_local(_: &str) -> Self {
        Self(())
    }

    /// Changes nothing.
    #[must_use]
    pub fn experimental_multiprocess_wal(self, _: bool) -> Self {
        self
    }

    /// Changes nothing.
    #[must_use]
    pub fn experimental_vacuum(self, _: bool) -> Self {
        self
    }

    /// Changes nothing.
    #[must_use]
    pub fn read_only(self, _: bool) -> Self {
        self
    }

    /// Refuses.
    ///
    /// # Errors
    /// Always.
    pub async fn build(self) -> Result<Database> {
        Err(Error::Error("this program has no SQL engine".to_owned()))
    }
}

/// An open database: there is none.
#[derive(Clone, Copy, Debug)]
pub enum Database {}

impl Database {
    /// A connection to it.
    ///
    /// # Errors
    /// Never: there is no database.
    pub fn connect(&self) -> Result<Connection> {
        match *self {}
    }
}

/// A connection to a database: there is none.
#[derive(Clone, Copy, Debug)]
pub enum Connection {}

impl Connection {
    /// How long to wait for other processes.
    ///
    /// # Errors
    /// Never: there is no connection.
    pub fn busy_timeout(&self, _: Duration) -> Result<()> {
        match *self {}
    }

    /// The rows of an answer.
    ///
    /// # Errors
    /// Never: there is no connection.
    pub async fn query<P>(&self, _: impl AsRef<str>, _: P) -> Result<Rows> {
        match *self {}
    }

    /// How many rows a statement has changed.
    ///
    /// # Errors
    /// Never: there is no connection.
    pub async fn execute<P>(&self, _: impl AsRef<str>, _: P) -> Result<u64> {
        match *self {}
    }

    /// Shows the rows of a setting to `look`.
    ///
    /// # Errors
    /// Never: there is no connection.
    pub async fn pragma_query<F: FnMut(&Row) -> Result<()>>(&self, _: &str, _look: F) -> Result<()> {
        match *self {}
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// Never: there is no connection.
    pub async fn transaction_with_behavior(&mut self, _: TransactionBehavior) -> Result<Transaction<'_>> {
        match *self {}
    }
}

/// What an answer consists of: there is none.
#[derive(Clone, Copy, Debug)]
pub enum Rows {}

impl Rows {
    /// The next row.
    ///
    /// # Errors
    /// Never: there are no rows.
    pub async fn next(&mut self) -> Result<Option<Row>> {
        match *self {}
    }
}

/// A row: there is none.
#[derive(Clone, Copy, Debug)]
pub enum Row {}

impl Row {
    /// A column.
    ///
    /// # Errors
    /// Never: there is no row.
    pub fn get<T>(&self, _: usize) -> Result<T> {
        match *self {}
    }
}

/// Transactions, where the engine has them.
pub mod transaction {
    use super::{Connection, Result};
    use std::ops::Deref;

    /// When a transaction would take its lock.
    #[derive(Clone, Copy, Debug)]
    pub enum TransactionBehavior {
        /// As soon as it reads or writes.
        Deferred,
        /// At its beginning.
        Immediate,
    }

    /// Statements that would be done together: there are none.
    #[derive(Debug)]
    pub struct Transaction<'a>(&'a Connection);

    impl Transaction<'_> {
        /// Ends it.
        ///
        /// # Errors
        /// Never: there is no transaction.
        pub async fn commit(self) -> Result<()> {
            match *self.0 {}
        }
    }

    impl Deref for Transaction<'_> {
        type Target = Connection;

        fn deref(&self) -> &Connection {
            self.0
        }
    }
}
