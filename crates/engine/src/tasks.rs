//! Named background tasks, and what happens when one panics.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinHandle;

/// Starts a background task. A panic is logged under the task's name and ends only the task.
#[allow(clippy::disallowed_methods, reason = "the one place that spawns")]
pub fn spawn<F>(name: &'static str, task: F) -> JoinHandle<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    tokio::spawn(async move {
        let task = std::panic::AssertUnwindSafe(task);
        if let Err(panic) = futures_util::FutureExt::catch_unwind(task).await {
            tracing::error!(
                task = name,
                panic = panic_text(panic.as_ref()),
                "background task panicked"
            );
        }
    })
}

/// What a panic said.
pub fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// Waits for a time, or for ever.
#[allow(clippy::disallowed_methods, reason = "the one place that waits for the clock")]
pub async fn pause(duration: Option<Duration>) {
    match duration {
        Some(duration) => tokio::time::sleep(duration).await,
        None => std::future::pending().await,
    }
}
