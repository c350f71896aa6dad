//! What one render may cost.
//!
//! Two prices are charged for everything a template can do. *Fuel* is time: one unit per evaluated node, list element
//! or 64 bytes of text touched. *Memory* is every byte that a template makes, and is never given back, so it bounds the
//! peak whatever the template keeps. An operation is charged before it is done, by its result's size.

use std::cell::Cell;

use super::Limits;

/// Why evaluation stopped.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Stop {
    Undefined(super::ast::Span),
    Limit(String),
    Invalid(String),
}

impl Stop {
    pub fn invalid(message: impl Into<String>) -> Self {
        Stop::Invalid(message.into())
    }
}

pub(super) type Outcome<T> = Result<T, Stop>;

pub(super) struct Budget {
    pub limits: Limits,
    /// Left for the string being rendered.
    fuel: Cell<u64>,
    /// Left for the strings after it.
    reserve: Cell<u64>,
    memory: Cell<usize>,
    output: Cell<usize>,
}

impl Budget {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            fuel: Cell::new(0),
            reserve: Cell::new(limits.total_fuel),
            memory: Cell::new(limits.memory),
            output: Cell::new(limits.output),
        }
    }

    /// Gives the next string its share; what the last one left goes back.
    pub fn next_string(&self) {
        let total = self.reserve.get() + self.fuel.get();
        let share = total.min(self.limits.fuel);
        self.fuel.set(share);
        self.reserve.set(total - share);
    }

    pub fn burn(&self, units: usize) -> Outcome<()> {
        let left = self.fuel.get().checked_sub(units as u64);
        self.fuel.set(left.unwrap_or(0));
        match left {
            Some(_) => Ok(()),
            None => Err(Stop::Limit("takes too many operations".to_owned())),
        }
    }

    /// Charges reading `bytes` of text.
    pub fn scan(&self, bytes: usize) -> Outcome<()> {
        self.burn(1 + bytes / 64)
    }

    /// Charges making `bytes`, and writing them.
    pub fn make(&self, bytes: usize) -> Outcome<()> {
        let left = self.memory.get().checked_sub(bytes);
        let left = left.ok_or_else(|| Stop::Limit("needs too much memory".to_owned()))?;
        self.memory.set(left);
        self.scan(bytes)
    }

    /// Refuses a string that is longer than any may be, before it is made.
    pub fn fits(&self, bytes: usize) -> Outcome<()> {
        let limit = self.limits.text;
        if bytes > limit {
            Err(Stop::Limit(format!("makes a string longer than {limit} bytes")))
        } else {
            Ok(())
        }
    }

    /// Charges part of the final result.
    pub fn emit(&self, bytes: usize) -> Outcome<()> {
        let limit = self.limits.output;
        let left = self.output.get().checked_sub(bytes);
        self.output
            .set(left.ok_or_else(|| Stop::Limit(format!("gives a result larger than {limit} bytes")))?);
        Ok(())
    }
}
