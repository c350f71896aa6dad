//! The Quintet server: faces, configuration, operability, and the command line.

pub mod app;
pub mod audit;
pub mod cli;
pub mod config;
pub mod error_code;
pub mod face;
pub mod http;
pub mod identity;
pub mod openapi;
mod picture;
pub mod schedules;
pub mod secrets;
pub mod tenancy;
mod words;
