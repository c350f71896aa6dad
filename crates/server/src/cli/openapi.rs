//! `quintet openapi`: the description of the HTTP API, as it is served.

use std::process::ExitCode;

use super::output::print_json;

/// Print the OpenAPI description of the HTTP API
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Carries the command out.
pub fn run(_: &Args) -> anyhow::Result<ExitCode> {
    print_json(&crate::openapi::openapi())?;
    Ok(ExitCode::SUCCESS)
}
