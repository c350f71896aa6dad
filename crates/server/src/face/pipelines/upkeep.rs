//! What the face does from time to time: looks at what other nodes have registered, enters maintenance when all is quiet,
//! removes what has been kept long enough, and asks services that are silent whether they are there.

use std::time::Duration;

use http::{HeaderMap, Method};
use quintet_core::time::Time;
use quintet_engine::Engine;
use quintet_executors::egress::{Call, Redirects};
use quintet_store::StoreError;

use super::contacts::Liveness;
use super::state::Pipelines;

/// Between two looks at what other nodes have registered, and at whether they have asked for maintenance. Who needs to know
/// sooner looks at once: a request for an id that is not known, and a delivery to a worker that does not answer.
const CATCH_UP_MS: u64 = 5_000;
/// Between two looks at what is too old.
const SWEEP_MS: u64 = 3_600_000;
/// Between two looks at uploads that nobody has claimed.
const UPLOADS_MS: u64 = 600_000;
/// Between two calls to a silent service.
const PROBE_MS: u64 = 30_000;
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);
const DAY_MS: u64 = 86_400_000;
/// Dead letters removed by one transaction.
const BATCH: usize = 500;

/// When what was done last.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    swept_at: Option<Time>,
    probed_at: Option<Time>,
    looked_at: Option<Time>,
    caught_up_at: Option<Time>,
    is_failing: bool,
}

/// One round. What fails is tried again in the next.
pub(super) async fn round(pipelines: &Pipelines, engine: &Engine, rounds: &mut Rounds) {
    let is_failing = match try_round(pipelines, engine, rounds).await {
        Ok(()) => false,
        Err(error) if rounds.is_failing => {
            tracing::debug!(error = %error, "upkeep of the pipelines failed again");
            true
        }
        Err(error) => {
            tracing::warn!(error = %error, "upkeep of the pipelines failed; trying again");
            true
        }
    };
    rounds.is_failing = is_failing;
}

async fn try_round(pipelines: &Pipelines, engine: &Engine, rounds: &mut Rounds) -> Result<(), StoreError> {
    let now = pipelines.clock.now();
    let is_due = |last: Option<Time>, every_ms| last.is_none_or(|last| now.ms_since(last) >= every_ms);
    if pipelines.store.is_shared() && is_due(rounds.caught_up_at, CATCH_UP_MS) {
        pipelines.catch_up(engine).await?;
        pipelines.switch.refresh().await?;
        rounds.caught_up_at = Some(now);
    }
    pipelines.settle_down().await?;
    if is_due(rounds.swept_at, SWEEP_MS) {
        sweep(pipelines, now).await?;
        rounds.swept_at = Some(now);
    }
    if is_due(rounds.looked_at, UPLOADS_MS) {
        while super::uploads::sweep::round(pipelines, now).await? > 0 {}
        rounds.looked_at = Some(now);
    }
    if is_due(rounds.probed_at, PROBE_MS) {
        rounds.probed_at = Some(now);
        probe(pipelines).await;
    }
    Ok(())
}

/// Removes what has been kept as long as the settings say.
async fn sweep(pipelines: &Pipelines, now: Time) -> Result<(), StoreError> {
    let kept_us = u64::from(pipelines.settings.dlq_retention_days) * DAY_MS * 1_000;
    let before = Time(now.0.saturating_sub(i64::try_from(kept_us).unwrap_or(i64::MAX)));
    let mut removed = 0;
    loop {
        let some = pipelines
            .store
            .purge_letters(Some(&pipelines.namespace), before, BATCH)
            .await?;
        removed += some;
        if some < BATCH as u64 {
            break;
        }
    }
    if removed > 0 {
        tracing::info!(removed, "dead letters that were kept long enough are gone");
    }
    Ok(())
}

/// Asks services that are not known to be active. One after the other: there is no hurry.
async fn probe(pipelines: &Pipelines) {
    let picture = pipelines.directory.picture();
    for service in picture.services.values() {
        let (liveness, _) = pipelines.contacts.of(&service.id, pipelines.clock.now());
        if liveness == Liveness::Active {
            continue;
        }
        let mut url = service.url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push("health");
        }
        let call = Call {
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            body: None,
            timeout: PROBE_TIMEOUT,
            redirects: Redirects::Return,
        };
        let answer = pipelines.client.call(call).await;
        match answer {
            Ok(reply) if reply.status.is_success() => pipelines.contacts.heard(&service.id, pipelines.clock.now()),
            Ok(_) | Err(_) => pipelines.contacts.missed(&service.id, pipelines.clock.now()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use quintet_core::event::Meta;
    use quintet_core::id::RunId;
    use quintet_engine::clock::Clock;
    use quintet_store::{Commit, DeadLetter, LetterFilter, Unit, UnitResult};

    use super::*;
    use crate::app::{App, OpenOptions};
    use crate::config::Config;

    const START: Time = Time(1_700_000_000_000_000);

    struct Set(AtomicI64);

    impl Clock for Set {
        fn now(&self) -> Time {
            Time(self.0.load(Ordering::Relaxed))
        }
    }

    fn letter() -> DeadLetter {
        DeadLetter {
            run: RunId::from_bits(7),
            node: 0,
            attempt: 1,
            namespace: "default".into(),
            workflow: "task:a".into(),
            step: "a".into(),
            queue: "a".into(),
            body: "{}".to_owned(),
            failed_at: START,
            retried_at: None,
        }
    }

    #[tokio::test]
    async fn dead_letters_go_when_they_were_kept_as_long_as_the_settings_say() {
        let clock = Arc::new(Set(AtomicI64::new(START.0)));
        let settings = "store:\n  url: 'memory:'\npipelines:\n  dlq_retention_days: 3\n";
        let options = OpenOptions {
            clock: Some(Arc::clone(&clock) as Arc<dyn Clock>),
            ..OpenOptions::default()
        };
        let app = App::open(Config::parse(settings).expect("settings"), options)
            .await
            .expect("open");
        let store = app.engine.store();
        let unit = Unit {
            letters: vec![letter()],
            ..Unit::default()
        };
        let meta = Meta { at: START, owner: 1 };
        let commit = Commit {
            meta,
            units: vec![unit],
        };
        assert_eq!(store.commit(commit).await.expect("stored"), [UnitResult::Applied]);
        for (days, left) in [(2, 1), (4, 0)] {
            clock.0.store(START.plus_ms(days * DAY_MS).0, Ordering::Relaxed);
            round(&app.pipelines, &app.engine, &mut Rounds::default()).await;
            let page = store.letters("default", &LetterFilter::default(), 0, 10).await;
            assert_eq!(page.expect("letters").total, left, "after {days} days");
        }
        app.shutdown().await;
    }
}
