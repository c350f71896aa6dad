//! What happens to nodes and to the database, and the script of a round.

use std::fmt;
use std::time::Duration;

use crate::random::Random;

/// Something that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// A node is killed with SIGKILL, and started again later.
    Kill,
    /// A node is stopped with SIGSTOP for longer than its lease, and goes on.
    Stop,
    /// A node's connections to the database freeze for longer than its lease, and thaw.
    Freeze,
    /// The database crashes and recovers.
    Restart,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Kill, Self::Stop, Self::Freeze, Self::Restart];

    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Stop => "stop",
            Self::Freeze => "freeze",
            Self::Restart => "database_restart",
        }
    }
}

/// When calls that hang are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Release {
    /// While the node cannot tell anybody: it wakes up with an answer in its hands that is no longer wanted.
    BeforeHealing,
    /// When it has had time to find out.
    AfterHealing,
}

/// One thing that happens, to whom, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Nemesis {
    pub kind: Kind,
    /// The node; nobody where it is the database.
    pub victim: Option<usize>,
    /// Until the node is started again, goes on or is thawed.
    pub lasts: Duration,
    pub release: Release,
}

impl fmt::Display for Nemesis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind.name())?;
        match self.victim {
            Some(victim) => write!(f, " of node {victim} for {:?}, release {:?}", self.lasts, self.release),
            None => Ok(()),
        }
    }
}

/// Things that happen at the same time, after a while of peace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stroke {
    pub peace: Duration,
    pub nemeses: Vec<Nemesis>,
}

/// A round: each kind at least once, one more now and then, and now and then two at once.
pub(super) fn script(random: &mut Random, nodes: usize, lease: Duration) -> Vec<Stroke> {
    let mut kinds = Kind::ALL.to_vec();
    if random.below(2) == 0 {
        kinds.push(Kind::ALL[random.below(4) as usize]);
    }
    for at in (1..kinds.len()).rev() {
        kinds.swap(at, random.below(at as u64 + 1) as usize);
    }
    let mut strokes: Vec<Stroke> = Vec::new();
    for kind in kinds {
        let together = strokes.last_mut().filter(|stroke| may_join(stroke, kind));
        match together.filter(|_| random.below(3) == 0) {
            Some(stroke) => {
                let taken = stroke.nemeses.iter().find_map(|nemesis| nemesis.victim);
                stroke.nemeses.push(nemesis(random, kind, nodes, taken, lease));
            }
            None => strokes.push(Stroke {
                peace: Duration::from_secs_f64(random.log_uniform(0.4, 2.0)),
                nemeses: vec![nemesis(random, kind, nodes, None, lease)],
            }),
        }
    }
    strokes
}

/// Two at once are enough, and there is only one database.
fn may_join(stroke: &Stroke, kind: Kind) -> bool {
    stroke.nemeses.len() == 1 && !(kind == Kind::Restart && stroke.nemeses[0].kind == Kind::Restart)
}

fn nemesis(random: &mut Random, kind: Kind, nodes: usize, taken: Option<usize>, lease: Duration) -> Nemesis {
    let any = random.below(nodes as u64) as usize;
    let victim = if Some(any) == taken { (any + 1) % nodes } else { any };
    let lasts = match kind {
        Kind::Kill => Duration::from_secs_f64(random.log_uniform(0.1, 5.0)),
        Kind::Stop => lease.mul_f64(1.5),
        Kind::Freeze => lease.mul_f64(random.log_uniform(1.5, 2.0)),
        Kind::Restart => Duration::ZERO,
    };
    let release = match random.below(2) {
        0 => Release::BeforeHealing,
        _ => Release::AfterHealing,
    };
    Nemesis {
        kind,
        victim: (kind != Kind::Restart).then_some(victim),
        lasts,
        release,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scripts() -> impl Iterator<Item = Vec<Stroke>> {
        (0..500).map(|seed| script(&mut Random::new(seed), 3, Duration::from_secs(3)))
    }

    #[test]
    fn every_round_has_each_kind_and_the_same_seed_gives_the_same_round() {
        for (seed, strokes) in scripts().enumerate() {
            for kind in Kind::ALL {
                let is_it = |nemesis: &Nemesis| nemesis.kind == kind;
                assert!(
                    strokes.iter().flat_map(|stroke| &stroke.nemeses).any(is_it),
                    "seed {seed} has no {}",
                    kind.name()
                );
            }
            let again = script(&mut Random::new(seed as u64), 3, Duration::from_secs(3));
            assert_eq!(strokes, again);
        }
    }

    #[test]
    fn two_at_once_have_different_victims_and_happen_in_some_rounds() {
        let pairs: Vec<Vec<Nemesis>> = scripts()
            .flatten()
            .map(|stroke| stroke.nemeses)
            .filter(|nemeses| nemeses.len() > 1)
            .collect();
        assert!(pairs.len() > 100, "{}", pairs.len());
        for pair in pairs {
            assert_eq!(pair.len(), 2);
            assert_ne!(pair[0].victim, pair[1].victim, "{pair:?}");
        }
    }
}
