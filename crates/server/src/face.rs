//! The faces: one folder for each system whose clients Quintet serves. A face translates; it has no logic of
//! its own about running work.

pub mod hooks;
pub mod pipelines;
pub mod tasks;
pub mod tenants;
pub mod workflows;
