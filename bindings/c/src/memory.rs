//! Memory that a page writes to: in a browser there is no `malloc`.

use std::alloc::{Layout, alloc, dealloc};

/// So many bytes, for numbers of any kind; NULL if there is no room.
#[unsafe(no_mangle)]
pub extern "C" fn ddim_page_alloc(bytes: usize) -> *mut u8 {
    match Layout::from_size_align(bytes.max(1), 16) {
        // SAFETY: the size is not 0.
        Ok(layout) => unsafe { alloc(layout) },
        Err(_) => std::ptr::null_mut(),
    }
}

/// Gives them back.
///
/// # Safety
///
/// They came from `ddim_page_alloc`, of the same size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ddim_page_free(place: *mut u8, bytes: usize) {
    if let Ok(layout) = Layout::from_size_align(bytes.max(1), 16)
        && !place.is_null()
    {
        // SAFETY: promised by the caller.
        unsafe { dealloc(place, layout) };
    }
}
