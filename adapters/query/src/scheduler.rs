//! The scheduler of the process, which wakes the sources that wait for a time.
//!
//! It is one `JobScheduler` of tokio-cron-scheduler, and each wait is a job of it that fires once. Twice a second it holds
//! the times of its jobs against the clock of the machine, so that it sees a machine that slept and a clock that was set.
//!
//! The tasks of a `JobScheduler` hold each other and never end, so it has a runtime of its own, which ends with the last
//! source. Its tasks talk over channels that forget what does not fit, and they end when something was forgotten; so there
//! are never more jobs than fit.

use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Mutex, Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};
use uuid::Uuid;

/// How many may wait at a time.
const MOST_WAITS: usize = 1024;
/// Messages that fit into each channel. A job that fired stays for up to a second, beside the next one of who waited for it,
/// and may be removed twice.
const CHANNEL: usize = 4 * MOST_WAITS;

static OF_THE_PROCESS: Mutex<Weak<Scheduler>> = Mutex::const_new(Weak::new());

/// The scheduler of the process, for as long as someone has it.
pub(crate) struct Scheduler {
    jobs: JobScheduler,
    waits: Semaphore,
    /// Held while a job is added: who adds one waits for an answer that all of them see.
    adding: Mutex<()>,
    thread: Thread,
}

/// Why a wait failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SchedulerError {
    /// There is no thread for it.
    #[error("the scheduler of queries cannot have a thread")]
    Thread(#[source] io::Error),
    /// The library failed.
    #[error("the scheduler of queries failed")]
    Failed(#[from] JobSchedulerError),
    /// Everyone at once.
    #[error(
        "{MOST_WAITS} sources of this agent wait for their time already; let another agent run some of them"
    )]
    TooMany,
    /// It lost a job.
    #[error("the scheduler of queries ended")]
    Ended,
}

impl Scheduler {
    /// The one that runs, or a new one.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) async fn of_the_process() -> Result<Arc<Self>, SchedulerError> {
        let mut shared = OF_THE_PROCESS.lock().await;
        if let Some(running) = shared.upgrade() {
            return Ok(running);
        }
        let scheduler = Arc::new(Self::start().await?);
        *shared = Arc::downgrade(&scheduler);
        Ok(scheduler)
    }

    async fn start() -> Result<Self, SchedulerError> {
        let thread = Thread::start()?;
        let started = thread.spawn(async {
            let jobs = JobScheduler::new_with_channel_size(CHANNEL).await?;
            jobs.start().await?;
            Ok::<_, JobSchedulerError>(jobs)
        });
        let jobs = started.await.map_err(|_| SchedulerError::Ended)??;
        Ok(Self { jobs, waits: Semaphore::new(MOST_WAITS), adding: Mutex::new(()), thread })
    }

    /// Waits until the machine's clock shows a time this far from now, rounded down to whole seconds, or up to a second
    /// more.
    ///
    /// # Errors
    /// Too many wait already, or the scheduler failed.
    pub(crate) async fn wait(&self, span: Duration) -> Result<(), SchedulerError> {
        let _one_of_them = self.waits.try_acquire().map_err(|_| SchedulerError::TooMany)?;
        let (fires, fired) = oneshot::channel();
        let mut fires = Some(fires);
        let job = Job::new_one_shot(span, move |_, _| {
            // No one waits any more if it fires while it is removed.
            let _ = fires.take().map(|fires| fires.send(()));
        })?;
        let mut held = Held { scheduler: self, id: job.guid(), fired: false };
        {
            let _one_at_a_time = self.adding.lock().await;
            self.jobs.add(job).await?;
        }
        fired.await.map_err(|_| SchedulerError::Ended)?;
        held.fired = true;
        Ok(())
    }
}

/// A runtime with one thread. It ends with this value, which does not wait for it: a task of another runtime must not.
struct Thread(Option<Runtime>);

impl Thread {
    fn start() -> Result<Self, SchedulerError> {
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).thread_name("query-schedule").enable_time().build();
        Ok(Self(Some(runtime.map_err(SchedulerError::Thread)?)))
    }

    fn spawn<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        self.0.as_ref().expect("it is taken only when this ends").spawn(task)
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.0.take().into_iter().for_each(Runtime::shutdown_background);
    }
}

/// A job that someone waits for. It goes when they stop waiting; one that fired goes by itself.
struct Held<'a> {
    scheduler: &'a Scheduler,
    id: Uuid,
    fired: bool,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if self.fired {
            return;
        }
        let (jobs, id) = (self.scheduler.jobs.clone(), self.id);
        self.scheduler.thread.spawn(async move {
            if let Err(error) = jobs.remove(&id).await {
                tracing::debug!(%error, "a job of the scheduler of queries was not removed");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    async fn jobs(scheduler: &Scheduler) -> Vec<u64> {
        let context = scheduler.jobs.context();
        let ticks = context.metadata_storage.write().await.list_next_ticks().await.unwrap();
        ticks.into_iter().map(|job| job.next_tick).collect()
    }

    async fn has_jobs(scheduler: &Scheduler, count: usize) {
        let begun = std::time::Instant::now();
        while jobs(scheduler).await.len() != count {
            assert!(begun.elapsed() < Duration::from_secs(20), "{count} jobs are expected");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn clock() -> u64 {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
    }

    #[tokio::test]
    async fn a_wait_is_held_as_a_time_of_the_clock_so_that_a_sleep_of_the_machine_does_not_prolong_it() {
        let scheduler = Scheduler::start().await.unwrap();
        let wait = scheduler.wait(Duration::from_secs(86_400));
        let check = async {
            has_jobs(&scheduler, 1).await;
            let at = jobs(&scheduler).await[0];
            assert!(at.abs_diff(clock() + 86_400) < 30, "{at}");
        };
        tokio::select! {
            ended = wait => panic!("it is not a day later: {ended:?}"),
            () = check => {}
        }
    }

    #[tokio::test]
    async fn who_stops_waiting_leaves_no_job_behind() {
        let scheduler = Scheduler::start().await.unwrap();
        for _ in 0..3 {
            let mut waits: Vec<_> =
                (0..40).map(|_| Box::pin(scheduler.wait(Duration::from_secs(600)))).collect();
            tokio::select! {
                _ = futures_util::future::join_all(&mut waits) => panic!("ten minutes have not passed"),
                () = has_jobs(&scheduler, 40) => {}
            }
            drop(waits);
            has_jobs(&scheduler, 0).await;
        }
        assert_eq!(scheduler.waits.available_permits(), MOST_WAITS);
    }

    #[tokio::test]
    async fn all_who_wait_for_one_instant_are_woken_however_many_they_are() {
        let scheduler = Scheduler::start().await.unwrap();
        let waits = (0..MOST_WAITS).map(|_| scheduler.wait(Duration::from_secs(4)));
        let (woken, one_more) = tokio::time::timeout(Duration::from_secs(60), async {
            tokio::join!(futures_util::future::join_all(waits), scheduler.wait(Duration::from_secs(4)))
        })
        .await
        .unwrap();
        assert!(woken.iter().all(Result::is_ok));
        assert!(one_more.unwrap_err().to_string().contains("another agent"));
        // What fired is gone as well, and the scheduler still works.
        has_jobs(&scheduler, 0).await;
        scheduler.wait(Duration::from_secs(1)).await.unwrap();
    }

    #[tokio::test]
    async fn sources_share_a_scheduler_which_ends_with_the_last_of_them() {
        let (one, other) =
            (Scheduler::of_the_process().await.unwrap(), Scheduler::of_the_process().await.unwrap());
        assert!(Arc::ptr_eq(&one, &other));
        let last = Arc::downgrade(&one);
        drop((one, other));
        assert!(last.upgrade().is_none());
        let next = Scheduler::of_the_process().await.unwrap();
        next.wait(Duration::from_secs(1)).await.unwrap();
    }
}
