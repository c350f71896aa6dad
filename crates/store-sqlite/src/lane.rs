//! Threads that own something which must not be used from an async thread, and a bounded queue of jobs for them.
//!
//! A job that was accepted is run, whether or not its caller still waits. Closing stops the intake, lets the accepted
//! jobs finish, and ends when every thread has dropped what it owns.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;

use quintet_store::StoreError;
use tokio::sync::{mpsc, oneshot};

use crate::error::Result;

type Job<S> = Box<dyn FnOnce(&mut S) + Send>;
type Jobs<S> = Arc<Mutex<mpsc::Receiver<Job<S>>>>;

/// Jobs that may wait; callers beyond that wait for a place.
const WAITING: usize = 1024;

/// A queue and the threads that serve it.
pub struct Lane<S> {
    jobs: RwLock<Option<mpsc::Sender<Job<S>>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl<S: Send + 'static> Lane<S> {
    /// Starts one thread per state.
    pub fn start(name: &str, states: Vec<S>) -> Result<Self, StoreError> {
        let (sender, receiver) = mpsc::channel::<Job<S>>(WAITING);
        let receiver: Jobs<S> = Arc::new(Mutex::new(receiver));
        let start = |state: S| {
            let receiver = receiver.clone();
            std::thread::Builder::new()
                .name(name.to_owned())
                .spawn(move || serve(state, &receiver))
        };
        let threads: std::io::Result<Vec<_>> = states.into_iter().map(start).collect();
        let threads = threads.map_err(|error| StoreError::Unavailable(format!("cannot start a thread: {error}")))?;
        Ok(Self {
            jobs: RwLock::new(Some(sender)),
            threads: Mutex::new(threads),
        })
    }

    /// Runs a job on one of the threads and returns what it answers.
    pub async fn call<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut S) -> Result<T> + Send + 'static,
    {
        let sender = self.jobs.read().unwrap_or_else(PoisonError::into_inner).clone();
        let sender = sender.ok_or_else(|| StoreError::Refused("the store is closed".to_owned()))?;
        let (reply, answer) = oneshot::channel();
        // Nobody may wait for the answer any more; the job was done all the same.
        let job: Job<S> = Box::new(move |state| drop(reply.send(job(state).map_err(StoreError::from))));
        sender
            .send(job)
            .await
            .map_err(|_| StoreError::Internal("the threads of the store have ended".to_owned()))?;
        answer
            .await
            .map_err(|_| StoreError::Unknown("the thread ended before it answered".to_owned()))?
    }

    /// Stops the intake; the threads end after the jobs that were accepted.
    pub fn stop(&self) {
        self.jobs.write().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Stops the intake and waits for the threads.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.stop();
        let threads = self.take_threads();
        let joined = tokio::task::spawn_blocking(move || join(threads)).await;
        joined.map_err(|error| StoreError::Internal(format!("the threads of the store could not be joined: {error}")))
    }

    /// Waits for the threads, which takes as long as their jobs do: not for async threads.
    pub fn join(&self) {
        join(self.take_threads());
    }

    fn take_threads(&self) -> Vec<JoinHandle<()>> {
        std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn join(threads: Vec<JoinHandle<()>>) {
    for thread in threads {
        if thread.join().is_err() {
            tracing::error!("a thread of the store had panicked");
        }
    }
}

fn serve<S>(mut state: S, jobs: &Jobs<S>) {
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        match next {
            Some(job) => job(&mut state),
            None => return,
        }
    }
}
