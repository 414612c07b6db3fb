//! What comes from elsewhere and goes there: texts, numbers, handles.

use std::ffi::{CStr, CString, c_char};

/// A text that C can read.
pub(crate) type Text = CString;

/// This text, without zeros in it.
pub(crate) fn text(text: &str) -> Text {
    CString::new(text.replace('\0', "?")).expect("no zeros are left")
}

/// A text of the caller's; none for NULL.
///
/// # Safety
/// It is NULL, or ends with a zero and lives as long as what is made of it.
pub(crate) unsafe fn text_in<'a>(text: *const c_char, name: &str) -> Result<Option<&'a str>, String> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: promised by the caller.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map(Some).map_err(|_| format!("{name} is not UTF-8"))
}

/// The same where there must be one.
///
/// # Safety
/// As [`text_in`].
pub(crate) unsafe fn text_needed<'a>(text: *const c_char, name: &str) -> Result<&'a str, String> {
    // SAFETY: promised by the caller.
    unsafe { text_in(text, name) }?.ok_or_else(|| format!("{name} is NULL"))
}

/// What a handle is of.
///
/// # Safety
/// It is NULL or one of ours that was not freed.
pub(crate) unsafe fn of<'a, T>(handle: *const T, name: &str) -> Result<&'a T, String> {
    // SAFETY: promised by the caller.
    unsafe { handle.as_ref() }.ok_or_else(|| format!("{name} is NULL"))
}

/// The same, to be changed.
///
/// # Safety
/// As [`of`], and nobody else uses it meanwhile.
pub(crate) unsafe fn of_mut<'a, T>(handle: *mut T, name: &str) -> Result<&'a mut T, String> {
    // SAFETY: promised by the caller.
    unsafe { handle.as_mut() }.ok_or_else(|| format!("{name} is NULL"))
}

/// Gives a handle back.
///
/// # Safety
/// As [`of_mut`]; it is not used again.
pub(crate) unsafe fn free<T>(handle: *mut T) {
    if !handle.is_null() {
        // SAFETY: it came from a box, promised by the caller.
        drop(unsafe { Box::from_raw(handle) });
    }
}

/// Room of the caller's, which may hold nothing yet.
pub(crate) struct Room<T> {
    to: *mut T,
    len: usize,
}

/// Room of the caller's for `needed` numbers.
pub(crate) fn room<T>(to: *mut T, len: usize, needed: usize, name: &str) -> Result<Room<T>, String> {
    match len == needed {
        _ if to.is_null() => Err(format!("{name} is NULL")),
        _ if !to.is_aligned() => Err(format!("{name} does not lie where such numbers can")),
        true => Ok(Room { to, len }),
        false => Err(format!("{name} has room for {len} numbers: there are {needed}")),
    }
}

impl<T: Copy> Room<T> {
    /// Writes these there.
    ///
    /// # Safety
    /// It is room for so many numbers, which nobody else looks at meanwhile.
    ///
    /// # Panics
    /// For another number of them.
    pub(crate) unsafe fn fill(self, numbers: &[T]) {
        assert_eq!(numbers.len(), self.len, "the room was made for other numbers");
        // SAFETY: promised by the caller; numbers of ours lie elsewhere.
        unsafe { self.to.copy_from_nonoverlapping(numbers.as_ptr(), numbers.len()) };
    }
}

/// Refuses what no memory of this machine holds, before it is asked for.
pub(crate) fn check_memory(bytes: Option<usize>, what: impl FnOnce() -> String) -> Result<(), String> {
    let fits = bytes.is_some_and(|bytes| Vec::<u8>::new().try_reserve_exact(bytes).is_ok());
    if fits { Ok(()) } else { Err(format!("there is no memory for {}", what())) }
}

/// Numbers of the caller's.
///
/// # Safety
/// `from` is NULL, or points at `len` numbers that nobody changes meanwhile.
pub(crate) unsafe fn numbers_in<'a, T>(from: *const T, len: usize, name: &str) -> Result<&'a [T], String> {
    let bytes = len.checked_mul(size_of::<T>());
    match bytes.is_some_and(|bytes| bytes <= isize::MAX as usize) && from.is_aligned() {
        _ if from.is_null() => Err(format!("{name} is NULL")),
        // SAFETY: promised by the caller.
        true => Ok(unsafe { std::slice::from_raw_parts(from, len) }),
        false => Err(format!("{name} cannot be {len} numbers")),
    }
}
