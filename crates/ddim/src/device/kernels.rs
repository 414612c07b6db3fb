//! What burn finds out about kernels, kept from run to run in a file.
//!
//! burn's own store is a SQL engine, which `vendor/turso` takes the place of. Without it burn holds all that it
//! would store in memory, a table a kernel, where it can be read and filled from outside. So the file is read
//! before the first adapter is used, and from then on a thread looks once a second whether there is more to write.

mod file;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use cubecl_environment::bytes::Bytes;
use cubecl_environment::persistence::{self, MemoryStorage, Namespace, Origin};
use ddim_data::Draft;

use self::file::{Content, Entry};
use super::Adapter;

/// How often is looked for news.
const INTERVAL: Duration = Duration::from_secs(1);

/// Where kernels are kept, from the first call of [`keep_in`] on.
static STORE: Mutex<Option<Store>> = Mutex::new(None);

/// The file of kernels was not what this program writes.
#[derive(Debug, thiserror::Error)]
pub enum DamagedKernels {
    /// It has another name now.
    #[error("{} is damaged and is now {}: kernels are tuned anew", file.display(), aside.display())]
    PutAside {
        /// Its name.
        file: PathBuf,
        /// Its name now.
        aside: PathBuf,
    },
    /// It could not be given another name.
    #[error("{} is damaged: remove it, or kernels are tuned in every run ({reason})", file.display())]
    InTheWay {
        /// Its name.
        file: PathBuf,
        /// What the file system says.
        reason: io::Error,
    },
}

/// The file of this process.
#[derive(Debug)]
struct Store {
    file: PathBuf,
    /// The first adapter that was opened, once there is one.
    adapter: Option<String>,
    /// Entries and bytes in memory when it was last read or written: entries are added, never changed.
    size: (u64, u64),
}

/// Keeps kernels in a file in this folder from now on, unless they are kept already.
pub(super) fn keep_in(folder: &Path) -> Result<(), DamagedKernels> {
    let mut store = STORE.lock().unwrap_or_else(PoisonError::into_inner);
    if store.is_some() {
        return Ok(());
    }
    let file = folder.join(file_name());
    let damaged = matches!(file::read(&file), Err(error) if error.kind() == io::ErrorKind::InvalidData);
    *store = Some(Store { file: file.clone(), adapter: None, size: (0, 0) });
    if damaged { Err(put_aside(file)) } else { Ok(()) }
}

/// A file a version of burn's runtime, which may number its kernels anew.
fn file_name() -> String {
    let namespace = Namespace::new("");
    let version = namespace.as_str().split('/').nth(1).unwrap_or_default();
    format!("kernels-{version}")
}

fn put_aside(file: PathBuf) -> DamagedKernels {
    let mut aside = file.clone().into_os_string();
    aside.push(".damaged");
    let aside = PathBuf::from(aside);
    match fs::rename(&file, &aside) {
        Ok(()) => DamagedKernels::PutAside { file, aside },
        Err(reason) => DamagedKernels::InTheWay { file, reason },
    }
}

/// Gives burn what is known of the kernels on this adapter, and keeps what it finds out. For the first adapter
/// only: with it burn's runtime is configured.
pub(super) fn begin(adapter: &Adapter) {
    let mut store = STORE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(store) = store.as_mut().filter(|store| store.adapter.is_none()) {
        store.begin(format!("{} {} {}", adapter.api, adapter.name, adapter.driver));
        // Without the thread they are kept at the end.
        let _ = thread::Builder::new().name("kernels".to_owned()).spawn(|| {
            loop {
                thread::sleep(INTERVAL);
                keep_now();
            }
        });
    }
}

/// Writes what was found out since the last time.
pub(super) fn keep_now() {
    let mut store = STORE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(store) = store.as_mut() {
        // A folder that cannot be written costs nothing but the time to tune anew.
        let _ = store.keep();
    }
}

impl Store {
    fn begin(&mut self, adapter: String) {
        for (entry, value) in file::read(&self.file).unwrap_or_default() {
            if entry.adapter == adapter {
                let value = Bytes::from_bytes_vec(value);
                persistence::open(&entry.table).insert(&entry.key, value, Origin::Imported);
            }
        }
        self.adapter = Some(adapter);
        self.size = in_memory();
    }

    /// Adds what is in memory to what is in the file by now, perhaps by another process.
    fn keep(&mut self) -> io::Result<()> {
        let size = in_memory();
        let Some(adapter) = self.adapter.as_deref().filter(|_| size != self.size) else {
            return Ok(());
        };
        if let Some(folder) = self.file.parent() {
            fs::create_dir_all(folder)?;
        }
        // Claimed first, so that no other process writes between reading and writing.
        let mut draft = Draft::claim(&self.file)?;
        let mut content = file::read(&self.file).unwrap_or_default();
        add_memory(adapter, &mut content);
        draft.write(&file::bytes_of(&content))?;
        draft.sync()?;
        draft.place()?;
        self.size = size;
        Ok(())
    }
}

/// How many entries burn has in memory, and their bytes.
fn in_memory() -> (u64, u64) {
    let add =
        |(entries, bytes), table: persistence::NamespaceSummary| (entries + table.entries, bytes + table.bytes);
    MemoryStorage::namespaces().into_iter().fold((0, 0), add)
}

fn add_memory(adapter: &str, content: &mut Content) {
    for table in MemoryStorage::namespaces() {
        persistence::open(&table.namespace).scan(&mut |key, value| {
            let (adapter, table) = (adapter.to_owned(), table.namespace.clone());
            content.insert(Entry { adapter, table, key: key.to_owned() }, value.to_owned());
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(file: &Path) -> Store {
        Store { file: file.to_owned(), adapter: None, size: (0, 0) }
    }

    /// One test, since burn's memory belongs to the process.
    #[test]
    fn what_one_process_finds_out_the_next_one_knows() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("made/kernels");
        let table = || persistence::open("autotune/0/device/matmul");
        let found_out = |value: u8| table().insert(b"sizes", Bytes::from_bytes_vec(vec![value]), Origin::Local);

        let mut first = store(&file);
        first.begin("card, driver 1".to_owned());
        first.keep().expect("nothing to do");
        assert!(!file.exists(), "nothing was found out");
        found_out(7);
        first.keep().expect("writable");
        let written = fs::read(&file).expect("kept");

        let begins = |adapter: &str| {
            table().purge();
            let mut next = store(&file);
            next.begin(adapter.to_owned());
            (table().get(b"sizes").map(|value| value.to_vec()), next)
        };
        let (known, mut same) = begins("card, driver 1");
        assert_eq!(known, Some(vec![7]));
        same.keep().expect("nothing to do");
        assert_eq!(fs::read(&file).expect("kept"), written);

        let (known, mut other) = begins("card, driver 2");
        assert_eq!(known, None, "another driver's");
        found_out(8);
        other.keep().expect("writable");
        assert_eq!(begins("card, driver 1").0, Some(vec![7]), "both are kept");
        assert_eq!(begins("card, driver 2").0, Some(vec![8]));
        table().purge();
    }

    #[test]
    fn a_damaged_file_is_put_aside() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("kernels");
        fs::write(&file, "something else altogether").expect("it is ours");
        let said = put_aside(file.clone()).to_string();
        let aside = folder.path().join("kernels.damaged");
        assert!(said.contains("kernels is damaged and is now") && said.contains("kernels.damaged"), "{said}");
        assert!(!file.exists() && aside.exists());
        let said = put_aside(file).to_string();
        assert!(said.contains("remove it, or kernels are tuned in every run"), "{said}");
    }
}
