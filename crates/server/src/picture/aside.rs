//! Where pictures are drawn: not on the threads that answer requests, and few at a time, so that a crowd that wants
//! large drawings waits for them and slows nobody else down.

use tokio::sync::Semaphore;

/// Pictures being drawn at a time.
static PLACES: Semaphore = Semaphore::const_new(2);

/// Does work that is nothing but computation. A panic in it is the caller's.
pub(crate) async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    // It is never closed; should it be, work goes on without it.
    let place = PLACES.acquire().await.ok();
    let done = tokio::task::spawn_blocking(move || {
        // Held by the work and not by who waits for it: a client that goes away does not make room.
        let _place = place;
        work()
    });
    match done.await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => std::future::pending().await,
        },
    }
}
