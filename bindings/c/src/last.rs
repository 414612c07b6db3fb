//! What went wrong last, thread by thread.

use std::any::Any;
use std::cell::RefCell;
use std::ffi::{c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::outside::{Text, text};

thread_local! {
    static LAST: RefCell<Text> = RefCell::new(text(""));
}

/// For `ddim_last_error`.
pub(crate) fn text_of_last() -> *const c_char {
    LAST.with_borrow(|last| last.as_ptr())
}

/// What `work` gives; none where it fails or panics, which is remembered.
pub(crate) fn caught<T>(work: impl FnOnce() -> Result<T, String>) -> Option<T> {
    // What is borrowed here is a handle of the caller, who may free it and no more once this has failed.
    let failed = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(done)) => return Some(done),
        Ok(Err(problem)) => problem,
        Err(panic) => format!("this is a fault of ddim, please report it: {}", said(panic.as_ref())),
    };
    LAST.with_borrow_mut(|last| *last = text(&failed));
    None
}

/// The same for what gives a number.
pub(crate) fn or_minus_one(work: impl FnOnce() -> Result<c_int, String>) -> c_int {
    caught(work).unwrap_or(-1)
}

/// The same for a new handle.
pub(crate) fn or_null<T>(work: impl FnOnce() -> Result<T, String>) -> *mut T {
    caught(work).map_or(std::ptr::null_mut(), |made| Box::into_raw(Box::new(made)))
}

/// The words of a panic.
fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_words() {
        assert_eq!(or_minus_one(|| panic!("on {}", "purpose")), -1);
        // SAFETY: the text of this thread lives until the next failure.
        let last = unsafe { std::ffi::CStr::from_ptr(text_of_last()) }.to_string_lossy();
        assert_eq!(last, "this is a fault of ddim, please report it: on purpose");
    }
}
