//! Whether a step runs: always, where it is demanded, or where a value is true.

use super::super::template::{Path, Roots, Template};
use super::read::Problems;

/// What a step's `runWhen` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunWhen<'d> {
    Always,
    OnDemand,
    /// Where JavaScript calls the value of this path true.
    If(Path<'d>),
}

impl<'d> RunWhen<'d> {
    /// Any text that is no template is a true value: its step runs.
    pub(super) fn read(text: Option<&'d str>, field: impl FnOnce() -> String, problems: &mut Problems) -> Self {
        match text {
            None | Some("always") => Self::Always,
            Some("on-demand") => Self::OnDemand,
            Some(text) => match Template::parse(text, Roots::STEP) {
                Template::Whole(path) => Self::If(path),
                Template::Mixed(parts) if parts.iter().all(|part| part.is_path()) => {
                    problems.add(field(), "must be `always`, `on-demand` or one template");
                    Self::Always
                }
                Template::Mixed(_) | Template::Literal => Self::Always,
            },
        }
    }
}
