//! placeholder until the guard lands
use super::actions::ActionCall;
use super::task::{Effect, Failure};
use quorate_value::Dict;

/// Who may take a member away.
#[derive(Default)]
pub struct Guard {}

/// Why a step may not happen.
pub struct Refusal {
    /// For the terminal.
    pub text: String,
    /// One line.
    pub message: String,
    /// Stable code.
    pub code: String,
    /// Facts.
    pub facts: Vec<String>,
}

/// A slot that was granted.
pub struct Permit {}

impl Permit {
    /// Waits until the member is back.
    pub async fn settle(self, _call: &ActionCall<'_>, outcome: Result<(Dict, Vec<Effect>), Failure>) -> Result<(Dict, Vec<Effect>), Failure> {
        outcome
    }
}

impl Guard {
    /// Whether anything was refused.
    pub fn refused(&self) -> bool {
        false
    }

    /// Whether the step may happen now.
    pub async fn ask(&self, _call: &ActionCall<'_>) -> Result<Option<Permit>, Refusal> {
        Ok(None)
    }
}
