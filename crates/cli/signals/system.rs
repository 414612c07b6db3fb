//! The two things about signals and endings that only the system's own calls do.
#![cfg_attr(unix, allow(unsafe_code, reason = "calls of the C library; every block says why it is sound"))]

/// Signals that were to be ignored when this was asked: `nohup` has SIGHUP ignored, a shell SIGINT for what runs in the
/// background.
#[cfg(unix)]
pub(super) struct Ignored(Vec<libc::c_int>);

#[cfg(unix)]
impl Ignored {
    /// Asks, before anything listens.
    pub(super) fn at_start() -> Self {
        let ignored = |signal: &libc::c_int| {
            let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
            // SAFETY: nothing is set, and the place has room for what is set now. Zeroes are an action as well, the
            // default, should the system write nothing.
            unsafe {
                libc::sigaction(*signal, std::ptr::null(), action.as_mut_ptr()) == 0
                    && action.assume_init().sa_sigaction == libc::SIG_IGN
            }
        };
        Self([libc::SIGINT, libc::SIGTERM, libc::SIGHUP].into_iter().filter(ignored).collect())
    }

    /// Has them ignored again.
    pub(super) fn stay_ignored(&self) {
        for signal in &self.0 {
            // SAFETY: to ignore a signal runs no code of ours.
            unsafe { libc::signal(*signal, libc::SIG_IGN) };
        }
    }
}

/// Nothing is ignored by those who start a program here.
#[cfg(not(unix))]
pub(super) struct Ignored;

#[cfg(not(unix))]
impl Ignored {
    pub(super) fn at_start() -> Self {
        Self
    }

    pub(super) fn stay_ignored(&self) {}
}

/// Ends the process now: no driver takes its things down while another thread computes on them, which has crashed some.
#[cfg(unix)]
pub(super) fn end(code: u8) -> ! {
    // SAFETY: the call takes a number and does not return.
    unsafe { libc::_exit(code.into()) }
}

/// Ends the process.
#[cfg(not(unix))]
pub(super) fn end(code: u8) -> ! {
    std::process::exit(code.into())
}
