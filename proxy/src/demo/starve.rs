//! Taking the CPU away from hopscope's own threads, to see whether it notices.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

/// While this lives, hopscope's workers run only when nobody else wants a CPU, and others want all of them.
#[derive(Debug)]
pub(super) struct Starvation {
    over: Arc<AtomicBool>,
    burners: Vec<JoinHandle<()>>,
}

impl Starvation {
    /// Begins it.
    ///
    /// # Errors
    /// When the system does not list our threads, or starts none.
    pub(super) fn begin() -> io::Result<Self> {
        let over = Arc::new(AtomicBool::new(false));
        let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        policy_of_workers(libc::SCHED_IDLE)?;
        let burners = (0..cores)
            .map(|number| {
                let over = Arc::clone(&over);
                thread::Builder::new()
                    .name(format!("burner-{number}"))
                    .spawn(move || {
                        while !over.load(Ordering::Relaxed) {
                            for _ in 0..10_000 {
                                std::hint::spin_loop();
                            }
                        }
                    })
            })
            .collect::<io::Result<Vec<_>>>();
        match burners {
            Ok(burners) => Ok(Self { over, burners }),
            Err(error) => {
                over.store(true, Ordering::Relaxed);
                Err(error)
            }
        }
    }
}

impl Drop for Starvation {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for burner in self.burners.drain(..) {
            if burner.join().is_err() {
                tracing::debug!("a burner had failed");
            }
        }
        if let Err(error) = policy_of_workers(libc::SCHED_OTHER) {
            tracing::debug!(%error, "hopscope's workers stay idle-class to the end");
        }
    }
}

/// Sets the scheduling policy of every worker thread of this process: those that [`hopscope_relay::Session`] named.
fn policy_of_workers(policy: libc::c_int) -> io::Result<()> {
    for entry in std::fs::read_dir("/proc/self/task")? {
        let entry = entry?;
        let name = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        let is_worker = name
            .trim()
            .strip_prefix("hopscope-")
            .is_some_and(|rest| rest.parse::<u32>().is_ok());
        let id: Option<libc::pid_t> = entry.file_name().to_str().and_then(|name| name.parse().ok());
        if let (true, Some(id)) = (is_worker, id) {
            let parameters = libc::sched_param { sched_priority: 0 };
            #[expect(unsafe_code, reason = "sched_setscheduler has no safe wrapper")]
            // SAFETY: it takes two numbers and reads one struct that outlives the call; a thread that is gone is ESRCH.
            let answer = unsafe { libc::sched_setscheduler(id, policy, &raw const parameters) };
            if answer != 0 {
                return Err(io::Error::last_os_error());
            }
        }
    }
    Ok(())
}
