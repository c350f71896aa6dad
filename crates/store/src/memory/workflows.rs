//! Workflows and their versions, counted from 1 without gaps.

use std::sync::Arc;

use super::{State, Workflow};
use crate::query::{WorkflowRow, WorkflowVersionRow, WorkflowWrite};

impl State {
    pub(super) fn put_workflow(&mut self, write: WorkflowWrite) -> Option<WorkflowRow> {
        let place = (write.namespace, write.id.clone());
        let current = self
            .workflows
            .get(&place)
            .map_or(0, |workflow| workflow.versions.len() as u32);
        if write.expected.is_some_and(|expected| expected != current) {
            return None;
        }
        self.plans.entry(write.digest).or_insert(write.spec);
        let version = WorkflowVersionRow {
            version: current + 1,
            document: write.document,
            digest: write.digest,
            created_at: write.at,
        };
        let empty = || Workflow {
            name: String::new(),
            versions: Vec::new(),
        };
        let workflow = self.workflows.entry(place).or_insert_with(empty);
        workflow.name = write.name;
        workflow.versions.push(version);
        workflow.row(write.id)
    }

    pub(super) fn workflows_after(&self, namespace: &str, after: Option<&str>, limit: usize) -> Vec<WorkflowRow> {
        let here = self
            .workflows
            .iter()
            .filter(|((ns, id), _)| &**ns == namespace && after.is_none_or(|a| &**id > a));
        here.filter_map(|((_, id), workflow)| workflow.row(id.clone()))
            .take(limit)
            .collect()
    }
}

impl Workflow {
    pub(super) fn row(&self, id: Arc<str>) -> Option<WorkflowRow> {
        let (first, current) = (self.versions.first()?, self.versions.last()?);
        Some(WorkflowRow {
            id,
            name: self.name.clone(),
            version: current.version,
            document: current.document.clone(),
            digest: current.digest,
            created_at: first.created_at,
            updated_at: current.created_at,
        })
    }
}
